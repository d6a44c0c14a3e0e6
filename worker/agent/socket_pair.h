#ifndef WORKER_AGENT_SOCKET_PAIR_H_
#define WORKER_AGENT_SOCKET_PAIR_H_

#include "absl/status/statusor.h"
#include "worker/run/unique_fd.h"

namespace g2ll::agent {

// Two connected ends of a channel between the agent and a child.
struct SocketPair {
  run::UniqueFd agent;
  run::UniqueFd child;
};

// Errors: ResourceExhausted.
absl::StatusOr<SocketPair> MakeSocketPair();

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_SOCKET_PAIR_H_
