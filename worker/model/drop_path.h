#ifndef WORKER_MODEL_DROP_PATH_H_
#define WORKER_MODEL_DROP_PATH_H_

#include <torch/types.h>

#include <cstdint>
#include <span>

#include "worker/model/vit_encoder.h"

namespace g2ll::model {

// Which samples a step's stochastic depth is drawn for.
struct DropPathKeys {
  int64_t seed = 0;
  int64_t epoch = 0;                 // pass over the data, from 0
  std::span<const int64_t> indices;  // data set index of each of B images
  int num_views = 1;                 // V
};

// Chance that a sample skips a branch of block `block`: 0 in the first, linear up
// to `options.drop_path` in the last (DINO; method section 1.1). 0 in an only block.
double DropPathRate(const VitOptions& options, int block);

// What a residual branch counts for: 0 where it is skipped, else 1 / (1 - rate), so
// that its mean is 1. [V*B, depth, 2] float32 on the CPU, rows as in a batch (all of
// the first view, then all of the second), last axis attention and MLP. Undefined
// where `options.drop_path` is 0.
//
// A row depends on its (seed, epoch, index, view) alone, so neither the number of
// ranks, nor the split of a batch, nor a resume changes it.
torch::Tensor DrawKeepScales(const VitOptions& options, const DropPathKeys& keys);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_DROP_PATH_H_
