#include "worker/agent/backoff.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace g2ll::agent {

absl::Duration Backoff::Next() {
  const absl::Duration wait = next_ * absl::Uniform(random_, 0.5, 1.0);
  next_ = std::min(next_ * 2, longest_);
  return wait;
}

bool SleepFor(absl::Duration duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, absl::ToChronoNanoseconds(duration), [] { return false; });
  return !stop.stop_requested();
}

}  // namespace g2ll::agent
