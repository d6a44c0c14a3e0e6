#include "worker/model/position_table.h"

#include <torch/torch.h>

#include <cmath>

namespace g2ll::model {

torch::Tensor SinCosPositions(int grid, int dim) {
  TORCH_CHECK(grid > 0 && dim > 0 && dim % 4 == 0,
              "positions need a width that is a multiple of 4, got ", dim);
  const int64_t quarter = dim / 4;
  const auto options = torch::dtype(torch::kFloat64);
  const torch::Tensor frequency =
      torch::pow(10000.0, -torch::arange(quarter, options) / static_cast<double>(quarter));
  const torch::Tensor angle = torch::arange(grid, options).unsqueeze(1) * frequency;
  const torch::Tensor axis = torch::cat({angle.sin(), angle.cos()}, 1);  // [grid, dim/2]
  const torch::Tensor columns = axis.unsqueeze(0).expand({grid, grid, 2 * quarter});
  const torch::Tensor rows = axis.unsqueeze(1).expand({grid, grid, 2 * quarter});
  const torch::Tensor patches = torch::cat({columns, rows}, 2).reshape({int64_t{grid} * grid, dim});
  return torch::cat({torch::zeros({1, dim}, options), patches}).to(torch::kFloat32).unsqueeze(0);
}

}  // namespace g2ll::model
