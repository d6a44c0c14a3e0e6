#ifndef PROTO_COMMON_SPEC_VALIDATION_H_
#define PROTO_COMMON_SPEC_VALIDATION_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "g2ll/v1/spec.pb.h"

// What makes a spec one that can run. Pure functions.
namespace g2ll::spec {

// One bad field.
struct Violation {
  std::string field;    // for example `spec.mask.gamma`
  std::string given;    // its value as a job file has it
  std::string allowed;  // what may stand there

  // `given 1.5, allowed: a number in [0, 1]`; a long value is cut.
  std::string Description() const;
};

// Everything that is wrong with a spec whose defaults are filled in; empty if
// nothing is. Whether data and other jobs exist is not looked at.
std::vector<Violation> Validate(const v1::JobSpec& spec);

// What a name of a job or project may be: [a-z0-9-]{1,63} without a hyphen at
// either end.
bool IsValidName(std::string_view name);
inline constexpr char kNameAllowed[] = "1 to 63 of a-z, 0-9 and -, with no - at either end";

// What is wrong with labels: keys of 1 to 63, values of 0 to 63 of
// [A-Za-z0-9._-], at most 1,000 of them.
std::vector<Violation> ValidateLabels(const std::map<std::string, std::string>& labels);

}  // namespace g2ll::spec

#endif  // PROTO_COMMON_SPEC_VALIDATION_H_
