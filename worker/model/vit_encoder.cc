#include "worker/model/vit_encoder.h"

#include <torch/torch.h>

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
  cls_token_ = register_parameter("cls_token", torch::zeros({1, 1, options.dim}));
  const torch::Tensor positions = SinCosPositions(GridOf(options), options.dim);
  pos_embed_ = options.learned_pos ? register_parameter("pos_embed", torch::zeros_like(positions))
                                   : register_buffer("pos_embed", positions);
  projection_ = register_module("patch_embed", PatchEmbed(options.dim, options.patch))->proj;
  blocks_ = register_module("blocks", torch::nn::ModuleList());
  for (int i = 0; i < options.depth; ++i) {
    const double drop_path =
        options.depth > 1 ? options.drop_path * i / (options.depth - 1) : options.drop_path;
    blocks_->push_back(TransformerBlock(options.dim, options.heads, drop_path));
  }
  norm_ = register_module(
      "norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.dim}).eps(kLayerNormEps)));
}

torch::Tensor VitEncoderImpl::forward(const torch::Tensor& images) { return encode(embed(images)); }

torch::Tensor VitEncoderImpl::forward_visible(const torch::Tensor& images,
                                              const torch::Tensor& visible_ids) {
  const torch::Tensor patches = embed(images);
  TORCH_CHECK(visible_ids.dim() == 2 && visible_ids.size(0) == patches.size(0),
              "visible ids must be [B,m], got ", visible_ids.sizes());
  const torch::Tensor index = visible_ids.unsqueeze(-1).expand({-1, -1, options_.dim});
  return encode(patches.gather(1, index));
}

torch::Tensor VitEncoderImpl::embed(const torch::Tensor& images) {
  TORCH_CHECK(images.dim() == 4 && images.size(2) == options_.image_size &&
                  images.size(3) == options_.image_size,
              "images must be [B,3,", options_.image_size, ",", options_.image_size, "], got ",
              images.sizes());
  const torch::Tensor patches = projection_->forward(images).flatten(2).transpose(1, 2);
  return patches + pos_embed_.slice(1, 1);
}

torch::Tensor VitEncoderImpl::encode(const torch::Tensor& patches) {
  const torch::Tensor cls = (cls_token_ + pos_embed_.slice(1, 0, 1)).to(patches.scalar_type());
  torch::Tensor tokens = torch::cat({cls.expand({patches.size(0), -1, -1}), patches}, 1);
  for (const auto& block : *blocks_) {
    tokens = block->as<TransformerBlock>()->forward(tokens);
  }
  return norm_->forward(tokens);
}

}  // namespace g2ll::model
