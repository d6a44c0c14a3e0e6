#ifndef WORKER_AGENT_BACKOFF_H_
#define WORKER_AGENT_BACKOFF_H_

#include <stop_token>

#include "absl/random/random.h"
#include "absl/time/time.h"

namespace g2ll::agent {

// Waits of growing length between tries, each shortened by a random part so that
// many agents do not come back at the same moment. Not thread safe.
class Backoff {
 public:
  Backoff() : Backoff(absl::Milliseconds(100), absl::Seconds(3)) {}
  Backoff(absl::Duration first, absl::Duration longest)
      : first_(first), longest_(longest), next_(first) {}

  // Length of the next wait: between half and all of 1, 2, 4, ... times `first`.
  absl::Duration Next();
  // Start again from `first`, after a success.
  void Reset() { next_ = first_; }

 private:
  absl::Duration first_;
  absl::Duration longest_;
  absl::Duration next_;
  absl::BitGen random_;
};

// Waits; returns early, with false, once `stop` is requested.
bool SleepFor(absl::Duration duration, std::stop_token stop);

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_BACKOFF_H_
