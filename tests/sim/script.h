#ifndef TESTS_SIM_SCRIPT_H_
#define TESTS_SIM_SCRIPT_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace g2ll::sim {

// What the simulated trainers of an attempt do. Rank 0 takes steps, reports points at
// each one and commits checkpoints; the gang ends when it has taken the last step and
// everything is acknowledged. An attempt that resumes begins behind the step of its
// checkpoint. Evaluations write a report in place of checkpoints.
struct AttemptScript {
  int64_t steps = 2;
  // Time of a step; zero: as fast as the coordinator stores them.
  absl::Duration step_time = absl::ZeroDuration();
  // Shortest time between two reports; the steps in between go into one.
  absl::Duration report_every = absl::ZeroDuration();
  // Metric points per step: `loss`, `m1`, `m2`, ...
  int32_t points_per_step = 1;
  // Log lines per step.
  int32_t lines_per_step = 0;
  // Steps between checkpoints; 0: only after the last step.
  int64_t checkpoint_every = 0;
  // The gang stays in training after the last step until Fleet::Release.
  bool hold = false;
};

// Name and value of point `index` of a step, the same in every attempt.
std::string PointName(int32_t index);
double PointValue(int32_t index, int64_t step);

}  // namespace g2ll::sim

#endif  // TESTS_SIM_SCRIPT_H_
