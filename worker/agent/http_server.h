#ifndef WORKER_AGENT_HTTP_SERVER_H_
#define WORKER_AGENT_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/agent/agent.h"

namespace g2ll::agent {

// Prometheus text of the numbers; names begin with `g2ll_worker_`.
std::string MetricsText(const Agent::Snapshot& snapshot, const std::string& version);

// Serves /metrics, /healthz (the process lives) and /readyz (the coordinator has
// answered, and the session is open) over HTTP, from threads of its own.
class HttpServer {
 public:
  // The numbers at this moment; called for every request.
  using SnapshotSource = std::function<Agent::Snapshot()>;

  // Binds, so that the port is known before the agent registers. `address` is
  // host:port, port 0 is any free one. Errors: InvalidArgument, Unavailable (the
  // address is in use or not this host's).
  static absl::StatusOr<std::unique_ptr<HttpServer>> Bind(const std::string& address,
                                                          const std::string& version);
  ~HttpServer();

  // Starts to serve.
  void Serve(SnapshotSource source);

  // host:port that it listens on.
  const std::string& address() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_HTTP_SERVER_H_
