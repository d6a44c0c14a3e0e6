#ifndef WORKER_FINETUNE_SEGMENTATION_TASK_H_
#define WORKER_FINETUNE_SEGMENTATION_TASK_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/data/batch.h"
#include "worker/data/dataset.h"
#include "worker/data/loader.h"
#include "worker/dist/collective.h"
#include "worker/finetune/weight_average.h"
#include "worker/loss/segmentation_loss.h"
#include "worker/model/segmentation_network.h"
#include "worker/schedule/schedule.h"
#include "worker/train/non_finite_images.h"
#include "worker/train/train_task.h"

namespace g2ll::finetune {

// What is minimised.
enum class LossKind {
  kBceDice,    // 0.5 cross entropy + 0.5 Dice
  kStructure,  // both terms weighted towards the outline
};

// Which state of a run is its result.
enum class Selection {
  kLast,
  kBestDice,  // mean Dice on the validation split
  kBestIoU,   // mean IoU on it
};

// Settings of supervised segmentation (method section 4.2).
struct SegmentationTaskOptions {
  model::SegmentationOptions network;
  // The encoder stays as it was loaded, without stochastic depth.
  bool is_encoder_frozen = false;
  LossKind loss = LossKind::kBceDice;
  // Over what the Dice term of kBceDice is taken; kBatch is the global batch.
  loss::DiceReduction dice_over = loss::DiceReduction::kImage;
  // Momentum of the moving average of the weights, in [0, 1); 0: none is kept.
  double average_momentum = 0;
  // Factor on the rate of each encoder block below the one above it, in (0, 1].
  double layer_decay = 1;
  schedule::LearningRate lr;
  schedule::CosineBetween weight_decay;
  int64_t steps_per_epoch = 1;
  Selection selection = Selection::kLast;
  // How validation images are read; batches of so many.
  data::InputOptions input;
  int validation_batch = 16;
  int64_t seed = 0;
  torch::Device device = torch::kCPU;
  torch::Dtype dtype = torch::kFloat32;
  // Names training images in messages.
  train::ImageName image_id;
};

// A segmentation network trained on masks.
//
// Results do not depend on the number of ranks: batch normalisation and Dice over the
// batch use the global batch, stochastic depth is drawn for each sample.
//
// With an average (`average_momentum`) that is what Validate measures and what the
// checkpoint's `encoder.safetensors` and `segmentation.safetensors` hold; the weights
// that training goes on with are in `raw.safetensors` beside them.
class SegmentationTask final : public train::TrainTask {
 public:
  // Initialises the network from the seed, the same on every rank. `validation`
  // (null: none) and `collective` must outlive the task.
  SegmentationTask(const SegmentationTaskOptions& options,
                   std::unique_ptr<data::SegmentationLoader> loader,
                   const data::Dataset* validation, dist::Collective& collective);

  // Takes the encoder from a safetensors file of timm names (absolute path), fitted to
  // this image size (FitEncoder). Not for a network without an encoder.
  // Errors: NotFound, DataLoss; FailedPrecondition naming tensors that do not fit.
  absl::Status LoadEncoder(const std::string& file);

  std::string name() const override { return "segmentation"; }
  std::vector<train::NamedParameter> Parameters() override;
  int64_t steps_per_epoch() const override { return options_.steps_per_epoch; }
  train::StepPlan PlanStep(const train::StepContext& context) const override;
  // Not with what is taken over the global batch: batch normalisation, Dice over it.
  absl::Status CheckAccumulation() const override;
  absl::StatusOr<int64_t> LoadBatch(const train::StepContext& context) override;
  // Values: `loss`, `loss/segmentation` (the same number), `loss/bce`, and `loss/dice`
  // or, for kStructure, `loss/iou`.
  train::StepResult ComputeLoss(const train::StepContext& context,
                                const train::MicroBatch& part) override;
  std::string NonFiniteInput() const override;
  void AfterStep(const train::StepContext& context, const train::Scores&) override;
  // `val/dice`, `val/iou`: means over the images of the validation split of each
  // image's own score at network size. The images are shared out over the ranks.
  absl::StatusOr<train::Scores> Validate() override;
  // Where the task's result sees a lesion: images [B,3,S,S] -> [B,1,S,S] bool on the CPU.
  torch::Tensor Predict(const torch::Tensor& images);
  std::string SelectionScore() const override;
  absl::Status SaveState(checkpoint::CheckpointWriter& writer) const override;
  absl::Status LoadState(const std::string& directory) override;

 private:
  // A named loss and the terms that it is made of, scaled as StepResult asks.
  struct Terms {
    torch::Tensor total;
    std::vector<std::pair<std::string, torch::Tensor>> parts;
  };
  Terms ComputeTerms(const torch::Tensor& logits, const torch::Tensor& masks, double share) const;
  // The encoder's stochastic depth for a part of the batch; undefined: none.
  torch::Tensor KeepScales(const train::StepContext& context, const train::MicroBatch& part) const;
  // The network that is the task's result so far.
  model::SegmentationNetwork result() const { return average_ ? average_->network() : network_; }
  absl::Status LoadValidation();

  SegmentationTaskOptions options_;
  std::unique_ptr<data::SegmentationLoader> loader_;
  const data::Dataset* validation_;
  dist::Collective& collective_;
  data::SegmentationBatch batch_;
  // This rank's validation images, read once: a fixed set that is looked at often.
  std::vector<data::SegmentationBatch> validation_batches_;
  model::SegmentationNetwork network_{nullptr};
  std::optional<WeightAverage> average_;
};

}  // namespace g2ll::finetune

#endif  // WORKER_FINETUNE_SEGMENTATION_TASK_H_
