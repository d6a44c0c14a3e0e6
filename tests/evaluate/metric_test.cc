#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/metric/baseline.h"
#include "worker/metric/bootstrap.h"
#include "worker/metric/overlap.h"

namespace g2ll::metric {
namespace {

using ::testing::DoubleEq;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::HasSubstr;

std::vector<uint8_t> LeftHalf() { return {1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0}; }
std::vector<uint8_t> TopHalf() { return {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}; }
std::vector<uint8_t> Filled(uint8_t value) { return std::vector<uint8_t>(16, value); }

TEST(OverlapTest, LeftHalfAgainstTopHalf) {
  const OverlapCounts counts = CountOverlap(LeftHalf(), TopHalf());

  EXPECT_THAT(Dice(counts), DoubleEq(0.5));
  EXPECT_THAT(IoU(counts), DoubleEq(1.0 / 3));
}

TEST(OverlapTest, TwoEmptyMasksAgreeCompletely) {
  const OverlapCounts counts = CountOverlap(Filled(0), Filled(0));

  EXPECT_EQ(Dice(counts), 1.0);
  EXPECT_EQ(IoU(counts), 1.0);
}

TEST(OverlapTest, AnyPredictionOnAnEmptyTruthScoresNothing) {
  const OverlapCounts counts = CountOverlap(LeftHalf(), Filled(0));

  EXPECT_EQ(Dice(counts), 0.0);
  EXPECT_EQ(IoU(counts), 0.0);
}

TEST(OverlapTest, IouFollowsFromDiceOfTheSameImage) {
  for (int64_t tp = 0; tp < 5; ++tp) {
    for (int64_t wrong = 1; wrong < 5; ++wrong) {
      const OverlapCounts counts{tp, wrong, 2 * wrong};
      EXPECT_THAT(IoU(counts), DoubleNear(Dice(counts) / (2 - Dice(counts)), 1e-12));
    }
  }
}

// Two lesions of unequal size: a pooled score would hide the missed small one.
TEST(OverlapTest, MeanOverImagesDiffersFromThePooledScore) {
  const OverlapCounts large{100, 0, 0};
  const OverlapCounts small{0, 0, 10};
  const OverlapCounts pooled = Pool(std::vector<OverlapCounts>{large, small});

  EXPECT_EQ(pooled.fn, 10);
  EXPECT_THAT((Dice(large) + Dice(small)) / 2, DoubleEq(0.5));
  EXPECT_THAT(Dice(pooled), DoubleNear(0.952381, 1e-6));
}

TEST(OverlapTest, ThresholdJaccardKeepsWhatReachesItsThreshold) {
  EXPECT_EQ(ThresholdJaccard({65, 35, 0}), 0.65);
  EXPECT_EQ(ThresholdJaccard({649, 351, 0}), 0.0);
  EXPECT_EQ(ThresholdJaccard({649, 351, 0}, 0.5), 0.649);
  EXPECT_EQ(ThresholdJaccard({0, 0, 0}), 1.0);
}

TEST(OverlapTest, LesionIsWhereTheProbabilityExceedsAHalf) {
  const torch::Tensor logits = torch::tensor({-1e-6f, 0.0f, 1e-8f, NAN, 30.0f});

  EXPECT_TRUE(torch::equal(IsLesion(logits), torch::tensor({false, false, true, false, true})));
}

TEST(OverlapTest, TensorsAreCountedImageByImage) {
  const torch::Tensor left = torch::tensor(LeftHalf()).reshape({1, 1, 4, 4});
  const torch::Tensor top = torch::tensor(TopHalf()).reshape({1, 1, 4, 4});
  const torch::Tensor none = torch::zeros_like(left);
  const torch::Tensor prediction = torch::cat({left, none, left}).to(torch::kBool);
  const torch::Tensor truth = torch::cat({top, none, none}).mul(255);

  const std::vector<OverlapCounts> counts = CountOverlap(prediction, truth);

  ASSERT_EQ(counts.size(), 3u);
  EXPECT_THAT(Dice(counts[0]), DoubleEq(0.5));
  EXPECT_EQ(Dice(counts[1]), 1.0);
  EXPECT_EQ(Dice(counts[2]), 0.0);
}

TEST(OverlapTest, MasksOfUnequalSizeAreAProgrammersError) {
  EXPECT_THROW(CountOverlap(LeftHalf(), std::vector<uint8_t>(15)), c10::Error);
  EXPECT_THROW(CountOverlap(torch::zeros({2, 4}), torch::zeros({2, 5})), c10::Error);
}

TEST(BootstrapTest, SameSeedGivesTheSameIntervalAndAnotherSeedAnother) {
  const std::vector<double> values = {0.1, 0.5, 0.7, 0.72, 0.9, 0.95};

  const Interval first = BootstrapMean(values, {.seed = 7});
  const Interval again = BootstrapMean(values, {.seed = 7});
  const Interval other = BootstrapMean(values, {.seed = 8});

  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  EXPECT_NE(first.low, other.low);
  EXPECT_THAT(first.mean, DoubleNear(0.645, 1e-12));
}

// For many values the interval is that of the normal law: mean +- 1.96 s / sqrt(n).
TEST(BootstrapTest, IntervalHasTheWidthOfTheNormalLaw) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) {
    values.push_back(i / 999.0);
  }

