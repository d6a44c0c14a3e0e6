#ifndef WORKER_AGENT_DATA_CHECKER_H_
#define WORKER_AGENT_DATA_CHECKER_H_

#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
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

  // Checks one source; waits for the child. Data that cannot be used is a result with
  // ok = false and one line that says why. Errors, which say nothing about the data:
  // those of Spawn, Internal (the child died or printed nonsense), Cancelled (`stop`
  // was requested, the child was killed).
  absl::StatusOr<v1::DataCheckResult> Check(const v1::DataCheck& check, std::stop_token stop);

 private:
  ProcessSpawner& spawner_;
  const AgentSettings& settings_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_DATA_CHECKER_H_
