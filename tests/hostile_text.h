#ifndef TESTS_HOSTILE_TEXT_H_
#define TESTS_HOSTILE_TEXT_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "proto/common/log.h"

// Texts that a terminal would obey, and a look for them in messages.
namespace g2ll::testing {

// Clears the screen, forges a line, rings, and sets a color with one C1 character.
inline constexpr char kHostileText[] =
    "a\x1b[2J\nERROR forged\r\t\x07\x7f\xc2\x9b"
    "31mb";

// The first text in `message` that has control characters or is no UTF-8, with the
// name of its field; empty if there is none.
inline std::string FindHostileText(const google::protobuf::Message& message) {
  using google::protobuf::FieldDescriptor;
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      std::string found;
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        found =
            FindHostileText(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                                 : reflection->GetMessage(message, field));
      } else if (field->type() == FieldDescriptor::TYPE_STRING) {
        const std::string text = field->is_repeated()
                                     ? reflection->GetRepeatedString(message, field, i)
                                     : reflection->GetString(message, field);
        if (log::EscapeControl(text) != text) {
          found = std::string(field->full_name()) + ": " + log::EscapeControl(text);
        }
      }
      if (!found.empty()) return found;
    }
  }
  return "";
}

// Sets every text within `message` to `text`, and every other field to something.
// Groups are filled up to `depth` levels.
inline void FillWith(const std::string& text, google::protobuf::Message* message, int depth = 5) {
  using google::protobuf::FieldDescriptor;
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->field(i);
    const bool many = field->is_repeated();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        many ? reflection->AddString(message, field, text)
             : reflection->SetString(message, field, text);
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (depth > 0) {
          FillWith(text,
                   many ? reflection->AddMessage(message, field)
                        : reflection->MutableMessage(message, field),
                   depth - 1);
        }
        break;
      case FieldDescriptor::CPPTYPE_ENUM: {
        const int last = field->enum_type()->value(field->enum_type()->value_count() - 1)->number();
        many ? reflection->AddEnumValue(message, field, last)
             : reflection->SetEnumValue(message, field, last);
        break;
      }
      case FieldDescriptor::CPPTYPE_INT32:
        many ? reflection->AddInt32(message, field, 1) : reflection->SetInt32(message, field, 1);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        many ? reflection->AddInt64(message, field, 1) : reflection->SetInt64(message, field, 1);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        many ? reflection->AddDouble(message, field, 1) : reflection->SetDouble(message, field, 1);
        break;
      default:
        break;
    }
  }
}

}  // namespace g2ll::testing

#endif  // TESTS_HOSTILE_TEXT_H_
