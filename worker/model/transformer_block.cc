#include "worker/model/transformer_block.h"

#include <torch/torch.h>

#include <cmath>

#include "worker/loss/precision.h"

namespace g2ll::model {

AttentionImpl::AttentionImpl(int64_t dim, int64_t heads) : heads_(heads) {
  TORCH_CHECK(heads > 0 && dim % heads == 0, "width ", dim, " is not a multiple of ", heads,
              " heads");
  qkv_ = register_module("qkv", torch::nn::Linear(dim, 3 * dim));
  proj_ = register_module("proj", torch::nn::Linear(dim, dim));
}

std::vector<torch::Tensor> AttentionImpl::project(const torch::Tensor& tokens) {
  return qkv_->forward(tokens)
      .reshape({tokens.size(0), tokens.size(1), 3, heads_, tokens.size(2) / heads_})
      .permute({2, 0, 3, 1, 4})
      .unbind(0);
}

torch::Tensor AttentionImpl::forward(const torch::Tensor& tokens) {
  const auto qkv = project(tokens);
  const torch::Tensor mixed = torch::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
  return proj_->forward(mixed.transpose(1, 2).reshape(tokens.sizes()));
}

torch::Tensor AttentionImpl::first_token_attention(const torch::Tensor& tokens) {
  const auto qkv = project(tokens);
  const auto width = static_cast<double>(qkv[0].size(3));
  const torch::Tensor query = qkv[0].slice(2, 0, 1) / std::sqrt(width);
  const torch::Tensor scores = torch::matmul(query, qkv[1].transpose(2, 3)).squeeze(2);
  return torch::softmax(loss::Widen(scores), -1).mean(1).slice(1, 1);
}

MlpImpl::MlpImpl(int64_t dim) {
  fc1_ = register_module("fc1", torch::nn::Linear(dim, 4 * dim));
  fc2_ = register_module("fc2", torch::nn::Linear(4 * dim, dim));
}

torch::Tensor MlpImpl::forward(const torch::Tensor& tokens) {
  return fc2_->forward(torch::gelu(fc1_->forward(tokens)));
}

TransformerBlockImpl::TransformerBlockImpl(int64_t dim, int64_t heads) {
  const auto norm = torch::nn::LayerNormOptions({dim}).eps(kLayerNormEps);
  norm1_ = register_module("norm1", torch::nn::LayerNorm(norm));
  attn_ = register_module("attn", Attention(dim, heads));
  norm2_ = register_module("norm2", torch::nn::LayerNorm(norm));
  mlp_ = register_module("mlp", Mlp(dim));
}

torch::Tensor TransformerBlockImpl::forward(const torch::Tensor& tokens,
                                            const torch::Tensor& keep_scales) {
  const auto kept = [&](const torch::Tensor& branch, int64_t which) {
    if (!keep_scales.defined()) return branch;
    // Not in the branch's type: 1 / keep in bf16 would be off by the same share for all.
    return branch * keep_scales.select(1, which).view({-1, 1, 1});
  };
  const torch::Tensor attended = tokens + kept(attn_->forward(norm1_->forward(tokens)), 0);
  return attended + kept(mlp_->forward(norm2_->forward(attended)), 1);
}

torch::Tensor TransformerBlockImpl::first_token_attention(const torch::Tensor& tokens) {
  return attn_->first_token_attention(norm1_->forward(tokens));
}

}  // namespace g2ll::model