  const Interval interval = BootstrapMean(values, {.resamples = 4000, .seed = 1});

  const double half_width = 1.96 * std::sqrt(1.0 / 12 / 1000);
  EXPECT_THAT(interval.low, DoubleNear(0.5 - half_width, 0.1 * half_width));
  EXPECT_THAT(interval.high, DoubleNear(0.5 + half_width, 0.1 * half_width));
}

TEST(BootstrapTest, IntervalHoldsTheTrueMeanAboutAsOftenAsItSays) {
  int hits = 0;
  for (uint64_t trial = 0; trial < 200; ++trial) {
    torch::manual_seed(trial);
    const torch::Tensor sample = torch::rand({60}, torch::kFloat64);
    const std::vector<double> values(sample.const_data_ptr<double>(),
                                     sample.const_data_ptr<double>() + sample.numel());
    const Interval interval = BootstrapMean(values, {.resamples = 400, .seed = trial});
    hits += interval.low <= 0.5 && 0.5 <= interval.high;
  }
  EXPECT_GE(hits, 178);  // 95 % of 200, less four deviations
}

TEST(BootstrapTest, OneValueIsItsOwnInterval) {
  const Interval interval = BootstrapMean(std::vector<double>{0.25}, {});

  EXPECT_EQ(interval.mean, 0.25);
  EXPECT_EQ(interval.low, 0.25);
  EXPECT_EQ(interval.high, 0.25);
}

TEST(BaselineTest, EveryPixelWinsWhereLesionsFillTheImage) {
  const BaselineMask best = ChooseConstantMask({4, {Filled(1), Filled(255)}});

  EXPECT_EQ(best.description, "every pixel lesion");
  EXPECT_THAT(best.mask, Each(1));
}

TEST(BaselineTest, NoPixelWinsWhereThereAreNoLesions) {
  const BaselineMask best = ChooseConstantMask({4, {Filled(0), Filled(0)}});

  EXPECT_EQ(best.description, "no pixel lesion");
  EXPECT_EQ(ScoreMask(best.mask, {4, {Filled(0)}}).dice, 1.0);
}

TEST(BaselineTest, MeanTrainingMaskWinsWhereLesionsLieInOnePlace) {
  const BaselineMask best = ChooseConstantMask({4, {LeftHalf(), LeftHalf(), LeftHalf()}});

  EXPECT_THAT(best.description, HasSubstr("mean training mask"));
  EXPECT_EQ(best.mask, LeftHalf());
}

TEST(BaselineTest, ScoresAreMeansOverTheTestImages) {
  const MeanScore score = ScoreMask(LeftHalf(), {4, {LeftHalf(), TopHalf()}});

  EXPECT_THAT(score.dice, DoubleEq(0.75));
  EXPECT_THAT(score.iou, DoubleEq(2.0 / 3));
}

TEST(BaselineTest, TheEllipseThatDrewTheTrainingMasksIsFound) {
  const std::vector<uint8_t> drawn = CenteredEllipse(64, 0.9, 0.4);

  const BaselineMask best = ChooseCenteredEllipse({64, {drawn, drawn}});

  EXPECT_EQ(best.mask, drawn);
  EXPECT_THAT(best.description, HasSubstr("0.9 x 0.4"));
}

TEST(BaselineTest, AnEllipseCoversItsArea) {
  const std::vector<uint8_t> mask = CenteredEllipse(128, 0.5, 0.8);

  const double area = static_cast<double>(std::count(mask.begin(), mask.end(), 1));
  EXPECT_THAT(area, DoubleNear(M_PI * 32 * 51.2, 60));
}

TEST(BaselineTest, WithoutTrainingMasksTheChoiceIsFixed) {
  EXPECT_THAT(ChooseConstantMask({4, {}}).mask, Each(1));
  EXPECT_EQ(ChooseCenteredEllipse({32, {}}).mask, CenteredEllipse(32, 0.6, 0.6));
}

}  // namespace
}  // namespace g2ll::metric
