#include "worker/finetune/segmentation_task.h"

#include <torch/torch.h>

#include <filesystem>
#include <span>
#include <utility>

#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/module_state.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/data/sampler.h"
#include "worker/finetune/encoder_fit.h"
#include "worker/metric/overlap.h"
#include "worker/model/drop_path.h"
#include "worker/model/initialization.h"
#include "worker/schedule/layer_decay.h"
#include "worker/train/non_finite_images.h"

namespace g2ll::finetune {
namespace {

constexpr char kEncoderFile[] = "encoder.safetensors";
constexpr char kSegmentationFile[] = "segmentation.safetensors";
constexpr char kRawFile[] = "raw.safetensors";

// Encoder and decoder together.
checkpoint::NamedTensors WholeState(const model::SegmentationNetwork& network) {
  checkpoint::NamedTensors state = network->encoder_state();
  for (auto& entry : network->segmentation_state()) state.push_back(std::move(entry));
  return state;
}

// Sum over the ranks whose gradient, averaged over the ranks as gradients are, is that
// of the sum: every rank differentiates its own part, world_size times.
torch::Tensor SumOverRanks(const torch::Tensor& local, dist::Collective& collective) {
  torch::Tensor sum = local.detach().clone();
  collective.AllReduceSum(sum);
  return sum + collective.world_size() * (local - local.detach());
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
  if (options.is_encoder_frozen) network_->FreezeEncoder();
  if (collective.world_size() > 1) {
    network_->set_batch_reduction(
        [&collective](torch::Tensor& tensor) { collective.AllReduceSum(tensor); });
  }
  if (options.average_momentum > 0) average_.emplace(network_, options.average_momentum);
}

absl::Status SegmentationTask::LoadEncoder(const std::string& file) {
  TORCH_CHECK(network_->encoder(), "this network has no encoder to load");
  G2LL_ASSIGN_OR_RETURN(auto tensors, checkpoint::LoadTensors(file));
  G2LL_ASSIGN_OR_RETURN(tensors, FitEncoder(std::move(tensors), network_->encoder(), file));
  G2LL_RETURN_IF_ERROR(checkpoint::LoadState(network_->encoder_state(), tensors, file));
  if (average_) average_->Reset();
  return absl::OkStatus();
}

std::vector<train::NamedParameter> SegmentationTask::Parameters() {
  std::vector<train::NamedParameter> parameters;
  const auto add = [&](torch::nn::Module& module, const std::string& prefix) {
    for (const auto& entry : module.named_parameters()) {
      if (!entry.value().requires_grad()) continue;
      const std::string name = prefix + entry.key();
      parameters.push_back(
          {name, entry.value(),
           schedule::LayerDecayFactor(name, options_.network.vit.depth, options_.layer_decay)});
    }
  };
  if (network_->encoder()) add(*network_->encoder(), "");
  add(*network_->decoder(), "seg.");
  return parameters;
}

train::StepPlan SegmentationTask::PlanStep(const train::StepContext& context) const {
  return {options_.lr.At(context.step), options_.weight_decay.At(context.step), {}};
}

absl::Status SegmentationTask::CheckAccumulation() const {
  if (model::HasBatchNorm(options_.network)) {
    return absl::InvalidArgumentError(
        "train.accumulate: batch normalisation needs the whole share of a rank at once; use 1 and "
        "more ranks or a smaller train.globalBatch, or seg.norm group_norm");
  }
  if (options_.loss == LossKind::kBceDice && options_.dice_over == loss::DiceReduction::kBatch) {
    return absl::InvalidArgumentError(
        "train.accumulate: Dice over the batch needs the whole share of a rank at once; use 1, or "
        "seg.diceOver image");
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> SegmentationTask::LoadBatch(const train::StepContext&) {
  G2LL_ASSIGN_OR_RETURN(batch_, loader_->Next());
  return batch_.images.size(0);
}

train::StepResult SegmentationTask::ComputeLoss(const train::StepContext& context,
                                                const train::MicroBatch& part) {
  network_->train();
  const auto take = [&](const torch::Tensor& rows) {
    return rows.slice(0, part.begin, part.end).to(options_.device, options_.dtype);
  };
  const torch::Tensor logits = network_->forward(take(batch_.images), KeepScales(context, part));
  const Terms terms = ComputeTerms(logits, take(batch_.masks),
                                   train::WeightOf(part, context, collective_.world_size()));
  train::StepResult result;
  result.num_images = part.size();
  result.loss = terms.total;
  result.values = {{"loss", terms.total.detach()}, {"loss/segmentation", terms.total.detach()}};
  for (const auto& [name, value] : terms.parts) result.values.emplace_back(name, value.detach());
  return result;
}

SegmentationTask::Terms SegmentationTask::ComputeTerms(const torch::Tensor& logits,
                                                       const torch::Tensor& masks,
                                                       double share) const {
  if (options_.loss == LossKind::kStructure) {
    const auto parts = loss::StructureLoss(logits, masks);
    return {parts.total * share,
            {{"loss/bce", parts.bce * share}, {"loss/iou", parts.iou * share}}};
  }
  const bool is_over_batch = options_.dice_over == loss::DiceReduction::kBatch;
  loss::SumOverRanks sum_over_ranks;
  if (is_over_batch && collective_.world_size() > 1) {
    sum_over_ranks = [this](const torch::Tensor& sums) { return SumOverRanks(sums, collective_); };
  }
  const auto parts = loss::SegmentationLoss(logits, masks, options_.dice_over, sum_over_ranks);
  const torch::Tensor bce = parts.bce * share;
  // Dice over the batch is the whole batch's on every rank.
  const torch::Tensor dice = is_over_batch ? parts.dice : parts.dice * share;
  return {0.5 * bce + 0.5 * dice, {{"loss/bce", bce}, {"loss/dice", dice}}};
}

torch::Tensor SegmentationTask::KeepScales(const train::StepContext& context,
                                           const train::MicroBatch& part) const {
  if (options_.is_encoder_frozen || !network_->encoder()) return {};
  const std::span<const int64_t> indices(batch_.indices);
  const torch::Tensor scales = model::DrawKeepScales(
      options_.network.vit, {.seed = options_.seed,
                             .epoch = context.step / options_.steps_per_epoch,
                             .indices = indices.subspan(static_cast<size_t>(part.begin),
                                                        static_cast<size_t>(part.size()))});
  return scales.defined() ? scales.to(options_.device) : scales;
}

std::string SegmentationTask::NonFiniteInput() const {
  return train::NonFiniteImages(batch_.images, batch_.indices, options_.image_id);
}

void SegmentationTask::AfterStep(const train::StepContext& context, const train::Scores&) {
  if (average_) average_->Update(context.step);
}

absl::StatusOr<train::Scores> SegmentationTask::Validate() {
  if (validation_ == nullptr) return train::Scores{};
  G2LL_RETURN_IF_ERROR(LoadValidation());
  torch::Tensor sums = torch::zeros({3}, torch::kFloat64);  // Dice, IoU, images
  for (const data::SegmentationBatch& batch : validation_batches_) {
    for (const metric::OverlapCounts& counts :
         metric::CountOverlap(Predict(batch.images), batch.masks > 0.5)) {
      sums[0] += metric::Dice(counts);
      sums[1] += metric::IoU(counts);
      sums[2] += 1;
    }
  }
  collective_.AllReduceSum(sums);
  const torch::Tensor means = sums / sums[2];
  return train::Scores{{"val/dice", means[0].item<double>()}, {"val/iou", means[1].item<double>()}};
}

torch::Tensor SegmentationTask::Predict(const torch::Tensor& images) {
  torch::NoGradGuard no_grad;
  model::SegmentationNetwork network = result();
  network->eval();
  // Probability > 0.5.
  return (network->forward(images.to(options_.device, options_.dtype)) > 0).cpu();
}

absl::Status SegmentationTask::LoadValidation() {
  if (!validation_batches_.empty()) return absl::OkStatus();
  for (const std::vector<int64_t>& indices :
       data::OrderedShare(validation_->size(), collective_.rank(), collective_.world_size(),
                          options_.validation_batch)) {
    G2LL_ASSIGN_OR_RETURN(auto batch,
                          data::LoadSegmentationBatch(*validation_, indices, options_.input));
    validation_batches_.push_back(std::move(batch));
  }
  return absl::OkStatus();
}

std::string SegmentationTask::SelectionScore() const {
  if (validation_ == nullptr) return "";
  switch (options_.selection) {
    case Selection::kLast:
      return "";
    case Selection::kBestDice:
      return "val/dice";
    case Selection::kBestIoU:
      return "val/iou";
  }
  return "";
}

absl::Status SegmentationTask::SaveState(checkpoint::CheckpointWriter& writer) const {
  const auto save = [&writer](const char* file, const checkpoint::NamedTensors& tensors) {
    return checkpoint::SaveTensors(writer.directory() / file, tensors);
  };
  G2LL_RETURN_IF_ERROR(save(kEncoderFile, result()->encoder_state()));
  G2LL_RETURN_IF_ERROR(save(kSegmentationFile, result()->segmentation_state()));
  return average_ ? save(kRawFile, WholeState(network_)) : absl::OkStatus();
}

absl::Status SegmentationTask::LoadState(const std::string& directory) {
  const std::filesystem::path path(directory);
  G2LL_RETURN_IF_ERROR(checkpoint::LoadStateFile(result()->encoder_state(), path / kEncoderFile));
  G2LL_RETURN_IF_ERROR(
      checkpoint::LoadStateFile(result()->segmentation_state(), path / kSegmentationFile));
  return average_ ? checkpoint::LoadStateFile(WholeState(network_), path / kRawFile)
                  : absl::OkStatus();
}

}  // namespace g2ll::finetune
