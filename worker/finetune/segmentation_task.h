#ifndef WORKER_FINETUNE_SEGMENTATION_TASK_H_
#define WORKER_FINETUNE_SEGMENTATION_TASK_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/data/batch.h"
#include "worker/data/dataset.h"
#include "worker/data/loader.h"
#include "worker/dist/collective.h"
#include "worker/model/segmentation_network.h"
#include "worker/schedule/schedule.h"
#include "worker/train/train_task.h"

namespace g2ll::finetune {

// Settings of supervised segmentation (method section 4.2).
struct SegmentationTaskOptions {
  model::SegmentationOptions network;
  bool is_encoder_frozen = false;
  schedule::CosineWithWarmup lr;
  schedule::CosineBetween weight_decay;
  int64_t steps_per_epoch = 1;
  // Images of the global batch.
  int64_t images_per_step = 1;
  // Updates between two looks at the validation split; 0: once an epoch.
  int64_t validate_every = 0;
  // Keep the state of the best mean Dice on the validation split.
  bool is_best_kept = false;
  // How validation images are read; batches of so many.
  data::InputOptions input;
  int validation_batch = 16;
  int64_t seed = 0;
  torch::Device device = torch::kCPU;
  torch::Dtype dtype = torch::kFloat32;
};

// Encoder and convolutional decoder trained on masks with 0.5 BCE + 0.5 Dice.
class SegmentationTask final : public train::TrainTask {
 public:
  // Initialises the network from the seed, the same on every rank. `validation`
  // (null: none) and `collective` must outlive the task.
  SegmentationTask(const SegmentationTaskOptions& options,
                   std::unique_ptr<data::SegmentationLoader> loader,
                   const data::Dataset* validation, dist::Collective& collective);

  // Takes the encoder from a safetensors file of timm names (absolute path).
  // Errors: NotFound, DataLoss; FailedPrecondition naming tensors that do not fit.
  absl::Status LoadEncoder(const std::string& file);

  std::string name() const override { return "segmentation"; }
  std::vector<train::NamedParameter> Parameters() override;
  int64_t steps_per_epoch() const override { return options_.steps_per_epoch; }
  train::StepPlan PlanStep(const train::StepContext& context) const override;
  absl::Status LoadBatch(const train::StepContext& context) override;
  // Values: `loss`, `loss/segmentation` (the same number), `loss/bce`, `loss/dice`.
  train::StepResult ComputeLoss(const train::StepContext& context) override;
  void AfterStep(const train::StepContext&) override {}
  bool IsValidationDue(int64_t num_steps) const override;
  // `val/dice`, `val/iou`: means over the images of the validation split of each
  // image's own score at network size. The images are shared out over the ranks.
  absl::StatusOr<train::Scores> Validate() override;
  std::string SelectionScore() const override;
  absl::Status SaveState(checkpoint::CheckpointWriter& writer) const override;
  absl::Status LoadState(const std::string& directory) override;

 private:
  absl::Status LoadValidation();

  SegmentationTaskOptions options_;
  std::unique_ptr<data::SegmentationLoader> loader_;
  const data::Dataset* validation_;
  dist::Collective& collective_;
  data::SegmentationBatch batch_;
  // This rank's validation images, read once: a fixed set that is looked at often.
  std::vector<data::SegmentationBatch> validation_batches_;
  model::SegmentationNetwork network_{nullptr};
};

}  // namespace g2ll::finetune

#endif  // WORKER_FINETUNE_SEGMENTATION_TASK_H_
