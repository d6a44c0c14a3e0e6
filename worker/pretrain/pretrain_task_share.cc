// What PretrainTask does with the whole of a share before its first part.
#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "proto/common/log.h"
#include "worker/loss/precision.h"
#include "worker/loss/sinkhorn.h"
#include "worker/mask/attention_mask.h"
#include "worker/model/drop_path.h"
#include "worker/pretrain/collapse.h"
#include "worker/pretrain/pretrain_task.h"

namespace g2ll::pretrain {

void PretrainTask::PrepareShare(const train::StepContext& context, int64_t chunk) {
  // Teacher and student look at the same pixels.
  batch_.views = batch_.views.to(options_.device, options_.dtype);
  keep_scales_ =
      model::DrawKeepScales(options_.encoder, {.seed = options_.seed,
                                               .epoch = batch_.epoch,
                                               .indices = batch_.indices,
                                               .num_views = static_cast<int>(num_views())});
  if (teacher_) AskTeacher(context, chunk);
  if (options_.koleo_lambda > 0 && chunk < batch_.num_images) GatherFeatures(chunk);
}

void PretrainTask::AskTeacher(const train::StepContext& context, int64_t chunk) {
  const bool needs_attention = options_.attention_mask.has_value();
  const int64_t num_rows = batch_.views.size(0);
  const int64_t step = chunk * num_views();
  std::vector<torch::Tensor> logits, patch_tokens;
  for (int64_t row = 0; row < num_rows; row += step) {
    const int64_t end = std::min(row + step, num_rows);
    const auto [tokens, attention] =
        teacher_->Tokens(batch_.views.slice(0, row, end), needs_attention);
    if (needs_attention) MaskByAttention(attention, row);
    logits.push_back(teacher_->LogitsOf(tokens.select(/*dim=*/1, /*index=*/0)));
    if (!options_.ibot) continue;
    patch_tokens.push_back(
        TokensAt(tokens.slice(1, 1), batch_.masked_ids.slice(0, row, end).to(options_.device)));
  }
  const torch::Tensor class_logits = torch::cat(logits);
  if (options_.ibot) targets_.patch_tokens = torch::cat(patch_tokens);

  const double temp = options_.distill->teacher_temp.At(static_cast<int64_t>(context.epoch));
  if (center_) {
    targets_.class_probabilities = loss::TeacherProbabilities(class_logits, center_->value(), temp);
    center_->Accumulate(class_logits);
  } else {
    targets_.class_probabilities =
        loss::SinkhornAssignments(class_logits, {.temperature = temp},
                                  [this](torch::Tensor& sums) { collective_.AllReduceSum(sums); });
  }
}

void PretrainTask::MaskByAttention(const torch::Tensor& attention, int64_t first_row) {
  const torch::Tensor values = attention.to(torch::kCPU, torch::kFloat32).contiguous();
  const auto num_patches = static_cast<size_t>(values.size(1));
  for (int64_t i = 0; i < values.size(0); ++i) {
    const int64_t row = first_row + i;
    const int64_t image = row % batch_.num_images;
    const random::Key key{
        .seed = static_cast<uint64_t>(options_.seed),
        .epoch = static_cast<uint64_t>(batch_.epoch),
        .sample = static_cast<uint64_t>(batch_.indices.at(static_cast<size_t>(image))),
        .view = static_cast<uint32_t>(row / batch_.num_images),
        .purpose = random::Purpose::kMask};
    const std::span<const float> of_image(values[i].const_data_ptr<float>(), num_patches);
    const auto drawn = mask::DrawAttentionMask(of_image, key, *options_.attention_mask);
    if (!drawn) continue;
    batch_.masked_ids[row].copy_(torch::tensor(drawn->MaskedIds(), torch::kInt64));
    batch_.visible_ids[row].copy_(torch::tensor(drawn->VisibleIds(), torch::kInt64));
  }
}

void PretrainTask::GatherFeatures(int64_t chunk) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> features;
  for (int64_t begin = 0; begin < batch_.num_images; begin += chunk) {
    const train::MicroBatch part{begin, std::min(begin + chunk, batch_.num_images)};
    const torch::Tensor of_part = Encode(RowsOf(part)).select(/*dim=*/1, /*index=*/0);
    features.push_back(loss::Widen(of_part).unflatten(0, {num_views(), part.size()}));
  }
  features_ = collective_.GatherRows(torch::cat(features, /*dim=*/1));
}

void PretrainTask::WarnOfCollapse(int64_t step, const train::Scores& values) {
  if (collective_.rank() != 0 || step < next_warning_) return;
  const auto entropy = std::ranges::find(values, kEntropy, &train::Scores::value_type::first);
  if (entropy == values.end()) return;
  const std::string warning =
      CollapseWarning({.num_prototypes = options_.distill->head.out,
                       .warmup_steps = std::max<int64_t>(options_.lr.warmup_steps, 1)},
                      step, entropy->second);
  if (warning.empty()) return;
  log::Warning(warning, {{"step", step + 1}});
  next_warning_ = step + notable_steps();
}

}  // namespace g2ll::pretrain
