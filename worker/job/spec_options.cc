#include "worker/job/spec_options.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/subset.h"

namespace g2ll::job {
namespace {

mask::MaskKind MaskKindOf(v1::MaskSpec::Strategy strategy) {
  switch (strategy) {
    case v1::MaskSpec::RANDOM:
      return mask::MaskKind::kRandom;
    case v1::MaskSpec::SEMANTIC:
      return mask::MaskKind::kSemantic;
    case v1::MaskSpec::BLOCK:
      return mask::MaskKind::kBlock;
    case v1::MaskSpec::ATTMASK:
      return mask::MaskKind::kAttention;
    default:
      return mask::MaskKind::kSemanticFocal;
  }
}

mask::Central CentralOf(v1::MaskSpec::Central central) {
  switch (central) {
    case v1::MaskSpec::NO_BORDER:
      return mask::Central::kNoBorder;
    case v1::MaskSpec::WINDOW:
      return mask::Central::kWindow;
    case v1::MaskSpec::TOP_K:
      return mask::Central::kTopK;
    default:
      return mask::Central::kPrefix;
  }
}

mask::FocalRounding RoundingOf(v1::MaskSpec::Rounding rounding) {
  switch (rounding) {
    case v1::MaskSpec::FLOOR:
      return mask::FocalRounding::kFloor;
    case v1::MaskSpec::CEIL:
      return mask::FocalRounding::kCeil;
    default:
      return mask::FocalRounding::kNearest;
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

data::JitterAmounts JitterOf(const v1::AugmentSpec& spec) {
  return {spec.brightness(), spec.contrast(), spec.saturation(), spec.hue()};
}

schedule::LearningRate::Course CourseOf(v1::OptimSpec::Schedule schedule) {
  switch (schedule) {
    case v1::OptimSpec::CONSTANT:
      return schedule::LearningRate::Course::kConstant;
    case v1::OptimSpec::COSINE_T20:
      return schedule::LearningRate::Course::kOscillating;
    default:
      return schedule::LearningRate::Course::kCosine;
  }
}

model::DecoderKind DecoderOf(v1::SegmentationSpec::Decoder decoder) {
  switch (decoder) {
    case v1::SegmentationSpec::CUP_MULTI:
      return model::DecoderKind::kCupMulti;
    case v1::SegmentationSpec::LINEAR:
      return model::DecoderKind::kLinear;
    case v1::SegmentationSpec::UNET:
      return model::DecoderKind::kUnet;
    default:
      return model::DecoderKind::kCup;
  }
}

finetune::Selection SelectionOf(v1::SegmentationSpec::Select select) {
  switch (select) {
    case v1::SegmentationSpec::BEST:
      return finetune::Selection::kBestDice;
    case v1::SegmentationSpec::BEST_IOU:
      return finetune::Selection::kBestIoU;
    default:
      return finetune::Selection::kLast;
  }
}

pretrain::StudentInput StudentInputOf(const v1::PretrainSpec& spec) {
  const int grid = spec.model().image_size() / spec.model().patch();
  if (mask::NumMasked(grid * grid, spec.mask().gamma()) == 0) return pretrain::StudentInput::kAll;
  return spec.mask().student_input() == v1::MaskSpec::MASK_TOKEN_ALL
             ? pretrain::StudentInput::kMaskToken
             : pretrain::StudentInput::kVisible;
}

pretrain::MimOptions MimOf(const v1::PretrainSpec& spec) {
  pretrain::MimOptions options;
  options.lambda = spec.mim().lambda();
  options.norm_pix = spec.mim().norm_pix();
  if (spec.mim().loss() == v1::MimSpec::L1) options.distance = loss::Distance::kAbsolute;
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
  options.head.norm_last_layer = !distill.has_norm_last_layer() || distill.norm_last_layer();
  if (distill.centering() == v1::DistillSpec::SINKHORN) {
    options.centering = pretrain::Centering::kSinkhorn;
  }
  options.pairs = PairsOf(distill.pairs());
  options.student_temp = distill.student_temp();
  options.teacher_temp = {distill.warm_temp(), distill.teacher_temp(), distill.warm_epochs()};
  options.center_momentum = distill.center_momentum();
  options.ema_momentum = {distill.ema_start(), distill.ema_end(), length.schedule_steps};
  options.freeze_epochs = distill.freeze_epochs();
  return options;
}

pretrain::IbotOptions IbotOf(const v1::IbotSpec& spec) {
  pretrain::IbotOptions options;
  options.lambda = spec.lambda();
  if (spec.source() == v1::IbotSpec::ENCODER) {
    options.source = pretrain::IbotOptions::Source::kEncoder;
  }
  options.teacher_temp = {spec.warm_temp(), spec.teacher_temp(), spec.warm_epochs()};
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
  length.images_per_step = std::max(1, train.global_batch());
  length.images_in_last_step = length.images_per_step;
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
  if (const auto split = data::SplitNamed(spec.split())) return *split;
  return absl::InvalidArgumentError(
      absl::StrCat("spec.data.split: ", spec.split(), " is not train, validation, test or all"));
}

absl::StatusOr<data::DatasetOptions> DatasetOf(const v1::DataSpec& spec) {
  data::DatasetOptions options;
  options.source = spec.source();
  G2LL_ASSIGN_OR_RETURN(options.split, SplitOf(spec));
  options.exclude_ids.assign(spec.exclude_ids().begin(), spec.exclude_ids().end());
  options.fraction = spec.fraction();
  options.max_images = spec.max_images();
  options.subset_seed = spec.subset_seed();
  return options;
}

data::InputOptions InputOf(const v1::ModelSpec& model, const data::PixelScale& scale) {
  data::InputOptions options;
  options.image_size = model.image_size();
  options.patch = model.patch();
  options.scale = scale;
  return options;
}

data::ViewOptions ViewsOf(const v1::AugmentSpec& spec) {
  data::ViewOptions options;
  options.horizontal_flip = spec.horizontal_flip();
  options.vertical_flip = spec.vertical_flip();
  options.color_jitter = spec.color_jitter();
  options.jitter = JitterOf(spec);
  options.grayscale = spec.grayscale();
  options.blur = spec.blur();
  options.blur_second = spec.blur_second();
  options.solarize = spec.solarize();
  options.crop_min_scale = spec.crop_min_scale();
  return options;
}

data::SegmentationAugmentOptions SegmentationAugmentOf(const v1::AugmentSpec& spec) {
  data::SegmentationAugmentOptions options;
  options.horizontal_flip = spec.horizontal_flip();
  options.vertical_flip = spec.vertical_flip();
  options.crop_min_scale = spec.crop_min_scale();
  options.shift_scale_rotate = spec.shift_scale_rotate();
  options.color_jitter = spec.color_jitter();
  options.jitter = JitterOf(spec);
  options.grayscale = spec.grayscale();
  options.blur = spec.blur();
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
  options.rounding = RoundingOf(spec.rounding());
  if (spec.allocation() == v1::MaskSpec::PROPORTIONAL) {
    options.allocation = mask::Shares::kProportional;
  }
  options.central = CentralOf(spec.central());
  options.top_k = spec.top_k();
  if (spec.order() == v1::MaskSpec::SALIENCY) options.order = mask::CentralOrder::kSaliency;
  if (spec.center() == v1::MaskSpec::VIEW) options.center = mask::CenterOf::kView;
  if (spec.curriculum() == v1::MaskSpec::INTRA_TO_INTER) {
    options.curriculum = mask::Curriculum::kIntraToInter;
  }
  options.shared = spec.shared();
  options.attention_share = spec.attention_share();
  options.attention_hint = spec.attention_hint();
  return options;
}

data::SlicOptions SlicOf(const v1::SlicSpec& spec, int regions) {
  data::SlicOptions options;
  options.regions = regions;
  if (spec.mode() == v1::SlicSpec::SLIC) options.mode = data::SlicMode::kSlic;
  if (spec.layout() == v1::SlicSpec::GRID) options.layout = data::SlicLayout::kGrid;
  options.iterations = spec.iterations();
  options.compactness = spec.compactness();
  options.blur = spec.blur();
  options.min_size_percent = spec.min_size_percent();
  options.exact = spec.exact();
  return options;
}

model::VitOptions EncoderOf(const v1::ModelSpec& spec, bool learned_pos) {
  model::VitOptions options;
  options.image_size = spec.image_size();
  options.patch = spec.patch();
  options.dim = spec.dim();
  options.depth = spec.depth();
  options.heads = spec.heads();
  options.drop_path = spec.drop_path();
  options.learned_pos = learned_pos;
  return options;
}

model::SegmentationOptions SegmentationOf(const v1::FinetuneSpec& spec, bool learned_pos) {
  const auto& channels = spec.model().segmentation_channels();
  model::SegmentationOptions options;
  options.vit = EncoderOf(spec.model(), learned_pos);
  options.channels.assign(channels.begin(), channels.end());
  options.decoder = DecoderOf(spec.seg().decoder());
  if (spec.seg().norm() == v1::SegmentationSpec::GROUP_NORM) {
    options.norm = model::NormLayer::kGroup;
  }
  return options;
}

finetune::SegmentationTaskOptions SegmentationTaskOf(const v1::FinetuneSpec& spec,
                                                     const RunLength& length, bool learned_pos) {
  const v1::SegmentationSpec& seg = spec.seg();
  finetune::SegmentationTaskOptions options;
  options.network = SegmentationOf(spec, learned_pos);
  options.is_encoder_frozen = seg.freeze_encoder();
  if (seg.loss() == v1::SegmentationSpec::STRUCTURE) options.loss = finetune::LossKind::kStructure;
  if (seg.dice_over() == v1::SegmentationSpec::BATCH) {
    options.dice_over = loss::DiceReduction::kBatch;
  }
  options.average_momentum = seg.ema();
  options.layer_decay = spec.optim().layer_decay();
  options.lr = LearningRateOf(spec.optim(), length);
  options.weight_decay = WeightDecayOf(spec.optim(), length);
  options.steps_per_epoch = length.steps_per_epoch;
  options.selection = SelectionOf(seg.select());
  options.seed = spec.seed();
  return options;
}

schedule::LearningRate LearningRateOf(const v1::OptimSpec& spec, const RunLength& length) {
  const double warmup_steps = spec.warmup_share() > 0
                                  ? spec.warmup_share() * static_cast<double>(length.schedule_steps)
                                  : spec.warmup() * static_cast<double>(length.steps_per_epoch);
  const auto warmup = static_cast<int64_t>(std::llround(warmup_steps));
  const double scale = spec.lr_scale() == v1::OptimSpec::LINEAR256
                           ? static_cast<double>(length.images_per_step) / 256
                           : 1;
  schedule::LearningRate rate;
  rate.peak = spec.lr() * scale;
  rate.min = spec.min_lr() * scale;
  rate.warmup_steps = std::min(warmup, length.schedule_steps);
  rate.total_steps = length.schedule_steps;
  rate.course = CourseOf(spec.schedule());
  rate.steps_per_epoch = length.steps_per_epoch;
  return rate;
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

train::ClipMode ClipModeOf(const v1::OptimSpec& spec) {
  return spec.clip_mode() == v1::OptimSpec::GLOBAL ? train::ClipMode::kGlobal
                                                   : train::ClipMode::kPerTensor;
}

pretrain::PretrainOptions PretrainOptionsOf(const v1::PretrainSpec& spec, const RunLength& length) {
  const bool is_dino = spec.method() == v1::PretrainSpec::DINO;
  const bool is_mae = spec.method() == v1::PretrainSpec::MAE;
  pretrain::PretrainOptions options;
  options.method = is_dino ? "dino" : is_mae ? "mae" : "g2ll";
  options.encoder = EncoderOf(spec.model(), spec.model().positions() == v1::ModelSpec::LEARNED);
  options.student_input = StudentInputOf(spec);
  if (!is_dino && spec.mim().lambda() > 0) options.mim = MimOf(spec);
  if (!is_mae && spec.distill().lambda() > 0) options.distill = DistillOf(spec, length);
  if (options.distill && spec.ibot().lambda() > 0) options.ibot = IbotOf(spec.ibot());
  if (options.distill && spec.mask().strategy() == v1::MaskSpec::ATTMASK) {
    options.attention_mask = MaskOf(spec.mask());
  }
  options.koleo_lambda = spec.koleo().lambda();
  options.is_summed = spec.distill().reduce() == v1::DistillSpec::SUM;
  options.lr = LearningRateOf(spec.optim(), length);
  options.weight_decay = WeightDecayOf(spec.optim(), length);
  options.steps_per_epoch = length.steps_per_epoch;
  options.seed = spec.seed();
  return options;
}

}  // namespace g2ll::job
