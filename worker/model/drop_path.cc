#include "worker/model/drop_path.h"

#include <torch/torch.h>

#include <algorithm>

#include "worker/random/rng.h"

namespace g2ll::model {

double DropPathRate(const VitOptions& options, int block) {
  return options.drop_path * block / std::max(options.depth - 1, 1);
}

torch::Tensor DrawKeepScales(const VitOptions& options, const DropPathKeys& keys) {
  if (options.drop_path == 0) return {};
  constexpr int kBranches = 2;
  const auto num_images = static_cast<int64_t>(keys.indices.size());
  torch::Tensor scales =
      torch::empty({keys.num_views * num_images, options.depth, kBranches}, torch::kFloat32);
  float* scale = scales.data_ptr<float>();
  for (int view = 0; view < keys.num_views; ++view) {
    for (const int64_t index : keys.indices) {
      random::Rng rng({.seed = static_cast<uint64_t>(keys.seed),
                       .epoch = static_cast<uint64_t>(keys.epoch),
                       .sample = static_cast<uint64_t>(index),
                       .view = static_cast<uint32_t>(view),
                       .purpose = random::Purpose::kDropPath});
      for (int block = 0; block < options.depth; ++block) {
        const double keep = 1 - DropPathRate(options, block);
        for (int branch = 0; branch < kBranches; ++branch) {
          *scale++ = rng.Bernoulli(keep) ? static_cast<float>(1 / keep) : 0;
        }
      }
    }
  }
  return scales;
}

}  // namespace g2ll::model
