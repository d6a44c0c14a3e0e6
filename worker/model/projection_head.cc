#include "worker/model/projection_head.h"

#include <torch/torch.h>

#include "worker/loss/precision.h"

namespace g2ll::model {

WeightNormLinearImpl::WeightNormLinearImpl(int64_t in_dim, int64_t out_dim,
                                           bool is_length_trained) {
  weight_v_ = register_parameter("weight_v", torch::ones({out_dim, in_dim}));
  weight_g_ = register_parameter("weight_g", torch::ones({out_dim, 1}), is_length_trained);
}

torch::Tensor WeightNormLinearImpl::forward(const torch::Tensor& input) {
  // Its outputs are divided by temperatures down to 0.04 before a softmax: bf16 has
  // too few digits for them, and the layer is a small part of a step.
  const loss::FullPrecisionScope full_precision;
  return torch::linear(input.to(weight_v_.scalar_type()),
                       torch::_weight_norm(weight_v_, weight_g_, /*dim=*/0));
}

ProjectionHeadImpl::ProjectionHeadImpl(const ProjectionHeadOptions& options) : options_(options) {
  mlp_ = register_module(
      "mlp",
      torch::nn::Sequential(torch::nn::Linear(options.in_dim, options.hidden), torch::nn::GELU(),
                            torch::nn::Linear(options.hidden, options.hidden), torch::nn::GELU(),
                            torch::nn::Linear(options.hidden, options.bottleneck)));
  last_layer_ = register_module(
      "last_layer", WeightNormLinear(options.bottleneck, options.out, !options.norm_last_layer));
}

torch::Tensor ProjectionHeadImpl::forward(const torch::Tensor& features) {
  namespace F = torch::nn::functional;
  const torch::Tensor code = loss::Widen(mlp_->forward(features));
  return last_layer_->forward(F::normalize(code, F::NormalizeFuncOptions().dim(-1)));
}

}  // namespace g2ll::model
