#ifndef WORKER_TRAIN_TRAIN_LOOP_H_
#define WORKER_TRAIN_TRAIN_LOOP_H_

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

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
  // Images of a global batch, and of the last one of every epoch.
  int64_t images_per_step = 1;
  int64_t images_in_last_step = 1;
  // A rank takes its share in so many parts, one after the other, or as many as it
  // has images; at least 1. Their gradients add up before they are reduced.
  int64_t accumulate = 1;
  // Gradient norm at which gradients are clipped; 0: none.
  double clip = 0;
  ClipMode clip_mode = ClipMode::kPerTensor;
  // Updates between two looks at the validation split; 0: once an epoch. The last update
  // is always looked at.
  int64_t validate_every = 0;
  // Matrix products in bf16.
  bool is_bf16 = false;
  torch::Device device = torch::kCPU;
};

// Parts of a share of `num_images` (at least 1) for `accumulate` micro-batches: all
// of the same size, the last one smaller where that does not divide.
std::vector<MicroBatch> SplitShare(int64_t num_images, int64_t accumulate);

// Data-parallel training of any task: the same calls on every rank.
//
// The collaborators must outlive the loop. Not thread-safe.
class TrainLoop {
 public:
  TrainLoop(const TrainLoopOptions& options, TrainTask& task, AdamW& optimizer,
            dist::Collective& collective, Telemetry& telemetry, Checkpointer& checkpointer);

  // Trains from `first_step` to `last_step`, with a checkpoint at the end. Errors
  // carry a FailureKind: a loss or gradient that is not finite ends all ranks at
  // the same step, naming the step, the rank, the tensor, and the image where its
  // pixels are to blame; InvalidArgument where the task cannot accumulate as
  // asked; Cancelled once any rank was asked to stop; Aborted when the
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
  StepResult ComputeLoss(const StepContext& context, const MicroBatch& part);
  // Forward and backward over this rank's share; gradients are those of all ranks.
  StepResult ComputeGradients(const StepContext& context, const std::vector<MicroBatch>& parts,
                              dist::GradientReducer& reducer);
  // `faults`: for each rank which of the values is not finite, as in Agree.
  absl::Status NonFiniteValue(const StepContext& context, const StepResult& result,
                              std::span<const double> faults);
  absl::Status NonFiniteGradient(const StepContext& context, const std::vector<MicroBatch>& parts);
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
