#include "worker/pretrain/pretrain_task.h"

#include <torch/torch.h>

#include <filesystem>
#include <utility>

#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/module_state.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/loss/reconstruction_loss.h"
#include "worker/model/initialization.h"

namespace g2ll::pretrain {
namespace {

// The head's names start with this in the optimiser and in its files.
constexpr char kHeadPrefix[] = "head.";
constexpr char kLastLayer[] = "head.last_layer.weight_v";
constexpr char kCenter[] = "center";

void AddParameters(torch::nn::Module& module, const std::string& prefix,
                   std::vector<train::NamedParameter>& parameters) {
  for (const auto& entry : module.named_parameters()) {
    if (entry.value().requires_grad()) parameters.push_back({prefix + entry.key(), entry.value()});
  }
}

}  // namespace

PretrainTask::PretrainTask(const PretrainOptions& options,
                           std::unique_ptr<data::PretrainLoader> loader,
                           dist::Collective& collective)
    : options_(options), loader_(std::move(loader)), collective_(collective) {
  TORCH_CHECK(options.mim || options.distill, "a pre-training method needs a loss");
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
    center_.emplace(options.distill->head.out, options.distill->center_momentum, options.device);
  }
}

std::vector<train::NamedParameter> PretrainTask::Parameters() {
  std::vector<train::NamedParameter> parameters;
  AddParameters(*encoder_, "", parameters);
  if (decoder_) AddParameters(*decoder_, "", parameters);
  if (head_) AddParameters(*head_, kHeadPrefix, parameters);
  return parameters;
}

train::StepPlan PretrainTask::PlanStep(const train::StepContext& context) const {
  train::StepPlan plan;
  plan.lr = options_.lr.At(context.step);
  plan.weight_decay = options_.weight_decay.At(context.step);
  if (options_.distill && context.epoch < options_.distill->freeze_epochs) {
    plan.frozen.push_back(kLastLayer);
  }
  return plan;
}

absl::Status PretrainTask::LoadBatch(const train::StepContext&) {
  G2LL_ASSIGN_OR_RETURN(batch_, loader_->Next());
  return absl::OkStatus();
}

train::StepResult PretrainTask::ComputeLoss(const train::StepContext& context) {
  const torch::Tensor views = batch_.views.to(options_.device, options_.dtype);
  const torch::Tensor visible_ids = batch_.visible_ids.to(options_.device);
  // A mean over this rank's share, weighted so that the mean over the ranks is
  // the mean over the global batch.
  const double share = static_cast<double>(batch_.num_images * collective_.world_size()) /
                       static_cast<double>(options_.images_per_step);
  train::StepResult result;
  result.num_images = batch_.num_images;
  const auto show = [&](const std::string& name, const torch::Tensor& value) {
    result.values.emplace_back(name, value.detach() * share);
  };
  show("loss", torch::zeros({}));

  const torch::Tensor latent = options_.is_student_masked
                                   ? encoder_->forward_visible(views, visible_ids)
                                   : encoder_->forward(views);
  torch::Tensor loss = torch::zeros({}, torch::TensorOptions(options_.device));
  if (options_.mim) {
    const torch::Tensor mim = MimLoss(latent, views, visible_ids);
    show("loss/mim", mim);
    loss = loss + options_.mim->lambda * mim;
  }
  if (options_.distill) {
    const torch::Tensor teacher_logits = teacher_->Logits(views);
    const torch::Tensor student_logits = head_->forward(latent.select(/*dim=*/1, /*index=*/0));
    const torch::Tensor distill = DistillLoss(student_logits, teacher_logits, context.epoch);
    show("loss/distill", distill);
    const double temp = options_.distill->teacher_temp.At(static_cast<int64_t>(context.epoch));
    show("teacher_entropy", loss::TeacherEntropy(teacher_logits, center_->value(), temp));
    center_->Accumulate(teacher_logits);
    loss = loss + options_.distill->lambda * distill;
  }
  result.loss = loss * share;
  result.values.front().second = result.loss.detach();
  return result;
}

torch::Tensor PretrainTask::MimLoss(const torch::Tensor& latent, const torch::Tensor& views,
                                    const torch::Tensor& visible_ids) {
  return loss::ReconstructionLoss(decoder_->forward(latent, visible_ids), views,
                                  batch_.masked_ids.to(options_.device), options_.encoder.patch,
                                  options_.mim->norm_pix);
}

torch::Tensor PretrainTask::DistillLoss(const torch::Tensor& student_logits,
                                        const torch::Tensor& teacher_logits, double epoch) const {
  loss::DistillationOptions distillation;
  distillation.student_temp = options_.distill->student_temp;
  distillation.teacher_temp = options_.distill->teacher_temp.At(static_cast<int64_t>(epoch));
  distillation.pairs = options_.distill->pairs;
  distillation.views = static_cast<int>(student_logits.size(0) / batch_.num_images);
  return loss::DistillationLoss(student_logits, teacher_logits, center_->value(), distillation);
}

void PretrainTask::AfterStep(const train::StepContext& context) {
  if (!options_.distill) return;
  teacher_->Update(options_.distill->ema_momentum.At(context.step));
  center_->Update(collective_);
}

absl::Status PretrainTask::SaveState(checkpoint::CheckpointWriter& writer) const {
  const auto save = [&writer](const char* file, const checkpoint::NamedTensors& tensors) {
    return checkpoint::SaveTensors(writer.directory() / file, tensors);
  };
  G2LL_RETURN_IF_ERROR(save("encoder.safetensors", checkpoint::StateOf(*encoder_)));
  if (decoder_) {
    G2LL_RETURN_IF_ERROR(save("decoder.safetensors", checkpoint::StateOf(*decoder_)));
  }
  if (!teacher_) return absl::OkStatus();
  G2LL_RETURN_IF_ERROR(save("head.safetensors", checkpoint::StateOf(*head_, kHeadPrefix)));
  G2LL_RETURN_IF_ERROR(
      save("teacher_encoder.safetensors", checkpoint::StateOf(*teacher_->encoder())));
  checkpoint::NamedTensors teacher_head = checkpoint::StateOf(*teacher_->head(), kHeadPrefix);
  teacher_head.emplace_back(kCenter, center_->value());
  return save("teacher_head.safetensors", teacher_head);
}

absl::Status PretrainTask::LoadState(const std::string& directory) {
  const std::filesystem::path path(directory);
  const auto load = [&path](const char* file, const checkpoint::NamedTensors& into) {
    absl::StatusOr<checkpoint::TensorMap> tensors = checkpoint::LoadTensors(path / file);
    if (!tensors.ok()) return tensors.status();
    return checkpoint::LoadState(into, *tensors, (path / file).string());
  };
  G2LL_RETURN_IF_ERROR(load("encoder.safetensors", checkpoint::StateOf(*encoder_)));
  if (decoder_) {
    G2LL_RETURN_IF_ERROR(load("decoder.safetensors", checkpoint::StateOf(*decoder_)));
  }
  if (!teacher_) return absl::OkStatus();
  G2LL_RETURN_IF_ERROR(load("head.safetensors", checkpoint::StateOf(*head_, kHeadPrefix)));
  G2LL_RETURN_IF_ERROR(
      load("teacher_encoder.safetensors", checkpoint::StateOf(*teacher_->encoder())));
  // The centre's tensor is written in place like all the others.
  checkpoint::NamedTensors teacher_head = checkpoint::StateOf(*teacher_->head(), kHeadPrefix);
  teacher_head.emplace_back(kCenter, center_->value());
  return load("teacher_head.safetensors", teacher_head);
}

}  // namespace g2ll::pretrain
