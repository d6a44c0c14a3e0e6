#ifndef WORKER_MODEL_VIT_ENCODER_H_
#define WORKER_MODEL_VIT_ENCODER_H_

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>

namespace g2ll::model {

// Shape of a vision transformer. The defaults are ViT-S/16 at 256 pixels.
struct VitOptions {
  int image_size = 256;      // side S of the square input, a multiple of `patch`
  int patch = 16;            // side of a patch in pixels
  int dim = 384;             // width D of a token, a multiple of 4 and of `heads`
  int depth = 12;            // transformer blocks
  int heads = 6;             // attention heads
  double drop_path = 0;      // stochastic depth of the last block, 0 in the first, linear between
  bool learned_pos = false;  // positions are trained instead of the fixed sin-cos table
};

// Patches on one side of the image.
inline int GridOf(const VitOptions& options) { return options.image_size / options.patch; }

// Pre-norm vision transformer (paper 2.1; method of the ViT-S/16 backbone).
//
// n = (S / patch)^2 patches, row-major. Parameter and buffer names are those of
// timm's VisionTransformer, so a saved state loads there strictly: `cls_token`
// [1,1,D], `pos_embed` [1,1+n,D] (a buffer unless learned), `patch_embed.proj.*`,
// `blocks.N.*`, `norm.*`. The weights of a fresh module mean nothing: call one of
// the functions of initialization.h or load a state.
// Stochastic depth draws from torch's global generator, in training mode only.
class VitEncoderImpl : public torch::nn::Module {
 public:
  // Throws c10::Error for options that do not fit together.
  explicit VitEncoderImpl(const VitOptions& options);

  // `images` [B,3,S,S] float -> [B,1+n,D] after the final norm, class token first.
  torch::Tensor forward(const torch::Tensor& images);

  // The same on a part of the patches, which is all that the blocks see:
  // `visible_ids` [B,m] int64 in [0,n), distinct in a row -> [B,1+m,D], tokens in
  // the order of the ids.
  torch::Tensor forward_visible(const torch::Tensor& images, const torch::Tensor& visible_ids);

  // Patch tokens with their positions and without the class token, [B,n,D].
  torch::Tensor embed(const torch::Tensor& images);

  const VitOptions& options() const { return options_; }
  int num_patches() const { return GridOf(options_) * GridOf(options_); }

 private:
  torch::Tensor encode(const torch::Tensor& patches);

  VitOptions options_;
  torch::Tensor cls_token_;
  torch::Tensor pos_embed_;
  torch::nn::Conv2d projection_{nullptr};
  torch::nn::ModuleList blocks_;
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(VitEncoder);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_VIT_ENCODER_H_
