#include "worker/pretrain/pretrain_task.h"

#include <torch/torch.h>

#include <utility>

#include "proto/common/status_macros.h"
#include "worker/loss/koleo_loss.h"
#include "worker/loss/precision.h"
#include "worker/model/initialization.h"
#include "worker/train/non_finite_images.h"

namespace g2ll::pretrain {
namespace {

// Root mean square over the width of the deviation over the rows, [R,D] -> [].
torch::Tensor FeatureDeviation(const torch::Tensor& features) {
  torch::NoGradGuard no_grad;
  namespace F = torch::nn::functional;
  const torch::Tensor rows = F::normalize(loss::Widen(features), F::NormalizeFuncOptions().dim(1));
  return (rows - rows.mean(0)).square().mean().sqrt();
}

}  // namespace

PretrainTask::PretrainTask(const PretrainOptions& options,
                           std::unique_ptr<data::PretrainLoader> loader,
                           dist::Collective& collective)
    : options_(options), loader_(std::move(loader)), collective_(collective) {
  TORCH_CHECK(options.mim || options.distill, "a pre-training method needs a loss");
  TORCH_CHECK(options.distill || (!options.ibot && !options.attention_mask),
              "patches and masks from the teacher need a teacher");
  torch::Generator generator = model::MakeGenerator(static_cast<uint64_t>(options.seed));
  encoder_ = model::VitEncoder(options.encoder);
  if (options.mim) {
    model::InitializeMae(encoder_, generator);
    decoder_ = model::MaeDecoder(options.mim->decoder);
    model::InitializeMae(decoder_, generator);
    decoder_->to(options.device, options.dtype);
  } else {
    model::InitializeDino(encoder_, generator);
  }
  encoder_->to(options.device, options.dtype);
  if (options.distill) {
    head_ = model::ProjectionHead(options.distill->head);
    model::InitializeHead(head_, generator);
    head_->to(options.device, options.dtype);
    teacher_.emplace(options.encoder, options.distill->head, encoder_, head_);
    const auto make_center = [&](std::optional<Center>& center) {
      center.emplace(options.distill->head.out, options.distill->center_momentum, options.device);
    };
    if (options.distill->centering == Centering::kMean) make_center(center_);
    if (options.ibot) make_center(patch_center_);
  }
  if (options.student_input == StudentInput::kMaskToken) {
    mask_token_ = model::DrawToken(options.encoder.dim, generator)
                      .to(options.device, options.dtype)
                      .requires_grad_();
  }
}

train::StepPlan PretrainTask::PlanStep(const train::StepContext& context) const {
  train::StepPlan plan;
  plan.lr = options_.lr.At(context.step);
  plan.weight_decay = options_.weight_decay.At(context.step);
  if (options_.distill && context.epoch < options_.distill->freeze_epochs) {
    plan.frozen = {"head.last_layer.weight_v", "head.last_layer.weight_g"};
  }
  return plan;
}

absl::StatusOr<int64_t> PretrainTask::LoadBatch(const train::StepContext&) {
  G2LL_ASSIGN_OR_RETURN(batch_, loader_->Next());
  return batch_.num_images;
}

std::string PretrainTask::NonFiniteInput() const {
  return train::NonFiniteImages(batch_.views, batch_.indices, options_.image_id);
}

torch::Tensor PretrainTask::TokensAt(const torch::Tensor& tokens, const torch::Tensor& ids) {
  return tokens.gather(1, ids.unsqueeze(-1).expand({-1, -1, tokens.size(2)}));
}

torch::Tensor PretrainTask::Take(const torch::Tensor& rows, const train::MicroBatch& part) const {
  if (!rows.defined() || part.size() == batch_.num_images) return rows;
  return rows.unflatten(0, {num_views(), batch_.num_images})
      .slice(1, part.begin, part.end)
      .flatten(0, 1);
}

PretrainTask::Rows PretrainTask::RowsOf(const train::MicroBatch& part) const {
  Rows rows;
  rows.views = Take(batch_.views, part).to(options_.device, options_.dtype);
  rows.visible_ids = Take(batch_.visible_ids, part).to(options_.device);
  rows.masked_ids = Take(batch_.masked_ids, part).to(options_.device);
  if (keep_scales_.defined()) rows.keep_scales = Take(keep_scales_, part).to(options_.device);
  return rows;
}

train::StepResult PretrainTask::ComputeLoss(const train::StepContext& context,
                                            const train::MicroBatch& part) {
  if (part.begin == 0) PrepareShare(context, part.size());
  const Rows rows = RowsOf(part);
  const double weight = train::WeightOf(part, context, collective_.world_size());
  train::StepResult result;
  result.num_images = part.size();
  result.is_notable = context.step % notable_steps() == 0;
  const auto show = [&](const std::string& name, const torch::Tensor& value) {
    result.values.emplace_back(name, value.detach() * weight);
  };
  show("loss", torch::zeros({}));

  const torch::Tensor latent = Encode(rows);
  torch::Tensor loss = torch::zeros({}, torch::TensorOptions(options_.device));
  torch::Tensor distill;
  for (const Part& each : Losses(context, part, rows, latent)) {
    show("loss/" + each.name, each.loss);
    if (result.is_notable) {
      show("grad_norm/" + each.name, EncoderGradientNorm(each.loss * each.lambda));
    }
    if (each.name == "distill") distill = each.loss.detach();
    loss = loss + each.lambda * each.loss;
  }
  show("feature_std", FeatureDeviation(latent.select(/*dim=*/1, /*index=*/0)));
  if (options_.distill) {
    const torch::Tensor entropy = loss::MeanEntropy(Take(targets_.class_probabilities, part));
    const int pairs = loss::NumPairs(options_.distill->pairs, static_cast<int>(num_views()));
    show(kEntropy, entropy);
    // A cross entropy less the entropy; every teacher view is in as many pairs.
    show("teacher_student_kl", distill / (options_.is_summed ? pairs : 1) - entropy);
    if (center_) show("center_norm", center_->value().norm());
  }
  result.loss = loss * weight;
  result.values.front().second = result.loss.detach();
  return result;
}

std::vector<PretrainTask::Part> PretrainTask::Losses(const train::StepContext& context,
                                                     const train::MicroBatch& part,
                                                     const Rows& rows,
                                                     const torch::Tensor& latent) {
  const torch::Tensor features = latent.select(/*dim=*/1, /*index=*/0);
  const double sum_views = options_.is_summed ? static_cast<double>(num_views()) : 1;
  std::vector<Part> parts;
  torch::Tensor decoded;
  if (options_.mim) {
    decoded = DecodedTokens(latent, rows);
    parts.push_back({"mim", options_.mim->lambda, MimLoss(decoded, rows) * sum_views});
  }
  if (options_.distill) {
    parts.push_back({"distill", options_.distill->lambda, DistillLoss(features, part)});
  }
  if (options_.ibot) {
    const torch::Tensor tokens =
        options_.ibot->source == IbotOptions::Source::kDecoder ? decoded : latent.slice(1, 1);
    const auto epoch = static_cast<int64_t>(context.epoch);
    parts.push_back(
        {"ibot", options_.ibot->lambda, IbotLoss(tokens, rows, part, epoch) * sum_views});
  }
  if (options_.koleo_lambda > 0) {
    const double weight = train::WeightOf(part, context, collective_.world_size());
    parts.push_back(
        {"koleo", options_.koleo_lambda, KoLeoLoss(features, part, weight) * sum_views});
  }
  return parts;
}

torch::Tensor PretrainTask::Encode(const Rows& rows) {
  switch (options_.student_input) {
    case StudentInput::kAll:
      return encoder_->forward(rows.views, rows.keep_scales);
    case StudentInput::kVisible:
      return encoder_->forward_visible(rows.views, rows.visible_ids, rows.keep_scales);
    case StudentInput::kMaskToken:
      break;
  }
  return encoder_->forward_masked(rows.views, rows.masked_ids, mask_token_, rows.keep_scales);
}

torch::Tensor PretrainTask::DecodedTokens(const torch::Tensor& latent, const Rows& rows) {
  if (options_.student_input == StudentInput::kVisible) {
    return decoder_->decode(latent, rows.visible_ids);
  }
  // All tokens are there, in order.
  const torch::Tensor ids = torch::arange(encoder_->num_patches(), rows.masked_ids.options());
  return decoder_->decode(latent, ids.expand({latent.size(0), -1}));
}

torch::Tensor PretrainTask::MimLoss(const torch::Tensor& decoded, const Rows& rows) {
  return loss::ReconstructionLoss(decoder_->predict(decoded), rows.views, rows.masked_ids,
                                  options_.encoder.patch, options_.mim->norm_pix,
                                  options_.mim->distance);
}

torch::Tensor PretrainTask::DistillLoss(const torch::Tensor& features,
                                        const train::MicroBatch& part) {
  loss::DistillationOptions distillation;
  distillation.student_temp = options_.distill->student_temp;
  distillation.pairs = options_.distill->pairs;
  distillation.views = static_cast<int>(num_views());
  const torch::Tensor mean = loss::DistillationLossOf(
      head_->forward(features), Take(targets_.class_probabilities, part), distillation);
  return options_.is_summed ? mean * loss::NumPairs(distillation.pairs, distillation.views) : mean;
}

torch::Tensor PretrainTask::IbotLoss(const torch::Tensor& student_tokens, const Rows& rows,
                                     const train::MicroBatch& part, int64_t epoch) {
  const torch::Tensor teacher_logits =
      teacher_->LogitsOf(Take(targets_.patch_tokens, part).flatten(0, 1));
  const torch::Tensor student_logits =
      head_->forward(TokensAt(student_tokens, rows.masked_ids).flatten(0, 1));
  patch_center_->Accumulate(teacher_logits);
  // Every view has as many masked patches, so the mean over all is the mean over
  // the images of each one's mean.
  return loss::DistillationLoss(student_logits, teacher_logits, patch_center_->value(),
                                {.student_temp = options_.distill->student_temp,
                                 .teacher_temp = options_.ibot->teacher_temp.At(epoch),
                                 .views = 1});
}

torch::Tensor PretrainTask::KoLeoLoss(const torch::Tensor& features, const train::MicroBatch& part,
                                      double weight) {
  const torch::Tensor own = loss::Widen(features).unflatten(0, {num_views(), part.size()});
  if (part.size() == batch_.num_images) features_ = collective_.GatherRows(own.detach());
  const torch::Tensor& others = features_.rows;
  if (others.size(1) < 2) return features.sum() * 0;  // one image has no neighbour
  // The rows of other ranks and parts are constants here and variables there, so
  // that all gradients together are those of one loss over the global batch.
  const int64_t begin = features_.begin + part.begin;
  const torch::Tensor all =
      torch::cat({others.slice(1, 0, begin), own, others.slice(1, begin + part.size())}, /*dim=*/1);
  torch::Tensor loss = torch::zeros({}, own.options());
  for (int64_t view = 0; view < num_views(); ++view) {
    loss = loss + loss::KoLeoLoss(all[view]) / num_views();
  }
  // Its value is already that of the global batch; its gradient is averaged over
  // the ranks but not summed over images, so it is without this part's weight.
  const double undo = collective_.world_size() / weight;
  return loss.detach() + undo * (loss - loss.detach());
}

torch::Tensor PretrainTask::EncoderGradientNorm(const torch::Tensor& loss) {
  const auto gradients = torch::autograd::grad({loss}, encoder_->parameters(), {},
                                               /*retain_graph=*/true, /*create_graph=*/false,
                                               /*allow_unused=*/true);
  torch::NoGradGuard no_grad;
  torch::Tensor sum = torch::zeros({}, loss.options());
  for (const torch::Tensor& gradient : gradients) {
    if (gradient.defined()) sum = sum + gradient.square().sum();
  }
  return sum.sqrt();
}

void PretrainTask::AfterStep(const train::StepContext& context, const train::Scores& values) {
  if (!options_.distill) return;
  WarnOfCollapse(context.step, values);
  teacher_->Update(options_.distill->ema_momentum.At(context.step));
  const int64_t num_rows = context.num_images * num_views();
  if (center_) center_->Update(collective_, num_rows);
  if (patch_center_) patch_center_->Update(collective_, num_rows * batch_.masked_ids.size(1));
}

}  // namespace g2ll::pretrain
