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
};

// What the optimiser does at a step.
struct StepPlan {
  double lr = 0;
  double weight_decay = 0;
  // Parameters that this step leaves alone.
  std::vector<std::string> frozen;
};

// What a rank's share of a batch gave.
struct StepResult {
  // Scalar to be minimised. Scaled so that the mean over the ranks is the loss of
  // the global batch, also where the ranks' shares differ in size.
  torch::Tensor loss;
  // Scalars to be shown, by metric name, scaled the same way, detached. The
  // first is the loss itself. A value that is not finite ends the run.
  std::vector<std::pair<std::string, torch::Tensor>> values;
  // Images of this rank's share.
  int64_t num_images = 0;
};

// A score by metric name.
using Scores = std::vector<std::pair<std::string, double>>;

// What is trained and how its loss is made: one implementation per method. The
// loop around it knows none of them by name.
//
// Called from one thread. Collectives are made in ComputeLoss (the statistics
// of batch normalisation), AfterStep and Validate, on all ranks alike.
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

  // Takes this rank's share of the step's batch; waits for it. Errors: DataLoss.
  virtual absl::Status LoadBatch(const StepContext& context) = 0;

  // Forward pass over that batch, with a graph for the backward pass.
  virtual StepResult ComputeLoss(const StepContext& context) = 0;

  // After the optimiser's update: moving averages.
  virtual void AfterStep(const StepContext& context) = 0;

  // Whether to look at the validation split after `num_steps` updates.
  virtual bool IsValidationDue(int64_t num_steps) const = 0;

  // Scores on the validation split, the same on every rank; none where the task
  // has no such split. Also called at the end of a run. Errors: DataLoss.
  virtual absl::StatusOr<Scores> Validate() = 0;

  // Name of the score by which the best state is kept; empty: only the last is.
  virtual std::string SelectionScore() const = 0;

  // Adds the networks to a checkpoint. Errors: Unavailable (cannot write).
  virtual absl::Status SaveState(checkpoint::CheckpointWriter& writer) const = 0;

  // Takes over the networks of a verified checkpoint directory (absolute).
  // Errors: DataLoss, InvalidArgument naming the tensors that do not fit.
  virtual absl::Status LoadState(const std::string& directory) = 0;
};

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_TRAIN_TASK_H_
