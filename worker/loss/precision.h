#ifndef WORKER_LOSS_PRECISION_H_
#define WORKER_LOSS_PRECISION_H_

#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/types.h>

namespace g2ll::loss {

// Losses, softmax and statistics are computed in float32 whatever autocast made
// of their input; float64 stays.
inline torch::Tensor Widen(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kFloat64 ? tensor : tensor.to(torch::kFloat32);
}

// While it lives, autocast does not narrow matrix products again, which it does
// to float32 operands too. For the thread it lives on.
class FullPrecisionScope {
 private:
  c10::impl::ExcludeDispatchKeyGuard no_autocast_{c10::autocast_dispatch_keyset};
};

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_PRECISION_H_
