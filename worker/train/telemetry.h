#ifndef WORKER_TRAIN_TELEMETRY_H_
#define WORKER_TRAIN_TELEMETRY_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "worker/run/run_events.h"
#include "worker/train/history.h"
#include "worker/train/train_task.h"

namespace g2ll::train {

// One finished update, the same on every rank.
struct StepRecord {
  int64_t num_steps = 0;  // updates finished, this one included
  double epoch = 0;       // passes over the data finished, with fraction
  Scores values;          // means over the ranks; the first is the loss
  double lr = 0;
  double grad_norm = 0;     // over all gradients, before clipping
  int64_t num_images = 0;   // over all ranks
  double seconds = 0;       // wall-clock time of this update
  bool is_notable = false;  // shown whatever the limits below say
};

// Turns finished steps into metrics, progress and the run's history.
//
// Metrics of a step go out together, at most ten times a second and at most
// 5,000 times a run, notable steps and the last one always; the history gets what
// goes out.
// Losses are means over the ranks of that one step, not over time.
class Telemetry {
 public:
  struct Options {
    int64_t first_step = 0;
    int64_t total_steps = 0;
    // Only rank 0 speaks; the others keep the books and stay silent.
    bool is_silent = false;
  };

  // `run` is the record of this job, with what earlier attempts left in it. Both
  // references must outlive this object.
  Telemetry(const Options& options, run::RunEvents& events, RunRecord& run);

  void OnStep(const StepRecord& step);
  void OnScores(const Scores& scores, int64_t num_steps, double epoch);

  // Newest value of every metric.
  const std::map<std::string, double>& latest() const { return latest_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool IsDue(const StepRecord& step, Clock::time_point now);
  void Emit(const std::string& name, double value, int64_t num_steps, double epoch);
  void EmitProgress(const StepRecord& step, Clock::time_point now);

  Options options_;
  run::RunEvents& events_;
  RunRecord& run_;
  std::map<std::string, double> latest_;
  int64_t stride_;
  double seconds_before_;
  double smoothed_images_ = 0, smoothed_seconds_ = 0;
  Clock::time_point start_, last_metrics_, last_progress_;
};

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_TELEMETRY_H_
