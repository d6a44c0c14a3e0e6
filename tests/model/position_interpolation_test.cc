#include "worker/model/position_interpolation.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

#include "worker/model/vit_encoder.h"

namespace g2ll::model {
namespace {

constexpr PositionSampling kBoth[] = {PositionSampling::kOutputSize,
                                      PositionSampling::kGuardedFactor};

torch::Tensor RandomTable(int grid) {
  torch::manual_seed(grid);
  return torch::randn({1, 1 + grid * grid, 8});
}

TEST(InterpolatePositions, KeepsAConstantFieldAndTheClassRow) {
  torch::Tensor table = RandomTable(14);
  table.slice(1, 1).fill_(.7);
  for (const PositionSampling sampling : kBoth) {
    const torch::Tensor resized = InterpolatePositions(table, 16, sampling);
    ASSERT_EQ(resized.sizes(), (std::vector<int64_t>{1, 257, 8}));
    EXPECT_LT((resized.slice(1, 1) - .7).abs().max().item<double>(), 1e-6);
    EXPECT_TRUE(torch::equal(resized.select(1, 0), table.select(1, 0)));
  }
}

TEST(InterpolatePositions, OfTheSameGridIsACopy) {
  const torch::Tensor table = RandomTable(16);
  for (const PositionSampling sampling : kBoth) {
    const torch::Tensor copy = InterpolatePositions(table, 16, sampling);
    EXPECT_TRUE(torch::equal(copy, table));
    EXPECT_NE(copy.data_ptr(), table.data_ptr());
  }
}

TEST(InterpolatePositions, KeepsRowsAndColumnsApart) {
  // Channel 0 is the row's number, channel 1 the column's.
  const torch::Tensor axis = torch::arange(8, torch::kFloat64);
  const torch::Tensor map =
      torch::stack({axis.unsqueeze(1).expand({8, 8}), axis.unsqueeze(0).expand({8, 8})}, 2);
  const torch::Tensor table =
      torch::cat({torch::zeros({1, 1, 2}, torch::kFloat64), map.reshape({1, 64, 2})}, 1);
  const torch::Tensor large =
      InterpolatePositions(table, 16, PositionSampling::kOutputSize).slice(1, 1);
  const torch::Tensor grid = large.reshape({16, 16, 2});
  EXPECT_EQ(grid.scalar_type(), torch::kFloat64);
  // old = (new + 0.5) / 2 - 0.5; with a = -0.75 a linear field stays only nearly so.
  EXPECT_NEAR(grid[5][9][0].item<double>(), 2.25, .05);
  EXPECT_NEAR(grid[5][9][1].item<double>(), 4.25, .05);
}

TEST(InterpolatePositions, TheGuardMovesTheSamples) {
  const torch::Tensor table = RandomTable(16);
  EXPECT_FALSE(torch::allclose(InterpolatePositions(table, 6, PositionSampling::kOutputSize),
                               InterpolatePositions(table, 6, PositionSampling::kGuardedFactor),
                               1e-3, 1e-3));
}

TEST(InterpolatePositions, FitsAnEncoderOfAnotherImageSize) {
  const VitEncoder small(VitOptions{
      .image_size = 32, .patch = 8, .dim = 16, .depth = 1, .heads = 2, .learned_pos = true});
  const VitEncoder large(VitOptions{
      .image_size = 48, .patch = 8, .dim = 16, .depth = 1, .heads = 2, .learned_pos = true});
  const torch::Tensor resized = InterpolatePositions(small->named_parameters()["pos_embed"], 6,
                                                     PositionSampling::kGuardedFactor);
  EXPECT_EQ(resized.sizes(), large->named_parameters()["pos_embed"].sizes());
  EXPECT_FALSE(resized.requires_grad());
}

TEST(InterpolatePositions, RefusesWhatIsNoSquareGrid) {
  const auto size = PositionSampling::kOutputSize;
  EXPECT_THROW(InterpolatePositions(torch::zeros({1, 4, 8}), 2, size), c10::Error);
  EXPECT_THROW(InterpolatePositions(torch::zeros({5, 8}), 2, size), c10::Error);
  EXPECT_THROW(InterpolatePositions(RandomTable(4), 0, size), c10::Error);
}

}  // namespace
}  // namespace g2ll::model
