#include "worker/random/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace g2ll::random {
namespace {

TEST(RngTest, EqualKeysGiveEqualNumbersAndAnyOtherKeyOthers) {
  const Key key{.seed = 3, .epoch = 5, .sample = 7, .view = 1, .purpose = Purpose::kMask};
  Rng first(key);
  Rng second(key);
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 5; ++i) {
    numbers.push_back(first.NextBits());
    EXPECT_EQ(numbers.back(), second.NextBits());
  }

  std::vector<Key> others(5, key);
  others[0].seed = 4;
  others[1].epoch = 6;
  others[2].sample = 8;
  others[3].view = 0;
  others[4].purpose = Purpose::kView;
  for (const Key& other : others) EXPECT_NE(Rng(other).NextBits(), numbers[0]);
}

TEST(RngTest, MatchesThePublishedFinalizerAndHash) {
  EXPECT_EQ(SplitMix64(0), 0xE220A8397B1DCDAFULL);
  EXPECT_EQ(SplitMix64(1), 0x910A2DEC89025CC1ULL);
  EXPECT_EQ(HashId(""), 0xCBF29CE484222325ULL);
  EXPECT_EQ(HashId("a"), 0xAF63DC4C8601EC8CULL);
}

TEST(RngTest, UniformNumbersFillTheUnitIntervalEvenly) {
  Rng rng({.seed = 1});
  std::vector<int> counts(10, 0);
  for (int i = 0; i < 100'000; ++i) {
    const double value = rng.Uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ++counts[static_cast<size_t>(value * 10)];
  }
  // Chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand.
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - 10'000.0) * (count - 10'000.0) / 10'000.0;
  EXPECT_LT(chi_square, 27.9);
}

TEST(RngTest, BoundedNumbersAreUniform) {
  Rng rng({.seed = 2});
  std::vector<int> counts(3, 0);
  for (int i = 0; i < 30'000; ++i) ++counts[rng.Below(3)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
  EXPECT_EQ(rng.Between(5, 5), 5);
}

TEST(RngTest, NormalsHaveMeanZeroAndVarianceOne) {
  Rng rng({.seed = 3});
  double sum = 0, squares = 0, coarse_sum = 0, coarse_squares = 0;
  constexpr int kDraws = 50'000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.Normal();
    const double coarse = rng.CoarseNormal();
    sum += value;
    squares += value * value;
    coarse_sum += coarse;
    coarse_squares += coarse * coarse;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.03);
  EXPECT_NEAR(coarse_sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(coarse_squares / kDraws, 1.0, 0.03);
}

TEST(PermutationTest, HoldsEveryNumberOnceInAnOrderOfTheSeed) {
  Rng rng({.seed = 4});
  const std::vector<int64_t> order = Permutation(100, rng);
  std::vector<int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(sorted[static_cast<size_t>(i)], i);
  EXPECT_NE(order, sorted);
}

}  // namespace
}  // namespace g2ll::random
