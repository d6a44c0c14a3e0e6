#ifndef WORKER_TRAIN_TRAIN_TASK_H_
#define WORKER_TRAIN_TRAIN_TASK_H_

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/train/adamw.h"

namespace g2ll::checkpoint {
class CheckpointWriter;
}

namespace g2ll::train {

// Where in its run a step is.
struct StepContext {
  // Optimiser updates finished before this step, from 0.
  int64_t step = 0;
  // Passes over the data finished before this step, with fraction.
  double epoch = 0;
  // Images of this step's global batch, over all ranks.
  int64_t num_images = 1;
};

// A part of a rank's share of a batch: its images [begin, end).
struct MicroBatch {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// What a part's mean counts for: summed over the parts of a share and averaged
// over the ranks, means with this factor are the mean over the global batch.
inline double WeightOf(const MicroBatch& part, const StepContext& context, int world_size) {
  return static_cast<double>(part.size() * world_size) / static_cast<double>(context.num_images);
}

// What the optimiser does at a step.
struct StepPlan {
  double lr = 0;
  double weight_decay = 0;
  // Parameters that this step leaves alone.
  std::vector<std::string> frozen;
};

// What a part of a rank's share of a batch gave.
struct StepResult {
  // Scalar to be minimised. Scaled so that the sum over the parts and the mean
  // over the ranks is the loss of the global batch, also where parts or shares
  // differ in size (WeightOf).
  torch::Tensor loss;
  // Scalars to be shown, by metric name, scaled the same way, detached. The
  // first is the loss itself. The same names for all parts and ranks of a step.
  // A value that is not finite ends the run.
  std::vector<std::pair<std::string, torch::Tensor>> values;
  // Images of this part.
  int64_t num_images = 0;
  // The values are shown even where a fast run shows only some of its steps.
  bool is_notable = false;
};

// A score by metric name.
using Scores = std::vector<std::pair<std::string, double>>;

// What is trained and how its loss is made: one implementation per method. The
// loop around it knows none of them by name.
//
// Called from one thread. Collectives are made in ComputeLoss (statistics over the
// global batch), AfterStep and Validate, on all ranks alike.
class TrainTask {
 public:
  virtual ~TrainTask() = default;

  // For log lines.
  virtual std::string name() const = 0;

  // All parameters that take part in the loss, in an order that is the same on
  // every rank. Names are unique.
  virtual std::vector<NamedParameter> Parameters() = 0;

  // Updates in one pass over the data.
  virtual int64_t steps_per_epoch() const = 0;

  // Learning rate, decay and frozen parameters. A pure function of the step.
  virtual StepPlan PlanStep(const StepContext& context) const = 0;

  // Whether ComputeLoss may get a share in more than one part. Error:
  // InvalidArgument saying why not, for a user of `train.accumulate`.
  virtual absl::Status CheckAccumulation() const { return absl::OkStatus(); }

  // Takes this rank's share of the step's batch; waits for it. Returns the number
  // of its images, at least 1. Errors: DataLoss.
  virtual absl::StatusOr<int64_t> LoadBatch(const StepContext& context) = 0;

  // Forward pass over a part of that batch, with a graph for the backward pass.
  // Called for all parts of the share in order, the first from image 0 on; each
  // part's backward pass is over before the next part begins. Whatever is random
  // is keyed by the sample, so that no result depends on parts and ranks.
  virtual StepResult ComputeLoss(const StepContext& context, const MicroBatch& part) = 0;

  // Names the images of the loaded share that hold a NaN or an infinite value,
  // for a step that failed; empty: none does.
  virtual std::string NonFiniteInput() const { return ""; }

  // After the optimiser's update: moving averages. `values`: what the step showed, means
  // over the ranks.
  virtual void AfterStep(const StepContext& context, const Scores& values) = 0;

  // Scores on the validation split, the same on every rank; none where the task
  // has no such split. Errors: DataLoss.
  virtual absl::StatusOr<Scores> Validate() = 0;

  // Name of the score by which the best state is kept; empty: only the last is.
  virtual std::string SelectionScore() const = 0;

  // Adds the networks to a checkpoint. Errors: Unavailable (cannot write).
  virtual absl::Status SaveState(checkpoint::CheckpointWriter& writer) const = 0;

  // Takes over the networks of a verified checkpoint directory (absolute).
  // Errors: DataLoss, FailedPrecondition naming the tensors that do not fit.
  virtual absl::Status LoadState(const std::string& directory) = 0;
};

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_TRAIN_TASK_H_
