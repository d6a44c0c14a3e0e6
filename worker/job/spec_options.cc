#include "worker/job/spec_options.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"

namespace g2ll::job {
namespace {

mask::MaskKind MaskKindOf(v1::MaskSpec::Strategy strategy) {
  switch (strategy) {
    case v1::MaskSpec::RANDOM:
      return mask::MaskKind::kRandom;
    case v1::MaskSpec::SEMANTIC:
      return mask::MaskKind::kSemantic;
    default:
      return mask::MaskKind::kSemanticFocal;
  }
}

loss::Pairs PairsOf(v1::DistillSpec::Pairs pairs) {
  switch (pairs) {
    case v1::DistillSpec::CROSS:
      return loss::Pairs::kCross;
    case v1::DistillSpec::ALL:
      return loss::Pairs::kAll;
    default:
      return loss::Pairs::kSame;
  }
}

pretrain::MimOptions MimOf(const v1::PretrainSpec& spec) {
  pretrain::MimOptions options;
  options.lambda = spec.mim().lambda();
  options.norm_pix = spec.mim().norm_pix();
  options.decoder.grid = spec.model().image_size() / spec.model().patch();
  options.decoder.patch = spec.model().patch();
  options.decoder.encoder_dim = spec.model().dim();
  options.decoder.dim = spec.model().decoder_dim();
  options.decoder.depth = spec.model().decoder_depth();
  options.decoder.heads = spec.model().decoder_heads();
  return options;
}

pretrain::DistillOptions DistillOf(const v1::PretrainSpec& spec, const RunLength& length) {
  const v1::DistillSpec& distill = spec.distill();
  pretrain::DistillOptions options;
  options.lambda = distill.lambda();
  options.head.in_dim = spec.model().dim();
  options.head.hidden = spec.model().head_hidden();
  options.head.bottleneck = spec.model().head_bottleneck();
  options.head.out = spec.model().head_out();
  options.pairs = PairsOf(distill.pairs());
  options.student_temp = distill.student_temp();
  options.teacher_temp = {distill.warm_temp(), distill.teacher_temp(), distill.warm_epochs()};
  options.center_momentum = distill.center_momentum();
  options.ema_momentum = {distill.ema_start(), distill.ema_end(), length.schedule_steps};
  options.freeze_epochs = distill.freeze_epochs();
  return options;
}

}  // namespace

RunLength RunLengthOf(const v1::TrainSpec& train, int64_t steps_per_epoch) {
  RunLength length;
  length.steps_per_epoch = steps_per_epoch;
  length.schedule_steps = train.updates() > 0 ? train.updates() : train.epochs() * steps_per_epoch;
  length.schedule_steps = std::max<int64_t>(length.schedule_steps, 1);
  length.last_step = train.max_steps() > 0 ? std::min(train.max_steps(), length.schedule_steps)
                                           : length.schedule_steps;
  return length;
}

absl::StatusOr<bool> ChooseBf16(v1::TrainSpec::Precision precision, const DevicePrecision& device) {
  if (precision == v1::TrainSpec::FP32) return false;
  if (precision == v1::TrainSpec::BF16 && !device.has_bf16) {
    return absl::FailedPreconditionError(
        device.is_cuda
            ? "train.precision bf16: this GPU has no bf16 (it needs sm_80); use fp32 or auto"
            : "train.precision bf16: this CPU has neither AMX nor AVX512-BF16 and is 20-70 times "
              "slower in bf16; use fp32 or auto");
  }
  return device.has_bf16;
}

absl::StatusOr<data::Split> SplitOf(const v1::DataSpec& spec) {
  if (spec.split() == "train") return data::Split::kTrain;
  if (spec.split() == "validation") return data::Split::kValidation;
  if (spec.split() == "test") return data::Split::kTest;
  if (spec.split() == "all") return data::Split::kAll;
  return absl::InvalidArgumentError(
      absl::StrCat("spec.data.split: ", spec.split(), " is not train, validation, test or all"));
}

data::InputOptions InputOf(const v1::ModelSpec& model, const v1::DataSpec& data) {
  data::InputOptions options;
  options.image_size = model.image_size();
  options.patch = model.patch();
  options.imagenet_norm = data.norm() != v1::DataSpec::UNIT;
  return options;
}

data::ViewOptions ViewsOf(const v1::AugmentSpec& spec) {
  data::ViewOptions options;
  options.horizontal_flip = spec.horizontal_flip();
  options.vertical_flip = spec.vertical_flip();
  options.color_jitter = spec.color_jitter();
  options.grayscale = spec.grayscale();
  options.blur = spec.blur();
  options.blur_second = spec.blur_second();
  options.crop_min_scale = spec.crop_min_scale();
  return options;
}

data::SegmentationAugmentOptions SegmentationAugmentOf(const v1::AugmentSpec& spec) {
  data::SegmentationAugmentOptions options;
  options.horizontal_flip = spec.horizontal_flip();
  options.vertical_flip = spec.vertical_flip();
  options.shift_scale_rotate = spec.shift_scale_rotate();
  options.noise = spec.noise();
  return options;
}

mask::MaskOptions MaskOf(const v1::MaskSpec& spec) {
  mask::MaskOptions options;
  options.kind = MaskKindOf(spec.strategy());
  options.gamma = spec.gamma();
  options.beta = spec.beta();
  options.regions = spec.regions();
  options.rho = spec.rho();
  return options;
}

model::VitOptions EncoderOf(const v1::ModelSpec& spec, bool learned_pos) {
  model::VitOptions options;
  options.image_size = spec.image_size();
  options.patch = spec.patch();
  options.dim = spec.dim();
  options.depth = spec.depth();
  options.heads = spec.heads();
  options.learned_pos = learned_pos;
  return options;
}

model::SegmentationOptions SegmentationOf(const v1::ModelSpec& spec, bool learned_pos) {
  model::SegmentationOptions options;
  options.vit = EncoderOf(spec, learned_pos);
  options.channels.assign(spec.segmentation_channels().begin(), spec.segmentation_channels().end());
  return options;
}

schedule::CosineWithWarmup LearningRateOf(const v1::OptimSpec& spec, const RunLength& length) {
  const auto warmup = static_cast<int64_t>(
      std::llround(spec.warmup() * static_cast<double>(length.steps_per_epoch)));
  return {spec.lr(), spec.min_lr(), std::min(warmup, length.schedule_steps), length.schedule_steps};
}

schedule::CosineBetween WeightDecayOf(const v1::OptimSpec& spec, const RunLength& length) {
  return {spec.weight_decay(), spec.weight_decay_end(), length.schedule_steps};
}

train::AdamW::Options AdamOf(const v1::OptimSpec& spec) {
  train::AdamW::Options options;
  if (spec.betas_size() == 2) {
    options.beta1 = spec.betas(0);
    options.beta2 = spec.betas(1);
  }
  return options;
}

pretrain::PretrainOptions PretrainOptionsOf(const v1::PretrainSpec& spec, const RunLength& length) {
  const bool is_dino = spec.method() == v1::PretrainSpec::DINO;
  const bool is_mae = spec.method() == v1::PretrainSpec::MAE;
  pretrain::PretrainOptions options;
  options.method = is_dino ? "dino" : is_mae ? "mae" : "g2ll";
  options.encoder = EncoderOf(spec.model(), /*learned_pos=*/is_dino);
  options.is_student_masked = !is_dino;
  if (!is_dino && spec.mim().lambda() > 0) options.mim = MimOf(spec);
  if (!is_mae && spec.distill().lambda() > 0) options.distill = DistillOf(spec, length);
  if (is_dino) {
    options.encoder.drop_path = 0.1;  // the baseline's setting, method section 5
    // A view compared with its own unmasked self teaches nothing.
    if (options.distill && options.distill->pairs == loss::Pairs::kSame) {
      options.distill->pairs = loss::Pairs::kCross;
    }
  }
  options.lr = LearningRateOf(spec.optim(), length);
  options.weight_decay = WeightDecayOf(spec.optim(), length);
  options.steps_per_epoch = length.steps_per_epoch;
  options.seed = spec.seed();
  return options;
}

}  // namespace g2ll::job
