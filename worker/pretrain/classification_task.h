#ifndef WORKER_PRETRAIN_CLASSIFICATION_TASK_H_
#define WORKER_PRETRAIN_CLASSIFICATION_TASK_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/data/classification_loader.h"
#include "worker/data/dataset.h"
#include "worker/dist/collective.h"
#include "worker/loss/classification_loss.h"
#include "worker/model/classifier.h"
#include "worker/schedule/schedule.h"
#include "worker/train/non_finite_images.h"
#include "worker/train/train_task.h"

namespace g2ll::pretrain {

// Settings of the baseline `Supervise` (method section 5).
struct ClassificationTaskOptions {
  model::ClassifierOptions network;
  loss::ClassificationOptions loss;
  schedule::LearningRate lr;
  schedule::CosineBetween weight_decay;
  int64_t steps_per_epoch = 1;
  // How validation images are read; batches of so many.
  data::InputOptions input;
  int validation_batch = 32;
  int64_t seed = 0;
  torch::Device device = torch::kCPU;
  // float64 is for tests that compare runs.
  torch::Dtype dtype = torch::kFloat32;
  // Names training images in messages.
  train::ImageName image_id;
};

// Encoder and linear classifier trained on diagnoses with weighted cross entropy. The
// weights of the whole global batch divide the loss, so that it does not depend on how
// the batch is shared out over ranks and parts.
class ClassificationTask final : public train::TrainTask {
 public:
  // Initialises the network from the seed, the same on every rank. `validation` (null:
  // none; opened with `needs_classes`, of the same classes) and `collective` must
  // outlive the task.
  ClassificationTask(const ClassificationTaskOptions& options,
                     std::unique_ptr<data::ClassificationLoader> loader,
                     const data::Dataset* validation, dist::Collective& collective);

  std::string name() const override { return "supervised"; }
  // The encoder's by their timm names and `classifier.weight`, `classifier.bias`.
  std::vector<train::NamedParameter> Parameters() override;
  int64_t steps_per_epoch() const override { return options_.steps_per_epoch; }
  train::StepPlan PlanStep(const train::StepContext& context) const override;
  absl::StatusOr<int64_t> LoadBatch(const train::StepContext& context) override;
  // Values: `loss`, `loss/classification` (the same number), `accuracy` (share of the
  // images whose most likely class is theirs).
  train::StepResult ComputeLoss(const train::StepContext& context,
                                const train::MicroBatch& part) override;
  std::string NonFiniteInput() const override;
  void AfterStep(const train::StepContext&, const train::Scores&) override {}
  // `val/accuracy`, and `val/balanced_accuracy`: the mean over the classes that the
  // split has of the share of their images that are recognised. The images are shared
  // out over the ranks.
  absl::StatusOr<train::Scores> Validate() override;
  std::string SelectionScore() const override { return ""; }
  // `encoder.safetensors` (timm names) and `classifier.safetensors`.
  absl::Status SaveState(checkpoint::CheckpointWriter& writer) const override;
  absl::Status LoadState(const std::string& directory) override;

 private:
  // Images of each class in the validation split and those of them that are
  // recognised, [2, C] float64, of this rank's share.
  absl::StatusOr<torch::Tensor> CountRecognised();
  void Count(const data::ClassificationBatch& batch, torch::Tensor& counts);

  ClassificationTaskOptions options_;
  std::unique_ptr<data::ClassificationLoader> loader_;
  const data::Dataset* validation_;
  dist::Collective& collective_;
  data::ClassificationBatch batch_;
  // This rank's validation images where they are few enough to be kept.
  std::vector<data::ClassificationBatch> validation_batches_;
  model::Classifier network_{nullptr};
};

}  // namespace g2ll::pretrain

#endif  // WORKER_PRETRAIN_CLASSIFICATION_TASK_H_
