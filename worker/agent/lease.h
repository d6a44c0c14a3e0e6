#ifndef WORKER_AGENT_LEASE_H_
#define WORKER_AGENT_LEASE_H_

#include <chrono>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace g2ll::agent {

// How long this worker may commit without hearing from the coordinator again.
//
// Counted on a monotonic clock from when the state that was answered was *sent*, so
// that the worker's lease always ends before the coordinator's view of it. The
// fence that counts is the coordinator's check of the epoch; the lease keeps a
// worker that is cut off from trying. Thread safe.
class Lease {
 public:
  using Clock = std::chrono::steady_clock;

  // A state goes out now.
  void OnSent(Clock::time_point now) ABSL_LOCKS_EXCLUDED(mutex_);
  // An answer came that grants `duration`; it answers a state that was on its way
  // when the answer before came, or the first of its stream.
  void OnAnswer(absl::Duration duration) ABSL_LOCKS_EXCLUDED(mutex_);
  // A new stream: states sent on the old one are not answered any more.
  void OnNewStream() ABSL_LOCKS_EXCLUDED(mutex_);

  // The lease holds, with a margin for a commit that is on its way.
  bool Holds(Clock::time_point now) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Time since the state was sent from which the lease counts; nothing before the first.
  std::optional<absl::Duration> Age(Clock::time_point now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::optional<Clock::time_point> last_sent_ ABSL_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> next_start_ ABSL_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> start_ ABSL_GUARDED_BY(mutex_);
  absl::Duration duration_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_LEASE_H_
