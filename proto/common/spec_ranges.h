#ifndef PROTO_COMMON_SPEC_RANGES_H_
#define PROTO_COMMON_SPEC_RANGES_H_

#include <optional>
#include <string>
#include <string_view>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

// The limits of every number of a spec by itself. Pure functions.
namespace g2ll::spec {

// What may stand at `path` (below `spec`, for example `mask.gamma`) where the number
// that `message` has in the singular `field` is outside of it; nothing where it is
// inside or has no limits. A number that is not finite is outside.
std::optional<std::string> RangeFault(std::string_view path,
                                      const google::protobuf::Message& message,
                                      const google::protobuf::FieldDescriptor* field);

// What may stand at `path`, for example `a number in [0, 1]`, where `field` is a number
// with limits; nothing for others.
std::optional<std::string> AllowedRange(std::string_view path,
                                        const google::protobuf::FieldDescriptor* field);

}  // namespace g2ll::spec

#endif  // PROTO_COMMON_SPEC_RANGES_H_
