#ifndef WORKER_AGENT_PROTO_TIME_H_
#define WORKER_AGENT_PROTO_TIME_H_

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace g2ll::agent {

// Protobuf's forms of a time and a duration, and back.
google::protobuf::Timestamp ToProto(absl::Time time);
google::protobuf::Duration ToProto(absl::Duration duration);
absl::Duration FromProto(const google::protobuf::Duration& duration);

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_PROTO_TIME_H_
