#ifndef WORKER_AGENT_COORDINATOR_CHANNEL_H_
#define WORKER_AGENT_COORDINATOR_CHANNEL_H_

#include <memory>
#include <string>

#include "g2ll/v1/worker.grpc.pb.h"

namespace g2ll::agent {

// A client of the coordinator's WorkerService at host:port, in plain text. Nothing
// is connected before the first call; a lost connection is tried again within 2 s.
std::unique_ptr<v1::WorkerService::StubInterface> ConnectCoordinator(const std::string& address);

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_COORDINATOR_CHANNEL_H_
