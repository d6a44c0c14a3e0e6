#include "worker/model/transformer_block.h"

#include <torch/torch.h>

namespace g2ll::model {

AttentionImpl::AttentionImpl(int64_t dim, int64_t heads) : heads_(heads) {
  TORCH_CHECK(heads > 0 && dim % heads == 0, "width ", dim, " is not a multiple of ", heads,
              " heads");
  qkv_ = register_module("qkv", torch::nn::Linear(dim, 3 * dim));
  proj_ = register_module("proj", torch::nn::Linear(dim, dim));
}

torch::Tensor AttentionImpl::forward(const torch::Tensor& tokens) {
  const int64_t batch = tokens.size(0);
  const int64_t count = tokens.size(1);
  const int64_t dim = tokens.size(2);
  const auto qkv = qkv_->forward(tokens)
                       .reshape({batch, count, 3, heads_, dim / heads_})
                       .permute({2, 0, 3, 1, 4})
                       .unbind(0);
  const torch::Tensor mixed = torch::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
  return proj_->forward(mixed.transpose(1, 2).reshape({batch, count, dim}));
}

MlpImpl::MlpImpl(int64_t dim) {
  fc1_ = register_module("fc1", torch::nn::Linear(dim, 4 * dim));
  fc2_ = register_module("fc2", torch::nn::Linear(4 * dim, dim));
}

torch::Tensor MlpImpl::forward(const torch::Tensor& tokens) {
  return fc2_->forward(torch::gelu(fc1_->forward(tokens)));
}

TransformerBlockImpl::TransformerBlockImpl(int64_t dim, int64_t heads, double drop_path)
    : drop_path_(drop_path) {
  TORCH_CHECK(drop_path >= 0 && drop_path < 1, "drop path ", drop_path, " is not in [0, 1)");
  const auto norm = torch::nn::LayerNormOptions({dim}).eps(kLayerNormEps);
  norm1_ = register_module("norm1", torch::nn::LayerNorm(norm));
  attn_ = register_module("attn", Attention(dim, heads));
  norm2_ = register_module("norm2", torch::nn::LayerNorm(norm));
  mlp_ = register_module("mlp", Mlp(dim));
}

torch::Tensor TransformerBlockImpl::forward(const torch::Tensor& tokens) {
  const torch::Tensor attended = tokens + drop_path(attn_->forward(norm1_->forward(tokens)));
  return attended + drop_path(mlp_->forward(norm2_->forward(attended)));
}

torch::Tensor TransformerBlockImpl::drop_path(const torch::Tensor& branch) {
  if (drop_path_ == 0 || !is_training()) return branch;
  const double keep = 1 - drop_path_;
  const torch::Tensor kept =
      torch::empty({branch.size(0), 1, 1}, branch.options()).bernoulli_(keep);
  return branch * kept.div_(keep);
}

}  // namespace g2ll::model
