#ifndef WORKER_MODEL_TRANSFORMER_BLOCK_H_
#define WORKER_MODEL_TRANSFORMER_BLOCK_H_

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace g2ll::model {

// LayerNorm epsilon of every norm in the model; torch's own default differs.
inline constexpr double kLayerNormEps = 1e-6;

// Multi-head self-attention with one fused projection to q, k, v.
class AttentionImpl : public torch::nn::Module {
 public:
  // `dim` must be a multiple of `heads`.
  AttentionImpl(int64_t dim, int64_t heads);

  // [B,t,D] -> [B,t,D].
  torch::Tensor forward(const torch::Tensor& tokens);

  // How much the first token attends to each of the others, mean over the heads:
  // [B,t,D] -> [B,t-1], float32 (float64 stays). Rows sum to less than 1: the rest
  // is its attention to itself.
  torch::Tensor first_token_attention(const torch::Tensor& tokens);

 private:
  // Queries, keys and values, each [B,heads,t,D/heads].
  std::vector<torch::Tensor> project(const torch::Tensor& tokens);

  int64_t heads_;
  torch::nn::Linear qkv_{nullptr};
  torch::nn::Linear proj_{nullptr};
};
TORCH_MODULE(Attention);

// Two linear layers around an exact (erf) GELU; the hidden width is 4 D.
class MlpImpl : public torch::nn::Module {
 public:
  explicit MlpImpl(int64_t dim);

  // [B,t,D] -> [B,t,D].
  torch::Tensor forward(const torch::Tensor& tokens);

 private:
  torch::nn::Linear fc1_{nullptr};
  torch::nn::Linear fc2_{nullptr};
};
TORCH_MODULE(Mlp);

// Pre-norm transformer block: x += a attn(norm1(x)); x += b mlp(norm2(x)).
class TransformerBlockImpl : public torch::nn::Module {
 public:
  TransformerBlockImpl(int64_t dim, int64_t heads);

  // [B,t,D] -> [B,t,D]. `keep_scales` [B,2]: a and b of each sample (stochastic
  // depth); undefined: both 1.
  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& keep_scales = {});

  // Attention::first_token_attention of the tokens that enter this block.
  torch::Tensor first_token_attention(const torch::Tensor& tokens);

 private:
  torch::nn::LayerNorm norm1_{nullptr};
  Attention attn_{nullptr};
  torch::nn::LayerNorm norm2_{nullptr};
  Mlp mlp_{nullptr};
};
TORCH_MODULE(TransformerBlock);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_TRANSFORMER_BLOCK_H_
