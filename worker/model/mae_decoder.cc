#include "worker/model/mae_decoder.h"

#include <torch/torch.h>

#include "worker/model/position_table.h"
#include "worker/model/transformer_block.h"

namespace g2ll::model {

MaeDecoderImpl::MaeDecoderImpl(const MaeDecoderOptions& options) : options_(options) {
  TORCH_CHECK(options.grid > 0 && options.patch > 0 && options.depth > 0,
              "a decoder needs at least one patch and one block");
  mask_token_ = register_parameter("mask_token", torch::zeros({1, 1, options.dim}));
  positions_ = register_buffer("decoder_pos_embed", SinCosPositions(options.grid, options.dim));
  embed_ = register_module("decoder_embed", torch::nn::Linear(options.encoder_dim, options.dim));
  blocks_ = register_module("decoder_blocks", torch::nn::ModuleList());
  for (int i = 0; i < options.depth; ++i) {
    blocks_->push_back(TransformerBlock(options.dim, options.heads));
  }
  norm_ = register_module(
      "decoder_norm",
      torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.dim}).eps(kLayerNormEps)));
  predict_ = register_module("decoder_pred",
                             torch::nn::Linear(options.dim, options.patch * options.patch * 3));
}

torch::Tensor MaeDecoderImpl::decode(const torch::Tensor& latent,
                                     const torch::Tensor& visible_ids) {
  torch::Tensor tokens = unshuffle(latent, visible_ids);
  for (const auto& block : *blocks_) {
    tokens = block->as<TransformerBlock>()->forward(tokens);
  }
  return norm_->forward(tokens).slice(1, 1);
}

torch::Tensor MaeDecoderImpl::predict(const torch::Tensor& tokens) {
  return predict_->forward(tokens);
}

torch::Tensor MaeDecoderImpl::unshuffle(const torch::Tensor& latent,
                                        const torch::Tensor& visible_ids) {
  const int64_t batch = latent.size(0);
  const int64_t patches = int64_t{options_.grid} * options_.grid;
  TORCH_CHECK(visible_ids.dim() == 2 && visible_ids.size(0) == batch &&
                  visible_ids.size(1) == latent.size(1) - 1,
              "visible ids ", visible_ids.sizes(), " do not fit latent ", latent.sizes());
  const torch::Tensor tokens = embed_->forward(latent);
  const torch::Tensor index = visible_ids.unsqueeze(-1).expand({-1, -1, options_.dim});
  const torch::Tensor placed = mask_token_.to(tokens.scalar_type())
                                   .expand({batch, patches, options_.dim})
                                   .scatter(1, index, tokens.slice(1, 1));
  return torch::cat({tokens.slice(1, 0, 1), placed}, 1) + positions_;
}

}  // namespace g2ll::model
