#ifndef PROTO_COMMON_SPEC_PRETRAIN_CHECKS_H_
#define PROTO_COMMON_SPEC_PRETRAIN_CHECKS_H_

#include <functional>
#include <initializer_list>
#include <string>

#include "g2ll/v1/spec.pb.h"

// How the settings of a PretrainJob must fit together. A part of Validate.
namespace g2ll::spec {

// Where faults go, and whether a value has none yet: a check of two values is left
// out where one is bad by itself. Paths are below `spec`.
struct FaultSink {
  std::function<void(const char* path, std::string given, std::string allowed)> add;
  std::function<bool(std::initializer_list<const char*> paths)> is_good;
};

void CheckPretrainSpec(const v1::PretrainSpec& spec, const FaultSink& faults);

}  // namespace g2ll::spec

#endif  // PROTO_COMMON_SPEC_PRETRAIN_CHECKS_H_
