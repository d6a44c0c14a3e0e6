#ifndef WORKER_SCHEDULE_SCHEDULE_H_
#define WORKER_SCHEDULE_SCHEDULE_H_

#include <cstdint>

namespace g2ll::schedule {

// All schedules are pure functions of the 0-based step or epoch and are read
// before that step. Values after the end stay at the last value.

// Learning rate: linear from 0 to `peak` over the warm-up, then half a cosine
// down to `min` at `total_steps`.
struct CosineWithWarmup {
  double peak = 0;
  double min = 0;
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;  // including the warm-up

  double At(int64_t step) const;
};

// Half a cosine from `start` to `end` (EMA momentum, weight decay); `end` is
// reached at `total_steps`, one step after the last.
struct CosineBetween {
  double start = 0;
  double end = 0;
  int64_t total_steps = 1;

  double At(int64_t step) const;
};

// Half a cosine from `peak` to `min` over `half_period` steps or epochs, and back
// again, without an end: fine-tuning's `cosine_T20` is `half_period` 20, read once
// per epoch (method section 4.2).
struct OscillatingCosine {
  double peak = 0;
  double min = 0;
  int64_t half_period = 20;  // at least 1

  double At(int64_t step) const;
};

// Learning rate of a run: linear from 0 to `peak` over the warm-up, then a course.
struct LearningRate {
  enum class Course {
    kCosine,       // CosineWithWarmup
    kConstant,     // `peak`
    kOscillating,  // OscillatingCosine of 20 epochs down and 20 up, read once an epoch
  };

  double peak = 0;
  double min = 0;
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;  // including the warm-up
  Course course = Course::kCosine;
  int64_t steps_per_epoch = 1;  // for kOscillating

  double At(int64_t step) const;
};

// Teacher temperature: `warm_epochs` equally spaced values from `start` to `end`,
// then `end`. Without warm-up it is `end` throughout.
struct TeacherTemperature {
  double start = 0.04;
  double end = 0.04;
  int64_t warm_epochs = 0;

  double At(int64_t epoch) const;
};

}  // namespace g2ll::schedule

#endif  // WORKER_SCHEDULE_SCHEDULE_H_
