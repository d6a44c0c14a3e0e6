// From the keys of a pre-training job to the options of its task.
#include <gtest/gtest.h>

#include "worker/job/spec_options.h"

namespace g2ll::job {
namespace {

v1::PretrainSpec SmallSpec(v1::PretrainSpec::Method method) {
  v1::PretrainSpec spec;
  spec.set_method(method);
  v1::ModelSpec& model = *spec.mutable_model();
  model.set_image_size(64);
  model.set_patch(8);
  model.set_dim(128);
  model.set_depth(4);
  model.set_heads(4);
  spec.mutable_mask()->set_gamma(0.25);
  spec.mutable_mim()->set_lambda(1);
  spec.mutable_distill()->set_lambda(1);
  return spec;
}

RunLength TenEpochs() {
  return {.steps_per_epoch = 10, .schedule_steps = 100, .last_step = 100, .images_per_step = 64};
}

TEST(PretrainOptionsTest, WithoutChoicesTheyAreThoseOfThePaper) {
  const auto options = PretrainOptionsOf(SmallSpec(v1::PretrainSpec::G2LL), TenEpochs());
  EXPECT_EQ(options.student_input, pretrain::StudentInput::kVisible);
  EXPECT_FALSE(options.encoder.learned_pos);
  EXPECT_EQ(options.encoder.drop_path, 0);
  EXPECT_EQ(options.mim->distance, loss::Distance::kSquared);
  EXPECT_EQ(options.distill->centering, pretrain::Centering::kMean);
  EXPECT_TRUE(options.distill->head.norm_last_layer);
  EXPECT_FALSE(options.ibot || options.attention_mask || options.is_summed);
  EXPECT_EQ(options.koleo_lambda, 0);
  EXPECT_EQ(options.lr.course, schedule::LearningRate::Course::kCosine);
}

TEST(PretrainOptionsTest, EveryKeyReachesItsOption) {
  v1::PretrainSpec spec = SmallSpec(v1::PretrainSpec::G2LL);
  spec.mutable_model()->set_positions(v1::ModelSpec::LEARNED);
  spec.mutable_model()->set_drop_path(0.2);
  spec.mutable_mask()->set_student_input(v1::MaskSpec::MASK_TOKEN_ALL);
  spec.mutable_mask()->set_strategy(v1::MaskSpec::ATTMASK);
  spec.mutable_mask()->set_attention_share(0.75);
  spec.mutable_mim()->set_loss(v1::MimSpec::L1);
  spec.mutable_distill()->set_centering(v1::DistillSpec::SINKHORN);
  spec.mutable_distill()->set_reduce(v1::DistillSpec::SUM);
  spec.mutable_distill()->set_norm_last_layer(false);
  spec.mutable_ibot()->set_lambda(0.5);
  spec.mutable_ibot()->set_source(v1::IbotSpec::ENCODER);
  spec.mutable_ibot()->set_warm_temp(0.03);
  spec.mutable_ibot()->set_teacher_temp(0.06);
  spec.mutable_ibot()->set_warm_epochs(3);
  spec.mutable_koleo()->set_lambda(0.1);

  const auto options = PretrainOptionsOf(spec, TenEpochs());

  EXPECT_TRUE(options.encoder.learned_pos);
  EXPECT_EQ(options.encoder.drop_path, 0.2);
  EXPECT_EQ(options.student_input, pretrain::StudentInput::kMaskToken);
  ASSERT_TRUE(options.attention_mask.has_value());
  EXPECT_EQ(options.attention_mask->kind, mask::MaskKind::kAttention);
  EXPECT_EQ(options.attention_mask->attention_share, 0.75);
  EXPECT_EQ(options.mim->distance, loss::Distance::kAbsolute);
  EXPECT_EQ(options.distill->centering, pretrain::Centering::kSinkhorn);
  EXPECT_TRUE(options.is_summed);
  EXPECT_FALSE(options.distill->head.norm_last_layer);
  EXPECT_EQ(options.ibot->lambda, 0.5);
  EXPECT_EQ(options.ibot->source, pretrain::IbotOptions::Source::kEncoder);
  EXPECT_DOUBLE_EQ(options.ibot->teacher_temp.At(0), 0.03);
  EXPECT_DOUBLE_EQ(options.ibot->teacher_temp.At(2), 0.06);
  EXPECT_EQ(options.koleo_lambda, 0.1);
}

TEST(PretrainOptionsTest, PositionsFollowTheKeyAndNotTheMethod) {
  v1::PretrainSpec dino = SmallSpec(v1::PretrainSpec::DINO);
  dino.mutable_model()->set_positions(v1::ModelSpec::SINCOS2D);
  EXPECT_FALSE(PretrainOptionsOf(dino, TenEpochs()).encoder.learned_pos);
  dino.mutable_model()->set_positions(v1::ModelSpec::LEARNED);
  EXPECT_TRUE(PretrainOptionsOf(dino, TenEpochs()).encoder.learned_pos);
}

TEST(PretrainOptionsTest, AStudentWithoutMasksSeesEverything) {
  v1::PretrainSpec dino = SmallSpec(v1::PretrainSpec::DINO);
  dino.mutable_mask()->set_gamma(0);
  const auto options = PretrainOptionsOf(dino, TenEpochs());
  EXPECT_EQ(options.student_input, pretrain::StudentInput::kAll);
  EXPECT_FALSE(options.mim.has_value());
}

TEST(PretrainOptionsTest, TheLearningRateScalesWithTheBatchAndFollowsItsCourse) {
  v1::OptimSpec optim;
  optim.set_lr(4e-3);
  optim.set_min_lr(4e-4);
  optim.set_lr_scale(v1::OptimSpec::LINEAR256);
  optim.set_schedule(v1::OptimSpec::CONSTANT);
  const auto rate = LearningRateOf(optim, TenEpochs());
  EXPECT_DOUBLE_EQ(rate.peak, 1e-3);
  EXPECT_DOUBLE_EQ(rate.min, 1e-4);
  EXPECT_DOUBLE_EQ(rate.At(99), 1e-3);
  optim.set_schedule(v1::OptimSpec::COSINE_T20);
  EXPECT_EQ(LearningRateOf(optim, TenEpochs()).steps_per_epoch, 10);
  optim.set_lr_scale(v1::OptimSpec::NONE);
  EXPECT_DOUBLE_EQ(LearningRateOf(optim, TenEpochs()).peak, 4e-3);
}

TEST(PretrainOptionsTest, ClippingIsPerTensorUnlessAskedOtherwise) {
  v1::OptimSpec optim;
  EXPECT_EQ(ClipModeOf(optim), train::ClipMode::kPerTensor);
  optim.set_clip_mode(v1::OptimSpec::GLOBAL);
  EXPECT_EQ(ClipModeOf(optim), train::ClipMode::kGlobal);
}

}  // namespace
}  // namespace g2ll::job
