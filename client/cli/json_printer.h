#ifndef CLIENT_CLI_JSON_PRINTER_H_
#define CLIENT_CLI_JSON_PRINTER_H_

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

#include "g2ll/v1/job.pb.h"

namespace g2ll::cli {

// A message as JSON that scripts rely on: keys in lowerCamelCase in the order of
// the message, enums by name, 64-bit integers as numbers, times as RFC 3339,
// durations as `1.5s`, fields at their default printed, messages that are not set
// null, non-finite numbers as "NaN", "Infinity" and "-Infinity". Inside a job's
// spec only what is set is printed, so that null never stands for a setting.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// A job in the same way; `progress` and `stateReason` are always objects, whether
// or not the job has any.
nlohmann::ordered_json JobJson(v1::Job job);

// One line (`indent` -1) or several; text that is not UTF-8 is replaced. Pure
// ASCII, so that it is harmless on a terminal too.
std::string JsonText(const nlohmann::ordered_json& json, int indent);

// The same values as YAML in block style.
std::string YamlText(const nlohmann::ordered_json& json);

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_JSON_PRINTER_H_
