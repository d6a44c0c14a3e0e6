#ifndef PROTO_COMMON_SPEC_DEFAULTS_H_
#define PROTO_COMMON_SPEC_DEFAULTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "g2ll/v1/spec.pb.h"

// The one place that knows what a setting is when nobody gives it.
namespace g2ll::spec {

// Kinds of job and methods of pre-training that a default holds for, as bits.
enum Scope : uint32_t {
  kG2ll = 1,
  kMae = 2,
  kDino = 4,
  kSupervised = 8,
  kSelfSupervised = kG2ll | kMae | kDino,
  kPretrain = kSelfSupervised | kSupervised,
  kFinetune = 16,
  kEvaluate = 32,
  kTrain = kPretrain | kFinetune,
  kAny = kTrain | kEvaluate,
};

// One row of the table of defaults. Texts are as in a job file; several
// elements of a list are separated by a blank. An empty text leaves the field
// unset, null says that the recipe has no such row.
struct Default {
  uint32_t scope = kAny;
  const char* path = "";  // below `spec`, for example `mask.gamma`
  const char* paper = nullptr;
  const char* plus = nullptr;
  const char* smoke = nullptr;
  const char* source = "";  // section of the paper or reason
};

// All rows. The first row that fits scope and recipe holds.
const std::vector<Default>& Defaults();

// Whether a job of this kind and method reads the field, or a field of the group, `path`
// below `spec`: kinds share groups of settings, and each reads what it has rows for. False
// for what is no field.
bool IsRead(const v1::JobSpec& spec, std::string_view path);

// Sets every field that `spec` leaves open to the default of its kind, recipe
// and method. What is given stays, so a second call changes nothing. A spec
// without a kind stays as it is.
void ApplyDefaults(v1::JobSpec* spec);

// Where a spec's defaults come from: the path below `spec` of every field that
// ApplyDefaults(`given`) fills in or leaves unset on purpose -> its source. What
// `given` sets is not in it.
using DefaultSources = std::map<std::string, std::string>;
DefaultSources SourcesOfDefaults(v1::JobSpec given);

// How to read a source, one sentence.
inline constexpr char kSourceLegend[] =
    "P is a section of Chen et al., ISBI 2023; MAE, DINO and other names are the methods "
    "whose published settings hold.";

}  // namespace g2ll::spec

#endif  // PROTO_COMMON_SPEC_DEFAULTS_H_
