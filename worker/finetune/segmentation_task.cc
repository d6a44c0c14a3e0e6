#include "worker/finetune/segmentation_task.h"

#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/module_state.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/loss/segmentation_loss.h"
#include "worker/metric/overlap.h"
#include "worker/model/initialization.h"

namespace g2ll::finetune {
namespace {

constexpr char kEncoderFile[] = "encoder.safetensors";
constexpr char kSegmentationFile[] = "segmentation.safetensors";

absl::Status LoadFile(const std::filesystem::path& file, const checkpoint::NamedTensors& into) {
  G2LL_ASSIGN_OR_RETURN(const auto tensors, checkpoint::LoadTensors(file));
  return checkpoint::LoadState(into, tensors, file.string());
}

}  // namespace

SegmentationTask::SegmentationTask(const SegmentationTaskOptions& options,
                                   std::unique_ptr<data::SegmentationLoader> loader,
                                   const data::Dataset* validation, dist::Collective& collective)
    : options_(options),
      loader_(std::move(loader)),
      validation_(validation),
      collective_(collective),
      network_(options.network) {
  torch::Generator generator = model::MakeGenerator(static_cast<uint64_t>(options.seed));
  model::InitializeSegmentation(network_, generator);
  network_->to(options.device, options.dtype);
  if (options.is_encoder_frozen) {
    for (torch::Tensor& parameter : network_->encoder()->parameters()) {
      parameter.set_requires_grad(false);
    }
  }
  if (collective.world_size() > 1) {
    network_->set_batch_reduction(
        [&collective](torch::Tensor& tensor) { collective.AllReduceSum(tensor); });
  }
}

absl::Status SegmentationTask::LoadEncoder(const std::string& file) {
  return LoadFile(file, network_->encoder_state());
}

std::vector<train::NamedParameter> SegmentationTask::Parameters() {
  std::vector<train::NamedParameter> parameters;
  const auto add = [&parameters](torch::nn::Module& module, const std::string& prefix) {
    for (const auto& entry : module.named_parameters()) {
      if (entry.value().requires_grad()) {
        parameters.push_back({prefix + entry.key(), entry.value()});
      }
    }
  };
  add(*network_->encoder(), "");
  add(*network_->decoder(), "seg.");
  return parameters;
}

train::StepPlan SegmentationTask::PlanStep(const train::StepContext& context) const {
  return {options_.lr.At(context.step), options_.weight_decay.At(context.step), {}};
}

absl::Status SegmentationTask::LoadBatch(const train::StepContext&) {
  G2LL_ASSIGN_OR_RETURN(batch_, loader_->Next());
  return absl::OkStatus();
}

train::StepResult SegmentationTask::ComputeLoss(const train::StepContext&) {
  network_->train();
  const torch::Tensor images = batch_.images.to(options_.device, options_.dtype);
  const torch::Tensor masks = batch_.masks.to(options_.device, options_.dtype);
  const auto parts = loss::SegmentationLoss(network_->forward(images), masks);
  // As in pre-training: the mean over the ranks is that over the global batch.
  const double share = static_cast<double>(images.size(0) * collective_.world_size()) /
                       static_cast<double>(options_.images_per_step);
  train::StepResult result;
  result.num_images = images.size(0);
  result.loss = parts.total * share;
  result.values = {{"loss", result.loss.detach()},
                   {"loss/segmentation", result.loss.detach()},
                   {"loss/bce", parts.bce.detach() * share},
                   {"loss/dice", parts.dice.detach() * share}};
  return result;
}

bool SegmentationTask::IsValidationDue(int64_t num_steps) const {
  const int64_t every =
      options_.validate_every > 0 ? options_.validate_every : options_.steps_per_epoch;
  return validation_ != nullptr && num_steps % every == 0;
}

absl::StatusOr<train::Scores> SegmentationTask::Validate() {
  if (validation_ == nullptr) return train::Scores{};
  G2LL_RETURN_IF_ERROR(LoadValidation());
  torch::NoGradGuard no_grad;
  network_->eval();
  torch::Tensor sums = torch::zeros({3}, torch::kFloat64);  // Dice, IoU, images
  for (const data::SegmentationBatch& batch : validation_batches_) {
    const torch::Tensor images = batch.images.to(options_.device, options_.dtype);
    const torch::Tensor is_lesion = network_->forward(images) > 0;  // probability > 0.5
    for (const metric::OverlapCounts& counts :
         metric::CountOverlap(is_lesion.cpu(), batch.masks > 0.5)) {
      sums[0] += metric::Dice(counts);
      sums[1] += metric::IoU(counts);
      sums[2] += 1;
    }
  }
  network_->train();
  collective_.AllReduceSum(sums);
  const torch::Tensor means = sums / sums[2];
  return train::Scores{{"val/dice", means[0].item<double>()}, {"val/iou", means[1].item<double>()}};
}

absl::Status SegmentationTask::LoadValidation() {
  if (!validation_batches_.empty()) return absl::OkStatus();
  std::vector<int64_t> indices;
  for (int64_t i = collective_.rank(); i < validation_->size(); i += collective_.world_size()) {
    indices.push_back(i);
  }
  const auto size = static_cast<size_t>(options_.validation_batch);
  for (size_t begin = 0; begin < indices.size(); begin += size) {
    const std::vector<int64_t> part(
        indices.begin() + static_cast<ptrdiff_t>(begin),
        indices.begin() + static_cast<ptrdiff_t>(std::min(begin + size, indices.size())));
    G2LL_ASSIGN_OR_RETURN(auto batch,
                          data::LoadSegmentationBatch(*validation_, part, options_.input));
    validation_batches_.push_back(std::move(batch));
  }
  return absl::OkStatus();
}

std::string SegmentationTask::SelectionScore() const {
  return options_.is_best_kept && validation_ != nullptr ? "val/dice" : "";
}

absl::Status SegmentationTask::SaveState(checkpoint::CheckpointWriter& writer) const {
  G2LL_RETURN_IF_ERROR(
      checkpoint::SaveTensors(writer.directory() / kEncoderFile, network_->encoder_state()));
  return checkpoint::SaveTensors(writer.directory() / kSegmentationFile,
                                 network_->segmentation_state());
}

absl::Status SegmentationTask::LoadState(const std::string& directory) {
  const std::filesystem::path path(directory);
  G2LL_RETURN_IF_ERROR(LoadFile(path / kEncoderFile, network_->encoder_state()));
  return LoadFile(path / kSegmentationFile, network_->segmentation_state());
}

}  // namespace g2ll::finetune
