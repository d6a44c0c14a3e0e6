#include "worker/model/position_interpolation.h"

#include <torch/torch.h>

#include <cmath>
#include <optional>
#include <vector>

namespace g2ll::model {
namespace {

constexpr double kGuard = 0.1;

int64_t GridOf(const torch::Tensor& table) {
  TORCH_CHECK(table.dim() == 3 && table.size(0) == 1 && table.size(1) > 1,
              "a position table is [1, 1 + grid^2, D], got ", table.sizes());
  const int64_t patches = table.size(1) - 1;
  const auto grid = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(patches))));
  TORCH_CHECK(grid * grid == patches, patches, " positions are not those of a square grid");
  return grid;
}

// Factor that the sampler is told; none: it takes new / old.
std::optional<double> FactorOf(PositionSampling sampling, int64_t old_grid, int64_t new_grid) {
  if (sampling == PositionSampling::kOutputSize) return std::nullopt;
  return (static_cast<double>(new_grid) + kGuard) / static_cast<double>(old_grid);
}

}  // namespace

torch::Tensor InterpolatePositions(const torch::Tensor& table, int new_grid,
                                   PositionSampling sampling) {
  torch::NoGradGuard no_grad;
  const int64_t old_grid = GridOf(table);
  TORCH_CHECK(new_grid > 0, "a grid of ", new_grid, " patches a side is empty");
  if (new_grid == old_grid) return table.clone();

  const int64_t dim = table.size(2);
  const bool is_wide = table.scalar_type() == torch::kFloat64;
  const torch::Tensor map = table.slice(1, 1)
                                .to(is_wide ? torch::kFloat64 : torch::kFloat32)
                                .reshape({1, old_grid, old_grid, dim})
                                .permute({0, 3, 1, 2});
  const std::vector<int64_t> size = {new_grid, new_grid};
  const std::optional<double> factor = FactorOf(sampling, old_grid, new_grid);
  const torch::Tensor resized =
      at::upsample_bicubic2d(map, size, /*align_corners=*/false, factor, factor);
  const torch::Tensor patches = resized.permute({0, 2, 3, 1}).reshape({1, -1, dim});
  return torch::cat({table.slice(1, 0, 1), patches.to(table.scalar_type())}, 1);
}

}  // namespace g2ll::model
