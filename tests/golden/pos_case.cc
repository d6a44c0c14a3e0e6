// pos: position tables resized between grids.
#include <torch/torch.h>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "worker/model/position_interpolation.h"

namespace g2ll::golden {

void CheckPos(GoldenCase& golden) {
  using Sampling = model::PositionSampling;
  for (const auto& [from, to] : {std::pair{16, 20}, {14, 16}, {16, 14}, {16, 6}}) {
    const torch::Tensor table =
        Fill(golden.Key("pos/" + std::to_string(from)), {1, 1 + from * from, 384}, 0.5);
    const std::string name = std::to_string(from) + "_" + std::to_string(to);
    const torch::Tensor rows = golden.Input(name + ".rows").to(Device(), torch::kInt64);
    for (const auto& [suffix, sampling] :
         {std::pair{".size", Sampling::kOutputSize}, {".guard", Sampling::kGuardedFactor}}) {
      const torch::Tensor resized = model::InterpolatePositions(table, to, sampling)[0];
      golden.Check(name + suffix, resized.index_select(0, rows));
      golden.Check(name + suffix + ".norms", resized.norm(2, 1));
    }
  }
}

}  // namespace g2ll::golden
