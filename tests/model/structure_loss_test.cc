#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "worker/loss/segmentation_loss.h"

namespace g2ll::loss {
namespace {

const auto kDouble = torch::dtype(torch::kFloat64);

TEST(StructureLoss, WindowFollowsTheSideAndIsOdd) {
  EXPECT_EQ(StructureWindow(256), 31);
  EXPECT_EQ(StructureWindow(512), 61);
  EXPECT_EQ(StructureWindow(64), 9);
  EXPECT_EQ(StructureWindow(4), 3);
}

// A 2x2 image in a window of 3: every pixel's window holds all four pixels and five
// zeros beyond the border.
TEST(StructureLoss, MatchesASmallCaseByHand) {
  const torch::Tensor masks = torch::tensor({1.0, 0.0, 0.0, 0.0}, kDouble).reshape({1, 1, 2, 2});
  const torch::Tensor logits = torch::zeros({1, 1, 2, 2}, kDouble);
  const double at_lesion = 1 + 5 * (1 - 1.0 / 9);  // weight of the lesion's pixel
  const double elsewhere = 1 + 5 * (1.0 / 9);

  const StructureLossParts parts = StructureLoss(logits, masks);

  EXPECT_NEAR(parts.bce.item<double>(), std::log(2.0), 1e-12);  // whatever the weights
  const double overlap = 0.5 * at_lesion;
  const double both = 1.5 * at_lesion + 3 * 0.5 * elsewhere;
  EXPECT_NEAR(parts.iou.item<double>(), 1 - (overlap + 1) / (both - overlap + 1), 1e-12);
  EXPECT_NEAR(parts.total.item<double>(), parts.bce.item<double>() + parts.iou.item<double>(),
              1e-12);
}

TEST(StructureLoss, CountsTheOutlineMost) {
  torch::Tensor masks = torch::zeros({1, 1, 64, 64}, kDouble);
  masks.slice(2, 0, 32).fill_(1);
  const auto loss_with_fault_in_row = [&](int64_t row) {
    torch::Tensor logits = 20 * (2 * masks - 1);
    logits.select(2, row).neg_();
    return StructureLoss(logits, masks).bce.item<double>();
  };
  EXPECT_GT(loss_with_fault_in_row(31), 2 * loss_with_fault_in_row(16));
}

TEST(StructureLoss, IsTheMeanOverImages) {
  torch::manual_seed(1);
  const torch::Tensor logits = torch::randn({2, 1, 8, 8}, kDouble);
  const torch::Tensor masks = (torch::rand({2, 1, 8, 8}) > 0.5).to(torch::kFloat64);
  const auto one = [&](int64_t i) {
    return StructureLoss(logits.slice(0, i, i + 1), masks.slice(0, i, i + 1)).total.item<double>();
  };
  EXPECT_NEAR(StructureLoss(logits, masks).total.item<double>(), (one(0) + one(1)) / 2, 1e-12);
}

TEST(StructureLoss, FallsToNothingForAPerfectPrediction) {
  torch::Tensor masks = torch::zeros({1, 1, 16, 16});
  masks.slice(2, 4, 10).slice(3, 4, 10).fill_(1);
  EXPECT_NEAR(StructureLoss(40 * (2 * masks - 1), masks).total.item<float>(), 0, 1e-5);
}

TEST(StructureLoss, IsFloat32ForHalfPrecisionLogits) {
  const torch::Tensor masks = torch::ones({1, 1, 8, 8});
  const auto parts = StructureLoss(torch::zeros({1, 1, 8, 8}, torch::kBFloat16), masks);
  EXPECT_EQ(parts.total.scalar_type(), torch::kFloat32);
}

TEST(SegmentationLoss, DiceOverTheBatchOfAllRanksIsThatOfTheirSums) {
  torch::manual_seed(1);
  const torch::Tensor logits = torch::randn({4, 1, 8, 8}, kDouble);
  const torch::Tensor masks = (torch::rand({4, 1, 8, 8}) > 0.5).to(torch::kFloat64);
  const double whole = SegmentationLoss(logits, masks, DiceReduction::kBatch).dice.item<double>();
  // The second rank's sums, as the first would get them.
  torch::Tensor other;
  SegmentationLoss(logits.slice(0, 1), masks.slice(0, 1), DiceReduction::kBatch,
                   [&](const torch::Tensor& sums) { return other = sums; });
  const auto parts =
      SegmentationLoss(logits.slice(0, 0, 1), masks.slice(0, 0, 1), DiceReduction::kBatch,
                       [&](const torch::Tensor& sums) { return sums + other; });
  EXPECT_NEAR(parts.dice.item<double>(), whole, 1e-12);
}

}  // namespace
}  // namespace g2ll::loss
