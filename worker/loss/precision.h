#ifndef WORKER_LOSS_PRECISION_H_
#define WORKER_LOSS_PRECISION_H_

#include <torch/types.h>

namespace g2ll::loss {

// Losses, softmax and statistics are computed in float32 whatever autocast made
// of their input; float64 stays.
inline torch::Tensor Widen(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kFloat64 ? tensor : tensor.to(torch::kFloat32);
}

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_PRECISION_H_
