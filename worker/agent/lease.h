#ifndef WORKER_AGENT_LEASE_H_
#define WORKER_AGENT_LEASE_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace g2ll::agent {

// How long this worker may commit without hearing from the coordinator again.
//
// Counted on a monotonic clock from when the newest state that the coordinator has
// heard was *sent*, so that the worker's lease always ends before the coordinator's
// view of it. The fence that counts is the coordinator's check of the epoch; the lease
// keeps a worker that is cut off from trying. Thread safe.
class Lease {
 public:
  using Clock = std::chrono::steady_clock;

  // The state with this number, which is above all earlier ones, goes out now.
  void OnSent(int64_t sequence, Clock::time_point now) ABSL_LOCKS_EXCLUDED(mutex_);
  // The coordinator has heard the state with this number and grants `duration` from when
  // it was sent. The same or an older number again has no effect.
  void OnAnswer(int64_t sequence, absl::Duration duration) ABSL_LOCKS_EXCLUDED(mutex_);

  // The lease holds, with a margin for a commit that is on its way.
  bool Holds(Clock::time_point now) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Time since the state was sent from which the lease counts; nothing before the first.
  std::optional<absl::Duration> Age(Clock::time_point now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  // States whose answer may still come, oldest first.
  std::deque<std::pair<int64_t, Clock::time_point>> sent_ ABSL_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> start_ ABSL_GUARDED_BY(mutex_);
  absl::Duration duration_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_LEASE_H_
