#ifndef WORKER_TRAIN_PHASE_TIMER_H_
#define WORKER_TRAIN_PHASE_TIMER_H_

#include <array>
#include <chrono>
#include <cstddef>

namespace g2ll::train {

// What a training step spends its time on.
enum class Phase {
  kData,        // waiting for the loader
  kModel,       // forward and backward, with the gradient reduction it overlaps
  kCollective,  // agreeing on losses and on stopping
  kOptimizer,   // clipping, AdamW, moving averages
  kOther,       // telemetry and the loop itself
};

// Adds up wall-clock time by phase. Exactly one phase runs at a time.
class PhaseTimer {
 public:
  // Ends the phase that runs and starts `phase`.
  void Enter(Phase phase);
  // Ends the phase that runs; time until the next Enter counts nowhere.
  void Pause();

  // Seconds since the first Enter in all phases.
  double total_seconds() const;
  // Share of `phase` in the total, in percent; 0 before any time was taken.
  double Percent(Phase phase) const;

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kNumPhases = 5;

  std::array<double, kNumPhases> seconds_{};
  Phase phase_ = Phase::kOther;
  bool is_running_ = false;
  Clock::time_point start_;
};

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_PHASE_TIMER_H_
