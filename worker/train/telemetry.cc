#include "worker/train/telemetry.h"

namespace g2ll::train {
namespace {

constexpr std::chrono::milliseconds kMetricInterval(100);
constexpr std::chrono::milliseconds kProgressInterval(400);
constexpr int64_t kMaxEmissions = 5000;
// Weight of the past in the smoothed speed: a memory of about ten steps.
constexpr double kSmoothing = 0.9;

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Telemetry::Telemetry(const Options& options, run::RunEvents& events, RunRecord& run)
    : options_(options),
      events_(events),
      run_(run),
      stride_((options.total_steps + kMaxEmissions - 1) / kMaxEmissions),
      seconds_before_(run.seconds),
      start_(Clock::now()),
      last_metrics_(start_ - kMetricInterval),
      last_progress_(start_ - kProgressInterval) {}

void Telemetry::OnStep(const StepRecord& step) {
  const Clock::time_point now = Clock::now();
  smoothed_images_ = kSmoothing * smoothed_images_ + static_cast<double>(step.num_images);
  smoothed_seconds_ = kSmoothing * smoothed_seconds_ + step.seconds;
  run_.images += step.num_images;
  run_.seconds = seconds_before_ + Seconds(now - start_);
  run_.images_per_second = run_.seconds > 0 ? static_cast<double>(run_.images) / run_.seconds : 0;

  if (IsDue(step, now)) {
    for (const auto& [name, value] : step.values) {
      Emit(name, value, step.num_steps, step.epoch);
    }
    Emit("lr", step.lr, step.num_steps, step.epoch);
    Emit("grad_norm", step.grad_norm, step.num_steps, step.epoch);
    Emit("images_per_second", smoothed_images_ / smoothed_seconds_, step.num_steps, step.epoch);
  }
  EmitProgress(step, now);
}

void Telemetry::OnScores(const Scores& scores, int64_t num_steps, double epoch) {
  for (const auto& [name, value] : scores) Emit(name, value, num_steps, epoch);
}

bool Telemetry::IsDue(const StepRecord& step, Clock::time_point now) {
  const bool is_always = step.is_notable || step.num_steps == options_.total_steps;
  if (!is_always && (step.num_steps % stride_ != 0 || now - last_metrics_ < kMetricInterval)) {
    return false;
  }
  last_metrics_ = now;
  return true;
}

void Telemetry::Emit(const std::string& name, double value, int64_t num_steps, double epoch) {
  latest_[name] = value;
  run_.series[name].Add(num_steps, value);
  if (!options_.is_silent) events_.OnMetric({name, value, num_steps, epoch});
}

void Telemetry::EmitProgress(const StepRecord& step, Clock::time_point now) {
  const bool is_last = step.num_steps == options_.total_steps;
  if (options_.is_silent || (!is_last && now - last_progress_ < kProgressInterval)) return;
  last_progress_ = now;
  run::Progress progress;
  progress.step = step.num_steps;
  progress.total_steps = options_.total_steps;
  progress.epoch = step.epoch;
  progress.images_per_second = smoothed_images_ / smoothed_seconds_;
  // From the mean over the attempt, so that validation counts too.
  const auto done = static_cast<double>(step.num_steps - options_.first_step);
  const auto left = static_cast<double>(options_.total_steps - step.num_steps);
  progress.eta_seconds = Seconds(now - start_) / done * left;
  events_.OnProgress(progress);
}

}  // namespace g2ll::train
