#ifndef WORKER_AGENT_DATA_CHECKER_H_
#define WORKER_AGENT_DATA_CHECKER_H_

#include <stop_token>
#include <string>

#include "g2ll/v1/worker.pb.h"
#include "worker/agent/process_spawner.h"
#include "worker/agent/settings.h"

namespace g2ll::agent {

// Looks at data sets through `g2ll-trainer tool check-data`, because the agent
// itself reads no images. Thread safe.
class DataChecker {
 public:
  // Both outlive this object.
  DataChecker(ProcessSpawner& spawner, const AgentSettings& settings)
      : spawner_(spawner), settings_(settings) {}

  // Checks one source; waits for the child. A child that cannot be started, dies or
  // prints nonsense is a result with ok = false and one line that says so. Once
  // `stop` is requested the child is killed.
  v1::DataCheckResult Check(const v1::DataCheck& check, std::stop_token stop);

 private:
  ProcessSpawner& spawner_;
  const AgentSettings& settings_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_DATA_CHECKER_H_
