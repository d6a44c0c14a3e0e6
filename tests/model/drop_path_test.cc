#include "worker/model/drop_path.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

namespace g2ll::model {
namespace {

VitOptions Deep(double drop_path) { return {.depth = 5, .drop_path = drop_path}; }

TEST(DropPathRate, RisesLinearlyFromTheFirstBlockToTheLast) {
  EXPECT_EQ(DropPathRate(Deep(0.1), 0), 0);
  EXPECT_DOUBLE_EQ(DropPathRate(Deep(0.1), 2), 0.05);
  EXPECT_DOUBLE_EQ(DropPathRate(Deep(0.1), 4), 0.1);
  // The only block is the first.
  EXPECT_EQ(DropPathRate({.depth = 1, .drop_path = 0.1}, 0), 0);
}

TEST(DrawKeepScales, AreUndefinedWithoutStochasticDepth) {
  const std::vector<int64_t> indices = {1, 2};
  EXPECT_FALSE(DrawKeepScales(Deep(0), {.indices = indices}).defined());
}

TEST(DrawKeepScales, AreZeroOrTheInverseOfTheChanceToKeepAndOneOnAverage) {
  std::vector<int64_t> indices(4000);
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(i);
  const torch::Tensor scales = DrawKeepScales(Deep(0.4), {.seed = 1, .indices = indices});
  ASSERT_EQ(scales.sizes(), (std::vector<int64_t>{4000, 5, 2}));
  EXPECT_TRUE(torch::equal(scales.select(1, 0), torch::ones({4000, 2})));
  const torch::Tensor last = scales.select(1, 4);
  EXPECT_TRUE(((last == 0) | (last == 1 / 0.6f)).all().item<bool>());
  EXPECT_NEAR((last == 0).to(torch::kFloat32).mean().item<double>(), 0.4, 0.02);
  EXPECT_NEAR(last.mean().item<double>(), 1, 0.04);
  // Attention and MLP are dropped one by one.
  EXPECT_GT((last.select(1, 0) != last.select(1, 1)).sum().item<int64_t>(), 1000);
}

// A sample's scales are its own, whatever shares its batch.
TEST(DrawKeepScales, DependOnSeedEpochIndexAndViewAlone) {
  const std::vector<int64_t> whole = {7, 3, 9, 4}, part = {9, 4};
  const auto draw = [](const std::vector<int64_t>& indices, int64_t seed, int64_t epoch) {
    return DrawKeepScales(Deep(0.5), {seed, epoch, indices, /*num_views=*/2});
  };
  const torch::Tensor all = draw(whole, 1, 0);
  const torch::Tensor half = draw(part, 1, 0);
  // Rows: views u of all images, then views v.
  EXPECT_TRUE(torch::equal(half.slice(0, 0, 2), all.slice(0, 2, 4)));
  EXPECT_TRUE(torch::equal(half.slice(0, 2, 4), all.slice(0, 6, 8)));
  EXPECT_FALSE(torch::equal(all.slice(0, 0, 4), all.slice(0, 4, 8)));
  EXPECT_FALSE(torch::equal(draw(whole, 2, 0), all));
  EXPECT_FALSE(torch::equal(draw(whole, 1, 1), all));
}

}  // namespace
}  // namespace g2ll::model
