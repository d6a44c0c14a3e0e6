#ifndef PROTO_COMMON_STEADY_TIME_H_
#define PROTO_COMMON_STEADY_TIME_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

// Waiting by the monotonic clock. What abseil's mutex offers goes by the wall clock:
// setting the host's time back by an hour would make a wait of a second last an hour.
namespace g2ll::steady {

// A moment that lies `timeout` after its construction.
class Deadline {
 public:
  explicit Deadline(absl::Duration timeout) : start_(Clock::now()), timeout_(timeout) {}

  // Negative once it has passed; infinite if the time-out is.
  absl::Duration left() const { return timeout_ - absl::FromChrono(Clock::now() - start_); }
  bool passed() const { return left() <= absl::ZeroDuration(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_;
  absl::Duration timeout_;
};

// Lets threads wait for a change of what an absl::Mutex guards, for a bounded time.
class Condition {
 public:
  // Something has changed: those who wait look again. The mutex MUST have been held
  // since, or must be held now.
  void NotifyAll() { changed_.notify_all(); }

  // Waits until `ready()` holds or the time is over; returns whether it holds. `mutex`
  // is held when called, when `ready` runs, and on return.
  template <typename Ready>
  bool AwaitFor(absl::Mutex& mutex, absl::Duration timeout,
                const Ready& ready) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    // Longer ones would overflow the clock.
    constexpr absl::Duration kLongest = absl::Hours(24 * 365);
    Lock lock{mutex};
    return changed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(timeout, kLongest)), ready);
  }

 private:
  // The names that the library wants.
  struct Lock {
    absl::Mutex& mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Unlock(); }
  };

  std::condition_variable_any changed_;
};

}  // namespace g2ll::steady

#endif  // PROTO_COMMON_STEADY_TIME_H_
