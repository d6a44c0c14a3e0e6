#include "worker/pretrain/classification_task.h"

#include <torch/torch.h>

#include <filesystem>
#include <span>
#include <utility>

#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/module_state.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/data/sampler.h"
#include "worker/model/drop_path.h"
#include "worker/model/initialization.h"

namespace g2ll::pretrain {
namespace {

constexpr char kEncoderFile[] = "encoder.safetensors";
constexpr char kClassifierFile[] = "classifier.safetensors";
constexpr char kClassifierPrefix[] = "classifier.";
// Validation images are kept in memory up to this, else read again each time.
constexpr int64_t kMaxKeptBytes = int64_t{512} << 20;

}  // namespace

ClassificationTask::ClassificationTask(const ClassificationTaskOptions& options,
                                       std::unique_ptr<data::ClassificationLoader> loader,
                                       const data::Dataset* validation,
                                       dist::Collective& collective)
    : options_(options),
      loader_(std::move(loader)),
      validation_(validation),
      collective_(collective),
      network_(options.network) {
  TORCH_CHECK(validation == nullptr || static_cast<int64_t>(validation->classes().names.size()) ==
                                           options.network.num_classes,
              "the validation split has other classes than the network");
  model::InitializeClassifier(network_, model::MakeGenerator(static_cast<uint64_t>(options.seed)));
  network_->to(options.device, options.dtype);
}

std::vector<train::NamedParameter> ClassificationTask::Parameters() {
  std::vector<train::NamedParameter> parameters;
  for (const auto& entry : network_->encoder()->named_parameters()) {
    parameters.push_back({entry.key(), entry.value()});
  }
  for (const auto& entry : network_->head()->named_parameters()) {
    parameters.push_back({kClassifierPrefix + entry.key(), entry.value()});
  }
  return parameters;
}

train::StepPlan ClassificationTask::PlanStep(const train::StepContext& context) const {
  return {options_.lr.At(context.step), options_.weight_decay.At(context.step), {}};
}

absl::StatusOr<int64_t> ClassificationTask::LoadBatch(const train::StepContext&) {
  G2LL_ASSIGN_OR_RETURN(batch_, loader_->Next());
  return static_cast<int64_t>(batch_.indices.size());
}

train::StepResult ClassificationTask::ComputeLoss(const train::StepContext& context,
                                                  const train::MicroBatch& part) {
  network_->train();
  const torch::Tensor images =
      batch_.images.slice(0, part.begin, part.end).to(options_.device, options_.dtype);
  const torch::Tensor classes = batch_.classes.slice(0, part.begin, part.end).to(options_.device);
  torch::Tensor keep_scales = model::DrawKeepScales(
      options_.network.vit,
      {.seed = options_.seed,
       .epoch = batch_.epoch,
       .indices = std::span(batch_.indices)
                      .subspan(static_cast<size_t>(part.begin), static_cast<size_t>(part.size()))});
  if (keep_scales.defined()) keep_scales = keep_scales.to(options_.device);
  const torch::Tensor logits = network_->forward(images, keep_scales);
  const torch::Tensor sum = loss::ClassificationLossSum(logits, classes, options_.loss);
  // The mean over the ranks of this is a part's contribution to the weighted mean.
  const double scale =
      collective_.world_size() / loss::TotalWeight(batch_.global_class_counts, options_.loss);
  train::StepResult result;
  result.num_images = part.size();
  result.loss = sum * scale;
  const torch::Tensor accuracy = (logits.detach().argmax(1) == classes).to(torch::kFloat64).mean() *
                                 train::WeightOf(part, context, collective_.world_size());
  result.values = {{"loss", result.loss.detach()},
                   {"loss/classification", result.loss.detach()},
                   {"accuracy", accuracy}};
  return result;
}

std::string ClassificationTask::NonFiniteInput() const {
  return train::NonFiniteImages(batch_.images, batch_.indices, options_.image_id);
}

absl::StatusOr<train::Scores> ClassificationTask::Validate() {
  if (validation_ == nullptr) return train::Scores{};
  torch::Tensor counts;
  {
    const torch::NoGradGuard no_grad;
    network_->eval();
    G2LL_ASSIGN_OR_RETURN(counts, CountRecognised());
    network_->train();
  }
  collective_.AllReduceSum(counts);
  const torch::Tensor all = counts[0], recognised = counts[1];
  const torch::Tensor is_there = all > 0;
  const torch::Tensor recalls = recognised.masked_select(is_there) / all.masked_select(is_there);
  return train::Scores{{"val/accuracy", (recognised.sum() / all.sum()).item<double>()},
                       {"val/balanced_accuracy", recalls.mean().item<double>()}};
}

absl::StatusOr<torch::Tensor> ClassificationTask::CountRecognised() {
  torch::Tensor counts =
      torch::zeros({2, options_.network.num_classes}, torch::dtype(torch::kFloat64));
  for (const data::ClassificationBatch& batch : validation_batches_) Count(batch, counts);
  if (!validation_batches_.empty()) return counts;

  const int64_t side = options_.input.image_size;
  const int world_size = collective_.world_size();
  const int64_t largest_share = (validation_->size() + world_size - 1) / world_size;
  const bool is_kept = largest_share * 3 * side * side * int64_t{sizeof(float)} <= kMaxKeptBytes;
  for (const std::vector<int64_t>& indices : data::OrderedShare(
           validation_->size(), collective_.rank(), world_size, options_.validation_batch)) {
    G2LL_ASSIGN_OR_RETURN(data::ClassificationBatch batch,
                          data::LoadClassificationBatch(*validation_, indices, options_.input));
    Count(batch, counts);
    if (is_kept) validation_batches_.push_back(std::move(batch));
  }
  return counts;
}

void ClassificationTask::Count(const data::ClassificationBatch& batch, torch::Tensor& counts) {
  const torch::Tensor images = batch.images.to(options_.device, options_.dtype);
  const torch::Tensor found = network_->forward(images).argmax(1).cpu();
  const torch::Tensor ones = torch::ones({batch.classes.size(0)}, torch::kFloat64);
  counts[0].index_add_(0, batch.classes, ones);
  counts[1].index_add_(0, batch.classes, (found == batch.classes).to(torch::kFloat64));
}

absl::Status ClassificationTask::SaveState(checkpoint::CheckpointWriter& writer) const {
  G2LL_RETURN_IF_ERROR(checkpoint::SaveTensors(writer.directory() / kEncoderFile,
                                               checkpoint::StateOf(*network_->encoder())));
  return checkpoint::SaveTensors(writer.directory() / kClassifierFile,
                                 checkpoint::StateOf(*network_->head(), kClassifierPrefix));
}

absl::Status ClassificationTask::LoadState(const std::string& directory) {
  const std::filesystem::path path(directory);
  G2LL_RETURN_IF_ERROR(
      checkpoint::LoadStateFile(checkpoint::StateOf(*network_->encoder()), path / kEncoderFile));
  return checkpoint::LoadStateFile(checkpoint::StateOf(*network_->head(), kClassifierPrefix),
                                   path / kClassifierFile);
}

}  // namespace g2ll::pretrain
