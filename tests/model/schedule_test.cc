#include "worker/schedule/schedule.h"

#include <gtest/gtest.h>

#include "worker/schedule/layer_decay.h"

namespace g2ll::schedule {
namespace {

constexpr int64_t kStepsPerEpoch = 197;
constexpr int64_t kTotal = 300 * kStepsPerEpoch;

TEST(CosineWithWarmup, MatchesTheOracles) {
  const CosineWithWarmup rate{1.5e-4, 0, 40 * kStepsPerEpoch, kTotal};
  EXPECT_EQ(rate.At(0), 0);
  EXPECT_NEAR(rate.At(20 * kStepsPerEpoch), 7.5e-5, 1e-12);
  EXPECT_NEAR(rate.At(40 * kStepsPerEpoch), 1.5e-4, 1e-12);
  EXPECT_NEAR(rate.At(170 * kStepsPerEpoch), 7.5e-5, 1e-12);
  EXPECT_NEAR(rate.At(235 * kStepsPerEpoch), 2.1967e-5, 1e-9);
  EXPECT_NEAR(rate.At(kTotal - 1), 1.4e-13, 1e-14);
  EXPECT_NEAR(rate.At(kTotal + 5), 0, 1e-18);
}

TEST(CosineWithWarmup, WorksWithoutWarmupAndWithAFloor) {
  const CosineWithWarmup rate{3e-4, 1e-6, 0, 100};
  EXPECT_NEAR(rate.At(0), 3e-4, 1e-15);
  EXPECT_NEAR(rate.At(50), (3e-4 + 1e-6) / 2, 1e-15);
  EXPECT_NEAR(rate.At(100), 1e-6, 1e-15);
  EXPECT_EQ((CosineWithWarmup{1, 0, 10, 10}.At(10)), 0);
}

TEST(CosineBetween, MatchesTheOraclesOfTheTeacherAndTheDecay) {
  const CosineBetween momentum{.996, 1, kTotal};
  EXPECT_DOUBLE_EQ(momentum.At(0), .996);
  EXPECT_NEAR(momentum.At(kTotal / 2), .998, 1e-12);
  EXPECT_NEAR(1 - momentum.At(kTotal - 1), 2.8e-12, 1e-13);
  const CosineBetween decay{.04, .4, kTotal};
  EXPECT_DOUBLE_EQ(decay.At(0), .04);
  EXPECT_NEAR(decay.At(kTotal / 2), .22, 1e-12);
  EXPECT_NEAR(decay.At(kTotal), .4, 1e-12);
}

TEST(OscillatingCosine, ComesBackAfterTwiceItsHalfPeriod) {
  const OscillatingCosine rate{3e-4, 0, 20};
  EXPECT_DOUBLE_EQ(rate.At(0), 3e-4);
  EXPECT_NEAR(rate.At(1), 2.9815325e-4, 1e-11);
  EXPECT_NEAR(rate.At(10), 1.5e-4, 1e-15);
  EXPECT_EQ(rate.At(20), 0);
  EXPECT_DOUBLE_EQ(rate.At(21), rate.At(19));
  EXPECT_DOUBLE_EQ(rate.At(40), 3e-4);
  EXPECT_DOUBLE_EQ(rate.At(4003), rate.At(3));
  EXPECT_DOUBLE_EQ((OscillatingCosine{3e-4, 1e-5, 20}.At(20)), 1e-5);
}

TEST(LearningRate, FollowsItsCourseAfterTheWarmUp) {
  LearningRate rate{3e-4, 1e-5, 100, 1000};
  EXPECT_DOUBLE_EQ(rate.At(550), (CosineWithWarmup{3e-4, 1e-5, 100, 1000}.At(550)));
  rate.course = LearningRate::Course::kConstant;
  EXPECT_DOUBLE_EQ(rate.At(50), 1.5e-4);
  EXPECT_DOUBLE_EQ(rate.At(100), 3e-4);
  EXPECT_DOUBLE_EQ(rate.At(999), 3e-4);
}

// One value an epoch, 20 epochs down and 20 up.
TEST(LearningRate, SwingsWithAPeriodOfFortyEpochs) {
  LearningRate rate{3e-4, 0, 0, 100 * 62};
  rate.course = LearningRate::Course::kOscillating;
  rate.steps_per_epoch = 62;
  EXPECT_DOUBLE_EQ(rate.At(0), 3e-4);
  EXPECT_DOUBLE_EQ(rate.At(61), 3e-4);
  EXPECT_NEAR(rate.At(62), 2.9815325e-4, 1e-11);
  EXPECT_EQ(rate.At(20 * 62), 0);
  EXPECT_DOUBLE_EQ(rate.At(40 * 62), 3e-4);
}

TEST(CosineBetween, TheTeachersMemoryHasTheHalfLivesOfTheMethod) {
  const auto steps_to_half = [](double momentum) {
    int steps = 0;
    for (double left = 1; left > 0.5; left *= momentum) ++steps;
    return steps;
  };
  EXPECT_EQ(steps_to_half((CosineBetween{.996, .996, 10}.At(5))), 173);
  // ln 2 / -ln 0.9995 is 1385.95.
  EXPECT_EQ(steps_to_half((CosineBetween{.9995, .9995, 10}.At(5))), 1386);
}

TEST(LayerDecay, CountsLayersFromThePatchesToTheHead) {
  EXPECT_EQ(LayerOf("cls_token", 12), 0);
  EXPECT_EQ(LayerOf("pos_embed", 12), 0);
  EXPECT_EQ(LayerOf("patch_embed.proj.bias", 12), 0);
  EXPECT_EQ(LayerOf("blocks.0.norm1.weight", 12), 1);
  EXPECT_EQ(LayerOf("blocks.11.mlp.fc2.bias", 12), 12);
  EXPECT_EQ(LayerOf("norm.weight", 12), 13);
  EXPECT_EQ(LayerOf("seg.stages.0.conv1.conv.weight", 12), 13);
  EXPECT_EQ(LayerOf("classifier.weight", 12), 13);
}

TEST(LayerDecay, SlowsTheLayersNearTheInputMost) {
  EXPECT_DOUBLE_EQ(LayerDecayFactor("norm.bias", 12, .75), 1);
  EXPECT_DOUBLE_EQ(LayerDecayFactor("blocks.11.attn.qkv.weight", 12, .75), .75);
  EXPECT_NEAR(LayerDecayFactor("patch_embed.proj.weight", 12, .75), .0237573, 1e-7);
  EXPECT_EQ(LayerDecayFactor("cls_token", 12, 1), 1);
}

TEST(TeacherTemperature, WarmsUpInEqualStepsPerEpoch) {
  const TeacherTemperature temperature{.04, .07, 30};
  EXPECT_DOUBLE_EQ(temperature.At(0), .04);
  EXPECT_NEAR(temperature.At(1), .0410345, 1e-7);
  EXPECT_DOUBLE_EQ(temperature.At(29), .07);
  EXPECT_DOUBLE_EQ(temperature.At(200), .07);
  EXPECT_DOUBLE_EQ((TeacherTemperature{.04, .04, 0}.At(0)), .04);
  EXPECT_DOUBLE_EQ((TeacherTemperature{.04, .07, 1}.At(0)), .07);
}

}  // namespace
}  // namespace g2ll::schedule
