#include "worker/metric/paired.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/random/rng.h"

namespace g2ll::metric {
namespace {

std::vector<double> Noise(uint64_t seed, size_t count, double shift = 0) {
  random::Rng rng({.seed = seed});
  std::vector<double> values(count);
  for (double& value : values) value = rng.Uniform() + shift;
  return values;
}

// Of the eight ways to exchange, only none and all keep the sum this far from 0.
TEST(PairedTest, ThreeImagesByHand) {
  const PairedComparison c =
      ComparePaired(std::vector{0.5, 0.6, 0.7}, std::vector{0.6, 0.8, 0.9}, {});

  EXPECT_EQ(c.images, 3);
  EXPECT_NEAR(c.mean_a, 0.6, 1e-12);
  EXPECT_NEAR(c.mean_b, 2.3 / 3, 1e-12);
  EXPECT_NEAR(c.difference.mean, 0.5 / 3, 1e-12);
  EXPECT_NEAR(c.difference.low, 0.1, 1e-9);
  EXPECT_NEAR(c.difference.high, 0.2, 1e-9);
  EXPECT_DOUBLE_EQ(c.p_value, 0.25);
}

TEST(PairedTest, ExchangingTheTwoTurnsTheSign) {
  const std::vector<double> a = Noise(1, 40);
  const std::vector<double> b = Noise(2, 40, 0.1);

  const PairedComparison forward = ComparePaired(a, b, {.seed = 5});
  const PairedComparison backward = ComparePaired(b, a, {.seed = 5});

  EXPECT_NEAR(forward.difference.mean, -backward.difference.mean, 1e-12);
  EXPECT_NEAR(forward.difference.low, -backward.difference.high, 1e-3);
  EXPECT_EQ(forward.p_value, backward.p_value);
}

TEST(PairedTest, EqualScoresShowNoDifference) {
  const std::vector<double> scores = Noise(3, 50);

  const PairedComparison c = ComparePaired(scores, scores, {});

  EXPECT_EQ(c.difference.mean, 0);
  EXPECT_EQ(c.difference.low, 0);
  EXPECT_EQ(c.difference.high, 0);
  EXPECT_EQ(c.p_value, 1);
}

// The same small gain on every image: two separate intervals of the scores overlap
// widely, the paired one does not hold 0.
TEST(PairedTest, ASteadyGainIsSeenThroughTheSpreadOfTheImages) {
  const std::vector<double> a = Noise(4, 100);
  std::vector<double> b = Noise(5, 100);
  for (size_t i = 0; i < b.size(); ++i) b[i] = a[i] + 0.01 + 0.02 * (b[i] - 0.5);

  const PairedComparison c = ComparePaired(a, b, {});

  EXPECT_GT(c.difference.low, 0.005);
  EXPECT_LT(c.difference.high, 0.015);
  EXPECT_LT(c.p_value, 0.001);
}

TEST(PairedTest, RandomExchangesAgreeWithAllOfThem) {
  const std::vector<double> a = Noise(6, 14);
  const std::vector<double> b = Noise(7, 14, 0.15);
  double observed = 0;
  for (size_t i = 0; i < a.size(); ++i) observed += b[i] - a[i];
  int hits = 0;
  for (uint32_t flips = 0; flips < 1u << 14; ++flips) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += (flips >> i & 1) != 0 ? a[i] - b[i] : b[i] - a[i];
    hits += std::abs(sum) >= std::abs(observed) - 1e-12;
  }

  const PairedComparison c = ComparePaired(a, b, {.permutations = 20000, .seed = 1});

  EXPECT_NEAR(c.p_value, static_cast<double>(hits) / (1 << 14), 0.015);
}

TEST(PairedTest, WithoutADifferenceASmallPIsRare) {
  int rejected = 0;
  for (uint64_t trial = 0; trial < 200; ++trial) {
    const PairedComparison c = ComparePaired(Noise(2 * trial, 25), Noise(2 * trial + 1, 25),
                                             {.resamples = 10, .permutations = 500});
    rejected += c.p_value <= 0.05;
  }
  EXPECT_LE(rejected, 22);  // 5 % of 200, and four deviations
}

TEST(PairedTest, SameSeedGivesTheSameNumbersAndAnotherSeedOthers) {
  const std::vector<double> a = Noise(8, 30);
  const std::vector<double> b = Noise(9, 30);

  const PairedComparison first = ComparePaired(a, b, {.seed = 1});
  const PairedComparison again = ComparePaired(a, b, {.seed = 1});
  const PairedComparison other = ComparePaired(a, b, {.seed = 2});

  EXPECT_EQ(first.difference.low, again.difference.low);
  EXPECT_EQ(first.p_value, again.p_value);
  EXPECT_NE(first.difference.low, other.difference.low);
}

}  // namespace
}  // namespace g2ll::metric
