#ifndef WORKER_TRAIN_TRAIN_LOOP_H_
#define WORKER_TRAIN_TRAIN_LOOP_H_

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/dist/collective.h"
#include "worker/run/run_events.h"
#include "worker/train/adamw.h"
#include "worker/train/checkpointer.h"
#include "worker/train/phase_timer.h"
#include "worker/train/telemetry.h"
#include "worker/train/train_task.h"

namespace g2ll::train {

// Where a run begins and ends and how its steps are made.
struct TrainLoopOptions {
  // Updates finished before this attempt, and updates in all.
  int64_t first_step = 0;
  int64_t last_step = 0;
  // Gradient norm at which each tensor is clipped by itself; 0: none.
  double clip = 0;
  // Matrix products in bf16.
  bool is_bf16 = false;
  torch::Device device = torch::kCPU;
  // Random numbers drawn inside the networks are keyed by (seed, step, rank).
  int64_t seed = 0;
};

// Data-parallel training of any task: the same calls on every rank.
//
// The collaborators must outlive the loop. Not thread-safe.
class TrainLoop {
 public:
  TrainLoop(const TrainLoopOptions& options, TrainTask& task, AdamW& optimizer,
            dist::Collective& collective, Telemetry& telemetry, Checkpointer& checkpointer);

  // Trains from `first_step` to `last_step`, with a checkpoint at the end. Errors
  // carry a FailureKind: a loss or gradient that is not finite ends all ranks at
  // the same step; Cancelled once any rank was asked to stop; Aborted when the
  // attempt is fenced. Throws dist::CollectiveError.
  absl::Status Run(std::stop_token stop);

 private:
  // A step's values averaged over the ranks, and whether any rank is to stop.
  struct Agreement {
    Scores values;
    int64_t num_images = 0;
    bool is_stop = false;
  };
  absl::StatusOr<Agreement> Agree(const StepResult& result, const StepContext& context,
                                  bool is_stop);
  StepContext ContextOf(int64_t step) const;
  StepResult ComputeLoss(const StepContext& context);
  absl::Status ValidateAndSave(const StepContext& finished);
  void LogTimeSplit() const;

  TrainLoopOptions options_;
  TrainTask& task_;
  AdamW& optimizer_;
  dist::Collective& collective_;
  Telemetry& telemetry_;
  Checkpointer& checkpointer_;
  PhaseTimer timer_;
};

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_TRAIN_LOOP_H_
