#ifndef SERVER_COORDINATOR_COORDINATOR_H_
#define SERVER_COORDINATOR_COORDINATOR_H_

#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/common/steady_time.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {

// The one thread that owns the core. It takes all waiting commands, runs them,
// makes their changes durable with one synced transaction, and only then answers.
// Thread safe.
class Coordinator {
 public:
  using Command = std::function<void(Core& core, absl::Time now)>;

  struct Options {
    absl::Duration tick = absl::Seconds(1);
    // Commands that wait; more are refused.
    size_t queue_capacity = 65536;
    // Never falls nor jumps. Called on the coordinator's thread.
    std::function<absl::Time()> clock;
    // Called once, on the coordinator's thread, if the store cannot be used any more.
    std::function<void(const absl::Status&)> on_broken;
  };

  // `core` has been started and outlives the coordinator.
  Coordinator(Core* core, Options options);
  // Runs what is queued, then ends.
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // Queues a command; false if the queue is full or the coordinator has stopped.
  bool Post(Command command) ABSL_LOCKS_EXCLUDED(mutex_);

  // Runs `command` and calls `answer` with its result after the commit, or with
  // the error that kept it from being stored. `answer` runs on the coordinator's
  // thread (or on this one if the queue is full) and MUST return at once.
  template <typename Result>
  void Call(std::function<absl::StatusOr<Result>(Core&, absl::Time)> command,
            std::function<void(absl::StatusOr<Result>)> answer) {
    const bool queued = Post([command = std::move(command), answer](Core& core, absl::Time now) {
      core.AfterCommit(
          [answer, result = command(core, now)](const absl::Status& committed) mutable {
            answer(committed.ok() ? std::move(result) : absl::StatusOr<Result>(committed));
          });
    });
    if (!queued) {
      answer(Overloaded());
    }
  }

  // All jobs for those who watch them; thread safe.
  JobFeed& feed() { return core_->feed(); }

  // What a command that could not be queued is answered with.
  static absl::Status Overloaded();

 private:
  void Run();

  Core* const core_;
  const Options options_;
  absl::Mutex mutex_;
  steady::Condition changed_;  // of what mutex_ guards
  std::deque<Command> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_COORDINATOR_H_
