#ifndef WORKER_AGENT_DATA_CHECK_QUEUE_H_
#define WORKER_AGENT_DATA_CHECK_QUEUE_H_

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "g2ll/v1/worker.pb.h"
#include "worker/agent/data_checker.h"

namespace g2ll::agent {

// Runs the data checks that the coordinator asks for, one after another, each once,
// and keeps a result for as long as the coordinator asks for it. Thread safe.
class DataCheckQueue {
 public:
  // `checker` outlives this object. `on_result` is called after each check.
  DataCheckQueue(DataChecker& checker, std::function<void()> on_result);
  // Kills a check that is under way.
  ~DataCheckQueue();

  // All checks that are wanted now; results and waiting checks of others are dropped.
  void SetWanted(const google::protobuf::RepeatedPtrField<v1::DataCheck>& wanted)
      ABSL_LOCKS_EXCLUDED(mutex_);

  std::vector<v1::DataCheckResult> Results() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    v1::DataCheck check;
    std::optional<v1::DataCheckResult> result;
  };

  void Loop(std::stop_token stop);
  std::optional<v1::DataCheck> Next(std::stop_token stop) ABSL_LOCKS_EXCLUDED(mutex_);
  const Entry* FirstOpen() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  DataChecker& checker_;
  const std::function<void()> on_result_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);  // by id
  std::jthread thread_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_DATA_CHECK_QUEUE_H_
