#include "proto/common/spec_field.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace g2ll::spec {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

const FieldDescriptor* FieldByJsonName(const Descriptor* type, std::string_view name) {
  for (int i = 0; i < type->field_count(); ++i) {
    if (type->field(i)->json_name() == name) return type->field(i);
  }
  return nullptr;
}

// First part of a dotted path; the rest stays in `path`.
std::string_view NextPart(std::string_view* path) {
  const size_t dot = path->find('.');
  const std::string_view part = path->substr(0, dot);
  path->remove_prefix(dot == std::string_view::npos ? path->size() : dot + 1);
  return part;
}

template <typename Number>
bool ParseNumber(std::string_view text, Number* value) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

template <typename Number, typename Store>
bool StoreNumber(std::string_view text, Store&& store) {
  Number value{};
  if (!ParseNumber(text, &value)) return false;
  if constexpr (std::is_floating_point_v<Number>) {
    if (!std::isfinite(value)) return false;
  }
  store(value);
  return true;
}

const google::protobuf::EnumValueDescriptor* EnumByName(const FieldDescriptor* field,
                                                        std::string_view name) {
  const auto* type = field->enum_type();
  for (int i = 0; i < type->value_count(); ++i) {
    const auto* value = type->value(i);
    if (value->number() != 0 && absl::EqualsIgnoreCase(value->name(), std::string(name))) {
      return value;
    }
  }
  return nullptr;
}

bool SetDuration(Message* message, const FieldDescriptor* field, std::string_view text) {
  const Reflection* reflection = message->GetReflection();
  if (text == "auto") {
    reflection->ClearField(message, field);
    return true;
  }
  absl::Duration duration;
  // ParseDuration also takes a bare 0 and `inf`, which say no length of time.
  if (!absl::ParseDuration(std::string(text), &duration) || text == "0" ||
      duration == absl::InfiniteDuration() || duration == -absl::InfiniteDuration()) {
    return false;
  }
  google::protobuf::Duration value;
  value.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  value.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  reflection->MutableMessage(message, field)->CopyFrom(value);
  return true;
}

std::string DurationText(const Message& message, const FieldDescriptor* field) {
  if (!message.GetReflection()->HasField(message, field)) return "auto";
  const auto& value = static_cast<const google::protobuf::Duration&>(
      message.GetReflection()->GetMessage(message, field));
  const absl::Duration duration = absl::Seconds(value.seconds()) + absl::Nanoseconds(value.nanos());
  std::string text = duration == absl::ZeroDuration() ? "0s" : absl::FormatDuration(duration);
  return text;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = absl::ascii_tolower(static_cast<unsigned char>(a[i - 1])) ==
                        absl::ascii_tolower(static_cast<unsigned char>(b[j - 1]));
      const size_t replaced = diagonal + (same ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

void VisitValues(const Message& message, const std::string& prefix, const FieldVisitor& visit) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string path =
        prefix.empty() ? field->json_name() : absl::StrCat(prefix, ".", field->json_name());
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !IsDuration(field)) {
      VisitValues(message.GetReflection()->GetMessage(message, field), path, visit);
    } else {
      visit(path, message, field);
    }
  }
}

}  // namespace

const FieldDescriptor* FindField(const Descriptor* type, std::string_view path) {
  const FieldDescriptor* field = nullptr;
  while (!path.empty()) {
    if (type == nullptr) return nullptr;
    field = FieldByJsonName(type, NextPart(&path));
    if (field == nullptr) return nullptr;
    type = IsDuration(field) ? nullptr : field->message_type();
  }
  return field;
}

FieldRef MutableField(Message* root, std::string_view path) {
  Message* message = root;
  while (true) {
    const FieldDescriptor* field = FieldByJsonName(message->GetDescriptor(), NextPart(&path));
    if (field == nullptr || path.empty()) return {message, field};
    if (field->message_type() == nullptr || IsDuration(field) || field->is_repeated()) return {};
    message = message->GetReflection()->MutableMessage(message, field);
  }
}

void ForEachValue(const Message& root, const FieldVisitor& visit) { VisitValues(root, "", visit); }

