#ifndef WORKER_AGENT_STORE_PROCESS_H_
#define WORKER_AGENT_STORE_PROCESS_H_

#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/agent/process_spawner.h"
#include "worker/run/unique_fd.h"

namespace g2ll::agent {

// The rendezvous store of one attempt: `g2ll-trainer store`, a process of its own so
// that it outlives a rank that crashes and never meets a rank of another attempt.
class StoreProcess {
 public:
  // Starts it on a free port of `host`, this host's name or address for its peers, and
  // waits until it serves. Errors: those of Spawn; DeadlineExceeded after `timeout`;
  // Cancelled; Unavailable (it ended before it served).
  static absl::StatusOr<std::unique_ptr<StoreProcess>> Start(ProcessSpawner& spawner,
                                                             const std::string& trainer,
                                                             const std::string& host,
                                                             absl::Duration timeout,
                                                             std::stop_token stop);
  // Ends it: closes its channel, then kills it.
  ~StoreProcess();

  int port() const { return port_; }
  int pid() const { return static_cast<int>(child_->pid()); }

 private:
  StoreProcess(std::unique_ptr<ChildProcess> child, run::UniqueFd channel)
      : child_(std::move(child)), channel_(std::move(channel)) {}

  absl::Status AwaitServing(absl::Duration timeout, std::stop_token stop);

  std::unique_ptr<ChildProcess> child_;
  run::UniqueFd channel_;
  int port_ = 0;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_STORE_PROCESS_H_
