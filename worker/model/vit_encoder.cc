#include "worker/model/vit_encoder.h"

#include <torch/torch.h>

#include <algorithm>

#include "worker/model/position_table.h"
#include "worker/model/transformer_block.h"

namespace g2ll::model {
namespace {

// Registers the convolution under timm's name `patch_embed.proj`.
class PatchEmbedImpl : public torch::nn::Module {
 public:
  PatchEmbedImpl(int64_t dim, int64_t patch)
      : proj(register_module(
            "proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, dim, patch).stride(patch)))) {}

  torch::nn::Conv2d proj;
};
TORCH_MODULE(PatchEmbed);

}  // namespace

VitEncoderImpl::VitEncoderImpl(const VitOptions& options) : options_(options) {
  TORCH_CHECK(options.patch > 0 && options.image_size > 0 && options.depth > 0 &&
                  options.image_size % options.patch == 0,
              "image size ", options.image_size, " is not a multiple of patch ", options.patch);
  TORCH_CHECK(options.drop_path >= 0 && options.drop_path < 1, "drop path ", options.drop_path,
              " is not in [0, 1)");
  cls_token_ = register_parameter("cls_token", torch::zeros({1, 1, options.dim}));
  const torch::Tensor positions = SinCosPositions(GridOf(options), options.dim);
  pos_embed_ = options.learned_pos ? register_parameter("pos_embed", torch::zeros_like(positions))
                                   : register_buffer("pos_embed", positions);
  projection_ = register_module("patch_embed", PatchEmbed(options.dim, options.patch))->proj;
  blocks_ = register_module("blocks", torch::nn::ModuleList());
  for (int i = 0; i < options.depth; ++i) {
    blocks_->push_back(TransformerBlock(options.dim, options.heads));
  }
  norm_ = register_module(
      "norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.dim}).eps(kLayerNormEps)));
}

torch::Tensor VitEncoderImpl::forward(const torch::Tensor& images,
                                      const torch::Tensor& keep_scales) {
  return encode(embed(images), keep_scales);
}

torch::Tensor VitEncoderImpl::forward_visible(const torch::Tensor& images,
                                              const torch::Tensor& visible_ids,
                                              const torch::Tensor& keep_scales) {
  const torch::Tensor patches = embed(images);
  TORCH_CHECK(visible_ids.dim() == 2 && visible_ids.size(0) == patches.size(0),
              "visible ids must be [B,m], got ", visible_ids.sizes());
  const torch::Tensor index = visible_ids.unsqueeze(-1).expand({-1, -1, options_.dim});
  return encode(patches.gather(1, index), keep_scales);
}

torch::Tensor VitEncoderImpl::forward_masked(const torch::Tensor& images,
                                             const torch::Tensor& masked_ids,
                                             const torch::Tensor& mask_token,
                                             const torch::Tensor& keep_scales) {
  const torch::Tensor patches = project(images);
  TORCH_CHECK(masked_ids.dim() == 2 && masked_ids.size(0) == patches.size(0),
              "masked ids must be [B,m], got ", masked_ids.sizes());
  const torch::Tensor index = masked_ids.unsqueeze(-1).expand({-1, -1, options_.dim});
  const torch::Tensor token = mask_token.to(patches.scalar_type()).expand_as(index);
  return encode(patches.scatter(1, index, token) + pos_embed_.slice(1, 1), keep_scales);
}

VitEncoderImpl::Attended VitEncoderImpl::forward_attended(const torch::Tensor& images) {
  torch::Tensor tokens = with_class_token(embed(images));
  torch::Tensor attention;
  for (const auto& block : *blocks_) {
    TransformerBlockImpl& each = *block->as<TransformerBlock>();
    if (block == *(blocks_->end() - 1)) attention = each.first_token_attention(tokens);
    tokens = each.forward(tokens);
  }
  return {norm_->forward(tokens), attention};
}

VitEncoderImpl::Tapped VitEncoderImpl::forward_tapped(const torch::Tensor& images,
                                                      const std::vector<int64_t>& blocks,
                                                      const torch::Tensor& keep_scales) {
  return encode_tapped(embed(images), blocks, keep_scales);
}

torch::Tensor VitEncoderImpl::embed(const torch::Tensor& images) {
  return project(images) + pos_embed_.slice(1, 1);
}

torch::Tensor VitEncoderImpl::project(const torch::Tensor& images) {
  TORCH_CHECK(images.dim() == 4 && images.size(2) == options_.image_size &&
                  images.size(3) == options_.image_size,
              "images must be [B,3,", options_.image_size, ",", options_.image_size, "], got ",
              images.sizes());
  return projection_->forward(images).flatten(2).transpose(1, 2);
}

torch::Tensor VitEncoderImpl::with_class_token(const torch::Tensor& patches) {
  const torch::Tensor cls = (cls_token_ + pos_embed_.slice(1, 0, 1)).to(patches.scalar_type());
  return torch::cat({cls.expand({patches.size(0), -1, -1}), patches}, 1);
}

torch::Tensor VitEncoderImpl::encode(const torch::Tensor& patches,
                                     const torch::Tensor& keep_scales) {
  return encode_tapped(patches, {}, keep_scales).tokens;
}

VitEncoderImpl::Tapped VitEncoderImpl::encode_tapped(const torch::Tensor& patches,
                                                     const std::vector<int64_t>& blocks,
                                                     const torch::Tensor& keep_scales) {
  TORCH_CHECK(!keep_scales.defined() ||
                  keep_scales.sizes() ==
                      torch::IntArrayRef({patches.size(0), int64_t{options_.depth}, int64_t{2}}),
              "keep scales are not [B,depth,2]");
  torch::Tensor tokens = with_class_token(patches);
  Tapped tapped;
  int64_t index = 0;
  for (const auto& block : *blocks_) {
    const torch::Tensor scales =
        keep_scales.defined() ? keep_scales.select(1, index) : torch::Tensor();
    tokens = block->as<TransformerBlock>()->forward(tokens, scales);
    ++index;
    // Twice where an encoder has fewer blocks than taps.
    const auto count = std::count(blocks.begin(), blocks.end(), index);
    tapped.inner.insert(tapped.inner.end(), static_cast<size_t>(count), tokens);
  }
  tapped.tokens = norm_->forward(tokens);
  return tapped;
}

}  // namespace g2ll::model
