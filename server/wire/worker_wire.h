#ifndef SERVER_WIRE_WORKER_WIRE_H_
#define SERVER_WIRE_WORKER_WIRE_H_

#include <functional>
#include <map>
#include <string>

#include "g2ll/v1/admin.pb.h"
#include "g2ll/v1/worker.pb.h"
#include "server/cluster/worker_records.h"

// What workers say and hear <-> messages.
namespace g2ll::wire {

// A longer log line is cut.
inline constexpr size_t kMostLogBytes = 16 * 1024;

// Texts for people, addresses, and names of metrics come out without control
// characters and cut at their limits, whatever the worker sent.
cluster::WorkerReport FromProto(const v1::SessionRequest& state);
cluster::TelemetryBatch FromProto(const v1::PushTelemetryRequest& batch);
// Deadlines travel as the time that is left when it is pushed.
// Metrics of a checkpoint, at most as many as a job has series.
std::map<std::string, double> MetricsOf(const v1::CommitCheckpointRequest& request);
v1::DesiredState ToProto(const cluster::DesiredWorker& desired, const cluster::PushStamp& stamp);

// `job_name` gives the full name of a job uid.
v1::Worker ToProto(const cluster::WorkerRecord& worker,
                   const std::function<std::string(const std::string&)>& job_name);

}  // namespace g2ll::wire

#endif  // SERVER_WIRE_WORKER_WIRE_H_
