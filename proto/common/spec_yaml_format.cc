#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_yaml.h"

namespace g2ll::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string ScalarText(const Message& message, const FieldDescriptor* field, int index) {
  const std::string text = TextOf(message, field, index);
  return field->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? YamlString(text) : text;
}

std::string ListText(const Message& message, const FieldDescriptor* field) {
  std::string text = "[";
  for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", ScalarText(message, field, i));
  }
  return text + "]";
}

void AppendMessage(const Message& message, int indent, std::string* out) {
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const std::string key = std::string(static_cast<size_t>(indent), ' ') + field->json_name();
    if (field->is_repeated()) {
      if (reflection->FieldSize(message, field) == 0) continue;
      absl::StrAppend(out, key, ": ", ListText(message, field), "\n");
    } else if (!reflection->HasField(message, field)) {
      continue;
    } else if (field->message_type() != nullptr && !IsDuration(field)) {
      std::string inner;
      AppendMessage(reflection->GetMessage(message, field), indent + 2, &inner);
      if (!inner.empty()) absl::StrAppend(out, key, ":\n", inner);
    } else {
      absl::StrAppend(out, key, ": ", ScalarText(message, field, 0), "\n");
    }
  }
}

}  // namespace

std::string FormatJobFile(std::string_view name, std::string_view project,
                          const std::map<std::string, std::string>& labels,
                          const v1::JobSpec& spec) {
  std::string text = absl::StrCat("apiVersion: g2ll/v1\nkind: ", std::string(KindName(spec)),
                                  "\nmetadata:\n  name: ", YamlString(name),
                                  "\n  project: ", YamlString(project), "\n");
  if (!labels.empty()) absl::StrAppend(&text, "  labels:\n");
  for (const auto& [key, value] : labels) {
    absl::StrAppend(&text, "    ", YamlString(key), ": ", YamlString(value), "\n");
  }
  if (const Message* kind = KindMessage(spec)) {
    std::string fields;
    AppendMessage(*kind, 2, &fields);
    absl::StrAppend(&text, fields.empty() ? "spec: {}\n" : "spec:\n", fields);
  }
  return text;
}

}  // namespace g2ll::spec
