#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "worker/loss/distillation_loss.h"
#include "worker/loss/reconstruction_loss.h"
#include "worker/loss/segmentation_loss.h"

namespace g2ll::loss {
namespace {

const auto kDouble = torch::dtype(torch::kFloat64);

torch::Tensor Row(const std::vector<double>& values) {
  return torch::tensor(values, kDouble).unsqueeze(0);
}

double OneView(const torch::Tensor& student, const torch::Tensor& teacher,
               const torch::Tensor& center) {
  return DistillationLoss(student, teacher, center, {.views = 1}).item<double>();
}

TEST(Patchify, OrdersRowsColumnsChannels) {
  const torch::Tensor image = torch::arange(3 * 32 * 32, torch::kFloat32).reshape({1, 3, 32, 32});
  const torch::Tensor patches = Patchify(image, 16);
  ASSERT_EQ(patches.sizes(), (std::vector<int64_t>{1, 4, 768}));
  const auto head = [&](int patch, int64_t count) { return patches[0][patch].slice(0, 0, count); };
  EXPECT_TRUE(torch::equal(head(0, 6), torch::tensor({0.f, 1024.f, 2048.f, 1.f, 1025.f, 2049.f})));
  EXPECT_TRUE(torch::equal(head(1, 3), torch::tensor({16.f, 1040.f, 2064.f})));
  EXPECT_EQ(patches[0][2][0].item<float>(), 512);
  EXPECT_EQ(patches[0][3][767].item<float>(), 3071);
  EXPECT_TRUE(torch::equal(Unpatchify(patches, 16, 3), image));
}

// Four patches of two values cannot be pixels of an RGB image, so the oracle's
// numbers become four 1x1 patches: (targets - 0)^2 with the same means.
TEST(ReconstructionLoss, IsTheMeanOverMaskedPatches) {
  torch::Tensor image = torch::zeros({1, 3, 2, 2}, kDouble);
  image.index_put_({0, torch::indexing::Slice(), 0, 0}, torch::tensor({1.0, 1.0, 1.0}, kDouble));
  image.index_put_({0, torch::indexing::Slice(), 0, 1}, torch::tensor({9.0, 9.0, 9.0}, kDouble));
  image.index_put_({0, torch::indexing::Slice(), 1, 1},
                   torch::tensor({3.0, 1.0, std::sqrt(5.0)}, kDouble));
  torch::Tensor prediction = torch::zeros({1, 4, 3}, kDouble).requires_grad_();
  const torch::Tensor masked = torch::tensor({{0, 3}});
  const torch::Tensor loss = ReconstructionLoss(prediction, image, masked, 1, false);
  EXPECT_DOUBLE_EQ(loss.item<double>(), (1.0 + 5.0) / 2);
  loss.backward();
  EXPECT_TRUE(torch::equal(prediction.grad()[0].slice(0, 1, 3), torch::zeros({2, 3}, kDouble)));
  EXPECT_NE(prediction.grad()[0][0][0].item<double>(), 0);
}

TEST(ReconstructionLoss, NormPixUsesTheUnbiasedVariance) {
  torch::manual_seed(1);
  const torch::Tensor images = torch::randn({2, 3, 32, 32});
  const torch::Tensor prediction = torch::zeros({2, 4, 768});
  const torch::Tensor masked = torch::tensor({{0, 2}, {1, 3}});
  EXPECT_NEAR(ReconstructionLoss(prediction, images, masked, 16, true).item<double>(), 0.9986979,
              2e-6);
  const torch::Tensor flat = torch::full({2, 3, 32, 32}, 0.3f);
  EXPECT_EQ(ReconstructionLoss(prediction, flat, masked, 16, true).item<double>(), 0);
}

TEST(ReconstructionLoss, AbsoluteDistanceIsTheMeanOfAbsoluteErrors) {
  const torch::Tensor images = torch::full({1, 3, 32, 32}, -2.0, kDouble);
  const torch::Tensor prediction = torch::ones({1, 4, 768}, kDouble);
  const torch::Tensor masked = torch::tensor({{1, 2}});
  const auto loss = [&](Distance distance) {
    return ReconstructionLoss(prediction, images, masked, 16, false, distance).item<double>();
  };
  EXPECT_DOUBLE_EQ(loss(Distance::kAbsolute), 3);
  EXPECT_DOUBLE_EQ(loss(Distance::kSquared), 9);
}

TEST(ReconstructionLoss, IsFloat32ForHalfPrecisionPredictions) {
  const torch::Tensor loss =
      ReconstructionLoss(torch::zeros({1, 4, 768}, torch::kBFloat16), torch::ones({1, 3, 32, 32}),
                         torch::tensor({{1}}), 16, false);
  EXPECT_EQ(loss.scalar_type(), torch::kFloat32);
  EXPECT_EQ(loss.item<float>(), 1);
}

TEST(DistillationLoss, OfUniformLogitsIsTheLogOfTheirNumber) {
  for (const auto& [outputs, expected] :
       {std::pair{65536, 11.0903549}, {8192, 9.0109133}, {4096, 8.3177662}}) {
    const torch::Tensor zeros = torch::zeros({2, outputs});
    const double loss =
        DistillationLoss(zeros, zeros, torch::zeros({1, outputs}), {}).item<double>();
    EXPECT_NEAR(loss, expected, 1e-5 * expected);
  }
}

TEST(DistillationLoss, MatchesTheOracles) {
  const torch::Tensor zero = torch::zeros({1, 4}, kDouble);
  const torch::Tensor e0 = Row({1, 0, 0, 0});
  const torch::Tensor e1 = Row({0, 1, 0, 0});
  EXPECT_NEAR(OneView(e0, e1, zero), 10.0001364, 1e-6);
  EXPECT_NEAR(OneView(e0, e0, zero), 1.36191e-4, 1e-6);
  const torch::Tensor teacher = Row({.1, .3, -.2});
  const torch::Tensor center = Row({.05, .1, -.05});
  EXPECT_NEAR(OneView(Row({.2, -.1, .4}), teacher, center), 5.0631504, 1e-6);
  EXPECT_TRUE(
      torch::allclose(UpdateCenter(center, CenterSum(teacher), 1, 0.9), Row({.055, .12, -.065})));
}

TEST(DistillationLoss, PairsViewsAsAsked) {
  const torch::Tensor student = torch::cat({Row({1, 0, -1}), Row({0, 1, .5})});
  const torch::Tensor teacher = torch::cat({Row({.3, -.2, .1}), Row({-.1, .2, .4})});
  const torch::Tensor center = torch::zeros({1, 3}, kDouble);
  const auto loss = [&](Pairs pairs) {
    return DistillationLoss(student, teacher, center, {.pairs = pairs}).item<double>();
  };
  EXPECT_NEAR(loss(Pairs::kSame), (.1339389 + 4.9733148) / 2, 1e-6);
  EXPECT_NEAR(loss(Pairs::kCross), (9.9732593 + 19.9330431) / 2, 1e-6);
  EXPECT_NEAR(loss(Pairs::kAll), (.1339389 + 4.9733148 + 9.9732593 + 19.9330431) / 4, 1e-6);
}

TEST(DistillationLoss, IsInvariantToShifts) {
  torch::manual_seed(4);
  const torch::Tensor student = torch::randn({4, 5}, kDouble);
  const torch::Tensor teacher = torch::randn({4, 5}, kDouble);
  const torch::Tensor center = torch::randn({1, 5}, kDouble);
  const torch::Tensor shift = torch::randn({1, 5}, kDouble);
  const double loss = DistillationLoss(student, teacher, center, {}).item<double>();
  EXPECT_NEAR(DistillationLoss(student + 3, teacher, center, {}).item<double>(), loss, 1e-9);
  EXPECT_NEAR(DistillationLoss(student, teacher + shift, center + shift, {}).item<double>(), loss,
              1e-9);
}

TEST(DistillationLoss, GivesTheTeacherNoGradient) {
  const torch::Tensor student = torch::randn({4, 5}).requires_grad_();
  const torch::Tensor teacher = torch::randn({4, 5}).requires_grad_();
  DistillationLoss(student, teacher, torch::zeros({1, 5}), {}).backward();
  EXPECT_TRUE(student.grad().defined());
  EXPECT_FALSE(teacher.grad().defined());
}

TEST(DistillationLoss, RefusesCrossPairsOfOneView) {
  const torch::Tensor logits = torch::zeros({2, 3});
  EXPECT_THROW(
      DistillationLoss(logits, logits, torch::zeros({1, 3}), {.pairs = Pairs::kCross, .views = 1}),
      c10::Error);
}

TEST(DistillationLoss, CountsThePairsOfAnImage) {
  EXPECT_EQ(NumPairs(Pairs::kSame, 2), 2);
  EXPECT_EQ(NumPairs(Pairs::kCross, 2), 2);
  EXPECT_EQ(NumPairs(Pairs::kAll, 2), 4);
  EXPECT_EQ(NumPairs(Pairs::kCross, 3), 6);
  EXPECT_EQ(NumPairs(Pairs::kSame, 1), 1);
}

TEST(MeanEntropy, IsThatOfTheTeachersProbabilities) {
  torch::manual_seed(2);
  const torch::Tensor logits = torch::randn({6, 5}, kDouble);
  const torch::Tensor center = torch::randn({1, 5}, kDouble);
  const torch::Tensor log = torch::log_softmax((logits - center) / 0.3, -1);
  EXPECT_NEAR(MeanEntropy(TeacherProbabilities(logits, center, 0.3)).item<double>(),
              -(log.exp() * log).sum(-1).mean().item<double>(), 1e-12);
  EXPECT_EQ(MeanEntropy(torch::eye(4)).item<double>(), 0);
  EXPECT_NEAR(MeanEntropy(torch::full({2, 8}, 0.125, kDouble)).item<double>(), std::log(8), 1e-12);
}

TEST(TeacherEntropy, ReachesItsTwoLimits) {
  const auto entropy_of = [](const torch::Tensor& logits) {
    return MeanEntropy(TeacherProbabilities(logits, torch::zeros({1, 8}), 0.04)).item<double>();
  };
  EXPECT_NEAR(entropy_of(torch::zeros({2, 8})), std::log(8.0), 1e-6);
  EXPECT_NEAR(entropy_of(100 * torch::eye(8)), 0, 1e-6);
}

TEST(UpdateCenter, IsTheSameForOneRankAndFour) {
  torch::manual_seed(4);
  const torch::Tensor logits = torch::randn({8, 5}, kDouble);
  const torch::Tensor center = torch::zeros({1, 5}, kDouble);
  const torch::Tensor whole = UpdateCenter(center, CenterSum(logits), 8, 0.9);
  EXPECT_TRUE(torch::allclose(whole, 0.1 * logits.mean(0, true)));
  torch::Tensor sum = torch::zeros({1, 5}, kDouble);
  for (int rank = 0; rank < 4; ++rank) sum += CenterSum(logits.slice(0, 2 * rank, 2 * rank + 2));
  EXPECT_TRUE(torch::allclose(UpdateCenter(center, sum, 8, 0.9), whole));
}

TEST(SegmentationLoss, MatchesTheOracles) {
  const torch::Tensor logits = torch::tensor({2.0, -1.0}, kDouble).reshape({1, 1, 1, 2});
  const torch::Tensor masks = torch::tensor({1, 0}).reshape({1, 1, 1, 2});
  const SegmentationLossParts parts = SegmentationLoss(logits, masks);
  EXPECT_NEAR(parts.bce.item<double>(), .2200949, 1e-6);
  EXPECT_NEAR(parts.dice.item<double>(), .0468248, 1e-6);
  EXPECT_NEAR(parts.total.item<double>(), .1334598, 1e-6);

  torch::Tensor half = torch::zeros({2, 1, 8, 8});
  half.slice(2, 0, 4).fill_(1);
  const SegmentationLossParts flat = SegmentationLoss(torch::zeros({2, 1, 8, 8}), half);
  EXPECT_NEAR(flat.bce.item<double>(), std::log(2.0), 1e-6);
  EXPECT_NEAR(flat.dice.item<double>(), 1.0 / 3, 1e-6);
}

TEST(SegmentationLoss, DiceIsPerImageUnlessAskedOtherwise) {
  torch::Tensor logits = torch::full({2, 1, 2, 2}, -20.0f);
  logits[0].fill_(20);
  torch::Tensor masks = torch::zeros({2, 1, 2, 2});
  masks[0].fill_(1);  // image 0 perfect, image 1 truly empty and predicted empty
  EXPECT_NEAR(SegmentationLoss(logits, masks).dice.item<double>(), 0, 1e-5);
  masks[1].slice(1, 0, 1).fill_(1);  // image 1: two pixels missed entirely
  EXPECT_NEAR(SegmentationLoss(logits, masks).dice.item<double>(), 0.5, 1e-5);
  EXPECT_NEAR(SegmentationLoss(logits, masks, DiceReduction::kBatch).dice.item<double>(),
              1 - 8.0 / 10, 1e-5);
}

}  // namespace
}  // namespace g2ll::loss
