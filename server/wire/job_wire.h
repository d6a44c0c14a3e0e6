#ifndef SERVER_WIRE_JOB_WIRE_H_
#define SERVER_WIRE_JOB_WIRE_H_

#include <string>
#include <vector>

#include "g2ll/v1/checkpoint.pb.h"
#include "g2ll/v1/job.pb.h"
#include "g2ll/v1/telemetry.pb.h"
#include "server/cluster/records.h"

// Records of jobs and what belongs to them <-> messages.
namespace g2ll::wire {

// A job without its events.
v1::Job ToProto(const cluster::JobRecord& job);
v1::JobEvent ToProto(const cluster::EventRecord& event);
v1::Checkpoint ToProto(const cluster::CheckpointRecord& checkpoint);
v1::Failure ToProto(const cluster::FailureRecord& failure);
v1::Progress ToProto(const cluster::JobProgress& progress);
v1::MetricPoint ToProto(const cluster::MetricRecord& point);
v1::LogLine ToProto(const cluster::LogRecord& line);

cluster::FailureRecord FromProto(const v1::Failure& failure);
cluster::JobProgress FromProto(const v1::Progress& progress);

// Copies out of a valid spec with defaults what the control plane needs, and
// keeps the spec itself as bytes that are the same for equal specs.
void ReadSpec(const v1::JobSpec& spec, cluster::JobRecord* job);

// Bytes that are the same for equal messages of this program.
std::string SerializeDeterministic(const google::protobuf::MessageLite& message);

}  // namespace g2ll::wire

#endif  // SERVER_WIRE_JOB_WIRE_H_
