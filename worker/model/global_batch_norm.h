#ifndef WORKER_MODEL_GLOBAL_BATCH_NORM_H_
#define WORKER_MODEL_GLOBAL_BATCH_NORM_H_

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>

namespace g2ll::model {

// Replaces the elements of a contiguous tensor by their sums over the ranks.
// Called in the same order on every rank, in forward and in backward.
using AllReduceSum = std::function<void(torch::Tensor&)>;

// Batch normalisation over [B,C,H,W] whose statistics cover the batches of all
// ranks, so that a result does not depend on how a batch is split.
//
// Names as in torch's BatchNorm2d: `weight`, `bias`, `running_mean`,
// `running_var`. eps 1e-5, momentum 0.1; the biased variance normalises, the
// unbiased one enters running_var.
class GlobalBatchNormImpl : public torch::nn::Module {
 public:
  explicit GlobalBatchNormImpl(int64_t channels);

  // [B,C,H,W] -> [B,C,H,W], same dtype. B may differ between ranks, at least 1.
  torch::Tensor forward(const torch::Tensor& input);

  // An empty function means: this rank's batch only.
  void set_reduction(AllReduceSum all_reduce_sum) { all_reduce_sum_ = std::move(all_reduce_sum); }

 private:
  AllReduceSum all_reduce_sum_;
  torch::Tensor weight_;
  torch::Tensor bias_;
  torch::Tensor running_mean_;
  torch::Tensor running_var_;
};
TORCH_MODULE(GlobalBatchNorm);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_GLOBAL_BATCH_NORM_H_