bool IsDuration(const FieldDescriptor* field) {
  return field->message_type() == google::protobuf::Duration::descriptor();
}

std::vector<std::string> EnumNames(const FieldDescriptor* field) {
  std::vector<std::string> names;
  for (int i = 0; i < field->enum_type()->value_count(); ++i) {
    const auto* value = field->enum_type()->value(i);
    if (value->number() != 0) names.push_back(absl::AsciiStrToLower(value->name()));
  }
  return names;
}

std::string AllowedText(const FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return "a whole number";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "a finite number";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat("one of ", absl::StrJoin(EnumNames(field), ", "));
    case FieldDescriptor::CPPTYPE_STRING:
      return "a text";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return IsDuration(field) ? "a duration such as 30s, 5m or 1h30m, or auto" : "keys and values";
  }
  return "";
}

bool SetFromText(Message* message, const FieldDescriptor* field, std::string_view text,
                 ScalarStyle style) {
  const Reflection* reflection = message->GetReflection();
  const bool add = field->is_repeated();
  const bool plain = style == ScalarStyle::kPlain;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return plain && StoreNumber<int32_t>(text, [&](int32_t value) {
               add ? reflection->AddInt32(message, field, value)
                   : reflection->SetInt32(message, field, value);
             });
    case FieldDescriptor::CPPTYPE_INT64:
      return plain && StoreNumber<int64_t>(text, [&](int64_t value) {
               add ? reflection->AddInt64(message, field, value)
                   : reflection->SetInt64(message, field, value);
             });
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return plain && StoreNumber<double>(text, [&](double value) {
               add ? reflection->AddDouble(message, field, value)
                   : reflection->SetDouble(message, field, value);
             });
    case FieldDescriptor::CPPTYPE_BOOL:
      if (!plain || (text != "true" && text != "false")) return false;
      reflection->SetBool(message, field, text == "true");
      return true;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* value = EnumByName(field, text);
      if (value == nullptr) return false;
      reflection->SetEnum(message, field, value);
      return true;
    }
    case FieldDescriptor::CPPTYPE_STRING:
      add ? reflection->AddString(message, field, std::string(text))
          : reflection->SetString(message, field, std::string(text));
      return true;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return IsDuration(field) && SetDuration(message, field, text);
    default:
      return false;  // kinds of number that no spec field has
  }
}

std::string TextOf(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection* reflection = message.GetReflection();
  const bool many = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(many ? reflection->GetRepeatedInt32(message, field, index)
                               : reflection->GetInt32(message, field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(many ? reflection->GetRepeatedInt64(message, field, index)
                               : reflection->GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return NumberText(many ? reflection->GetRepeatedDouble(message, field, index)
                             : reflection->GetDouble(message, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = reflection->GetEnumValue(message, field);
      const auto* value = field->enum_type()->FindValueByNumber(number);
      return value ? absl::AsciiStrToLower(value->name()) : absl::StrCat(number);
    }
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? reflection->GetRepeatedString(message, field, index)
                  : reflection->GetString(message, field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return IsDuration(field) ? DurationText(message, field) : "";
    default:
      return "";
  }
}

std::string NumberText(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

std::string NearestWord(std::string_view word, const std::vector<std::string>& candidates) {
  // A longer word would make the comparison slow and is no slip of the finger.
  if (word.size() > 64) return "";
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::optional<int64_t> ParseQuantity(std::string_view text) {
  struct Unit {
    std::string_view suffix;
    double bytes;
  };
  static constexpr Unit kUnits[] = {{"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40},
                                    {"Pi", 0x1p50}, {"k", 1e3},     {"M", 1e6},     {"G", 1e9},
                                    {"T", 1e12},    {"P", 1e15}};
  double factor = 1;
  for (const Unit& unit : kUnits) {
    if (text.size() > unit.suffix.size() &&
        text.substr(text.size() - unit.suffix.size()) == unit.suffix) {
      factor = unit.bytes;
      text.remove_suffix(unit.suffix.size());
      break;
    }
  }
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0)) return {};
  const double bytes = value * factor;
  if (!(bytes < 0x1p62)) return {};
  return static_cast<int64_t>(std::ceil(bytes));
}

}  // namespace g2ll::spec
