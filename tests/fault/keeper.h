#ifndef TESTS_FAULT_KEEPER_H_
#define TESTS_FAULT_KEEPER_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/sim/coordinator_process.h"

namespace g2ll::fault {

// Starts the coordinator again whenever it has ended, as a service manager would.
// Thread safe.
class Keeper {
 public:
  struct Options {
    sim::CoordinatorProcess::Options process;
    // G2LL_FAILPOINTS of the first start, the second one and so on; none afterwards.
    std::deque<std::string> failpoints;
  };

  // Waits until the coordinator listens, which may take several starts.
  explicit Keeper(Options options);
  // Kills the coordinator.
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  const std::string& address() const { return address_; }
  const std::string& directory() const { return options_.process.directory; }
  std::string storage_root() const { return directory() + "/storage"; }
  std::string data_dir() const { return directory() + "/data"; }

  // SIGKILL. Returns once it has ended; it starts again by itself.
  void Kill();
  // Runs `action` while the coordinator runs and listens, on the keeper's thread.
  void With(const std::function<void(sim::CoordinatorProcess&)>& action);
  // SIGTERM, for good. Returns the exit code of the last process; one that dies while it
  // stops is started and asked again.
  absl::StatusOr<int> Stop(absl::Duration limit);
  // How often it was started after it had ended.
  int restarts() const;

 private:
  void Keep(const std::stop_token& stop);
  std::map<std::string, std::string> NextEnvironment();
  void EnsureRunning();

  Options options_;
  std::string address_;
  // Of the keeper's thread.
  std::unique_ptr<sim::CoordinatorProcess> process_;

  mutable absl::Mutex mutex_;
  std::deque<std::function<void()>> actions_ ABSL_GUARDED_BY(mutex_);
  int starts_ ABSL_GUARDED_BY(mutex_) = 0;
  bool listening_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace g2ll::fault

#endif  // TESTS_FAULT_KEEPER_H_
