#ifndef SERVER_WIRE_QUEUE_WIRE_H_
#define SERVER_WIRE_QUEUE_WIRE_H_

#include "g2ll/v1/job.pb.h"
#include "g2ll/v1/queue.pb.h"
#include "server/cluster/explanation.h"
#include "server/cluster/records.h"

// Queues, projects and why jobs wait -> messages.
namespace g2ll::wire {

v1::JobExplanation ToProto(const cluster::JobExplanation& explanation);
// Without what is counted.
v1::Queue ToProto(const cluster::QueueRecord& queue);
v1::Project ToProto(const cluster::ProjectRecord& project);

}  // namespace g2ll::wire

#endif  // SERVER_WIRE_QUEUE_WIRE_H_
