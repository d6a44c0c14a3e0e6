#ifndef SERVER_WIRE_TIME_WIRE_H_
#define SERVER_WIRE_TIME_WIRE_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include "absl/time/time.h"

namespace g2ll::wire {

// In whole microseconds, as the store keeps them.
google::protobuf::Timestamp ToProto(absl::Time time);
google::protobuf::Duration ToProto(absl::Duration duration);
// Values outside the protobuf range are cut to it.
absl::Time FromProto(const google::protobuf::Timestamp& time);
absl::Duration FromProto(const google::protobuf::Duration& duration);

}  // namespace g2ll::wire

#endif  // SERVER_WIRE_TIME_WIRE_H_
