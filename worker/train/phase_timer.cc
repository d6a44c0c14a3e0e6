#include "worker/train/phase_timer.h"

#include <numeric>

namespace g2ll::train {

void PhaseTimer::Enter(Phase phase) {
  const Clock::time_point now = Clock::now();
  if (is_running_) {
    seconds_[static_cast<size_t>(phase_)] += std::chrono::duration<double>(now - start_).count();
  }
  phase_ = phase;
  start_ = now;
  is_running_ = true;
}

void PhaseTimer::Pause() {
  if (is_running_) Enter(phase_);
  is_running_ = false;
}

double PhaseTimer::total_seconds() const {
  return std::accumulate(seconds_.begin(), seconds_.end(), 0.0);
}

double PhaseTimer::Percent(Phase phase) const {
  const double total = total_seconds();
  return total > 0 ? 100 * seconds_[static_cast<size_t>(phase)] / total : 0;
}

}  // namespace g2ll::train
