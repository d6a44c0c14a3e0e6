#include "worker/schedule/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace g2ll::schedule {
namespace {

// `end` + the part of (start - end) that half a cosine leaves at `done` in [0,1].
double HalfCosine(double start, double end, double done) {
  const double clamped = std::clamp(done, 0.0, 1.0);
  return end + 0.5 * (start - end) * (1 + std::cos(std::numbers::pi * clamped));
}

double Ratio(int64_t part, int64_t whole) {
  return whole <= 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double CosineWithWarmup::At(int64_t step) const {
  if (step < warmup_steps) return peak * Ratio(std::max<int64_t>(step, 0), warmup_steps);
  return HalfCosine(peak, min, Ratio(step - warmup_steps, total_steps - warmup_steps));
}

double CosineBetween::At(int64_t step) const {
  return HalfCosine(start, end, Ratio(step, total_steps));
}

double OscillatingCosine::At(int64_t step) const {
  const int64_t length = std::max<int64_t>(half_period, 1);
  const int64_t phase = std::max<int64_t>(step, 0) % (2 * length);
  return HalfCosine(peak, min, Ratio(std::min(phase, 2 * length - phase), length));
}

double LearningRate::At(int64_t step) const {
  const CosineWithWarmup cosine{peak, min, warmup_steps, total_steps};
  if (step < warmup_steps) return cosine.At(step);
  switch (course) {
    case Course::kCosine:
      return cosine.At(step);
    case Course::kConstant:
      return peak;
    case Course::kOscillating:
      break;
  }
  const int64_t epoch = (step - warmup_steps) / std::max<int64_t>(steps_per_epoch, 1);
  return OscillatingCosine{peak, min, /*half_period=*/20}.At(epoch);
}

double TeacherTemperature::At(int64_t epoch) const {
  if (epoch >= warm_epochs - 1) return end;
  return start + (end - start) * Ratio(std::max<int64_t>(epoch, 0), warm_epochs - 1);
}

}  // namespace g2ll::schedule
