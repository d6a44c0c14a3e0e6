#ifndef WORKER_MODEL_POSITION_INTERPOLATION_H_
#define WORKER_MODEL_POSITION_INTERPOLATION_H_

#include <torch/types.h>

namespace g2ll::model {

// How far apart two new patches lie in the old grid. Both rules give the same
// number of patches; a pre-trained encoder wants the rule that it was made with.
enum class PositionSampling {
  kOutputSize,     // old / new (masked autoencoder)
  kGuardedFactor,  // old / (new + 0.1), a guard against rounding down (DINO)
};

// Position table of a `new_grid` x `new_grid` map made from one of another grid,
// so that an encoder can be loaded for images of another size (method section
// 3.4).
//
// `table` [1, 1 + old_grid^2, D], float32 or float64 (half precision is taken
// through float32); row 0, the class token's, is kept bit by bit. Returns a new
// [1, 1 + new_grid^2, D] of the same dtype on the same device: bicubic with
// a = -0.75, corners not aligned, borders clamped. For new_grid == old_grid it is
// a copy. No gradient flows to `table`. Throws c10::Error for another shape.
torch::Tensor InterpolatePositions(const torch::Tensor& table, int new_grid,
                                   PositionSampling sampling);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_POSITION_INTERPOLATION_H_
