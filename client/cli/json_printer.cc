#include "client/cli/json_printer.h"

#include <cmath>
#include <cstdint>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "g2ll/v1/spec.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "proto/common/yaml_tree.h"

namespace g2ll::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using nlohmann::ordered_json;

// How much of a message that is not set appears.
enum class Unset { kNull, kAbsent };

ordered_json MessageJson(const Message& message, Unset unset);

ordered_json NumberJson(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  const absl::Time value = absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", value, absl::UTCTimeZone());
}

std::string DurationText(const google::protobuf::Duration& duration) {
  std::string text =
      absl::StrFormat("%s%d.%09d", duration.seconds() < 0 || duration.nanos() < 0 ? "-" : "",
                      duration.seconds() < 0 ? 0 - static_cast<uint64_t>(duration.seconds())
                                             : static_cast<uint64_t>(duration.seconds()),
                      std::abs(static_cast<int64_t>(duration.nanos())));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + "s";
}

// One value; `index` is the element of a repeated field, -1 the value of another.
ordered_json ValueJson(const Message& message, const FieldDescriptor* field, int index,
                       Unset unset) {
  const auto* reflection = message.GetReflection();
  const bool many = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return many ? reflection->GetRepeatedInt32(message, field, index)
                  : reflection->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return many ? reflection->GetRepeatedInt64(message, field, index)
                  : reflection->GetInt64(message, field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return many ? reflection->GetRepeatedUInt32(message, field, index)
                  : reflection->GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return many ? reflection->GetRepeatedUInt64(message, field, index)
                  : reflection->GetUInt64(message, field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return NumberJson(many ? reflection->GetRepeatedDouble(message, field, index)
                             : reflection->GetDouble(message, field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return NumberJson(many ? reflection->GetRepeatedFloat(message, field, index)
                             : reflection->GetFloat(message, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return many ? reflection->GetRepeatedBool(message, field, index)
                  : reflection->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = many ? reflection->GetRepeatedEnumValue(message, field, index)
                              : reflection->GetEnumValue(message, field);
      const auto* value = field->enum_type()->FindValueByNumber(number);
      if (value == nullptr) return number;
      return std::string(value->name());
    }
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? reflection->GetRepeatedString(message, field, index)
                  : reflection->GetString(message, field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageJson(many ? reflection->GetRepeatedMessage(message, field, index)
                              : reflection->GetMessage(message, field),
                         unset);
  }
  return nullptr;
}

// A JSON object with its keys in order of their text, as a map has no other.
ordered_json MapJson(const Message& message, const FieldDescriptor* field, Unset unset) {
  const auto* reflection = message.GetReflection();
  const FieldDescriptor* key = field->message_type()->map_key();
  const FieldDescriptor* value = field->message_type()->map_value();
  std::map<std::string, ordered_json> sorted;
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    const Message& entry = reflection->GetRepeatedMessage(message, field, i);
    const ordered_json name = ValueJson(entry, key, -1, unset);
    sorted[name.is_string() ? name.get<std::string>() : name.dump()] =
        ValueJson(entry, value, -1, unset);
  }
  ordered_json object = ordered_json::object();
  for (auto& [name, element] : sorted) object[name] = std::move(element);
  return object;
}

bool IsLeftOut(const Message& message, const FieldDescriptor* field, Unset unset) {
  if (field->is_repeated() || !field->has_presence()) return false;
  if (message.GetReflection()->HasField(message, field)) return false;
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  return !is_message || unset == Unset::kAbsent || field->real_containing_oneof() != nullptr;
}

ordered_json MessageJson(const Message& message, Unset unset) {
  const auto* type = message.GetDescriptor();
  if (type == google::protobuf::Timestamp::descriptor()) {
    return TimeText(static_cast<const google::protobuf::Timestamp&>(message));
  }
  if (type == google::protobuf::Duration::descriptor()) {
    return DurationText(static_cast<const google::protobuf::Duration&>(message));
  }
  if (type == v1::JobSpec::descriptor()) unset = Unset::kAbsent;
  const auto* reflection = message.GetReflection();
  ordered_json object = ordered_json::object();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (IsLeftOut(message, field, unset)) continue;
    ordered_json& value = object[field->json_name()];
    if (field->is_map()) {
      value = MapJson(message, field, unset);
    } else if (field->is_repeated()) {
      value = ordered_json::array();
      for (int j = 0; j < reflection->FieldSize(message, field); ++j) {
        value.push_back(ValueJson(message, field, j, unset));
      }
    } else if (field->has_presence() && !reflection->HasField(message, field)) {
      value = nullptr;
    } else {
      value = ValueJson(message, field, -1, unset);
    }
  }
  return object;
}

void AppendYaml(const ordered_json& json, int indent, std::string* out) {
  const std::string margin(static_cast<size_t>(indent), ' ');
  const auto is_block = [](const ordered_json& value) {
    return (value.is_object() || value.is_array()) && !value.empty();
  };
  const auto scalar = [](const ordered_json& value) {
    if (value.is_string()) return spec::YamlString(value.get<std::string>());
    return value.is_array()    ? std::string("[]")
           : value.is_object() ? std::string("{}")
                               : value.dump();
  };
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      absl::StrAppend(out, margin, spec::YamlString(key), ":");
      if (is_block(value)) {
        *out += "\n";
        AppendYaml(value, indent + 2, out);
      } else {
        absl::StrAppend(out, " ", scalar(value), "\n");
      }
    }
    return;
  }
  for (const ordered_json& value : json) {
    if (!is_block(value)) {
      absl::StrAppend(out, margin, "- ", scalar(value), "\n");
      continue;
    }
    // The first key stands behind the dash, the others below it.
    std::string inner;
    AppendYaml(value, indent + 2, &inner);
    absl::StrAppend(out, margin, "- ", inner.substr(static_cast<size_t>(indent) + 2));
  }
}

}  // namespace

ordered_json ToJson(const Message& message) { return MessageJson(message, Unset::kNull); }

ordered_json JobJson(v1::Job job) {
  job.mutable_progress();
  job.mutable_state_reason();
  return ToJson(job);
}

std::string JsonText(const ordered_json& json, int indent) {
  return json.dump(indent, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace);
}

std::string YamlText(const ordered_json& json) {
  std::string text;
  if ((json.is_object() || json.is_array()) && !json.empty()) {
    AppendYaml(json, 0, &text);
  } else {
    text = JsonText(json, -1) + "\n";
  }
  return text;
}

}  // namespace g2ll::cli
