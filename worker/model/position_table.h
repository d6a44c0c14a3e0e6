#ifndef WORKER_MODEL_POSITION_TABLE_H_
#define WORKER_MODEL_POSITION_TABLE_H_

#include <torch/types.h>

namespace g2ll::model {

// Fixed 2-D sin-cos positions of a `grid` x `grid` map, [1, 1 + grid^2, dim]
// float32; row 0 belongs to the class token and is zero.
//
// The first half of the channels encodes the column, the second half the row;
// in each half a quarter of sines comes before a quarter of cosines. Computed in
// float64. `dim` must be a multiple of 4.
torch::Tensor SinCosPositions(int grid, int dim);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_POSITION_TABLE_H_
