#ifndef WORKER_MODEL_PROJECTION_HEAD_H_
#define WORKER_MODEL_PROJECTION_HEAD_H_

#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>

namespace g2ll::model {

// Widths of the head that self-distillation compares (paper 2.3, DINO's values).
struct ProjectionHeadOptions {
  int64_t in_dim = 384;
  int64_t hidden = 2048;
  int64_t bottleneck = 256;
  int64_t out = 65536;  // number K of logits
  // Rows of the last layer keep length one; else their lengths are trained.
  bool norm_last_layer = true;
};

// Linear layer without bias whose rows are weight_g * weight_v / |weight_v|.
// `weight_v` [out,in] is trained, `weight_g` [out,1] starts at one.
class WeightNormLinearImpl : public torch::nn::Module {
 public:
  // `is_length_trained`: weight_g requires a gradient.
  WeightNormLinearImpl(int64_t in_dim, int64_t out_dim, bool is_length_trained = false);

  // [B,in] -> [B,out] in the weights' type, under autocast too.
  torch::Tensor forward(const torch::Tensor& input);

 private:
  torch::Tensor weight_v_;
  torch::Tensor weight_g_;
};
TORCH_MODULE(WeightNormLinear);

// Three-layer MLP, L2 normalisation, weight-normalised linear layer: with
// weight_g at one, logits are cosines in [-1,1].
//
// Names: `mlp.{0,2,4}.*`, `last_layer.weight_v`, `last_layer.weight_g`; the owner
// registers the module as `head`. weight_g requires a gradient only without
// `norm_last_layer`.
class ProjectionHeadImpl : public torch::nn::Module {
 public:
  explicit ProjectionHeadImpl(const ProjectionHeadOptions& options);

  // Features [B,in_dim] -> logits [B,K], float32 (float64 stays) also under autocast.
  torch::Tensor forward(const torch::Tensor& features);

  const ProjectionHeadOptions& options() const { return options_; }

 private:
  ProjectionHeadOptions options_;
  torch::nn::Sequential mlp_;
  WeightNormLinear last_layer_{nullptr};
};
TORCH_MODULE(ProjectionHead);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_PROJECTION_HEAD_H_
