#ifndef WORKER_MODEL_VIT_ENCODER_H_
#define WORKER_MODEL_VIT_ENCODER_H_

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace g2ll::model {

// Shape of a vision transformer. The defaults are ViT-S/16 at 256 pixels.
struct VitOptions {
  int image_size = 256;      // side S of the square input, a multiple of `patch`
  int patch = 16;            // side of a patch in pixels
  int dim = 384;             // width D of a token, a multiple of 4 and of `heads`
  int depth = 12;            // transformer blocks
  int heads = 6;             // attention heads
  double drop_path = 0;      // stochastic depth of the last block in [0,1), see drop_path.h
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
// Nothing in it is random: stochastic depth comes from the caller as `keep_scales`
// [B,depth,2] (drop_path.h); undefined: none.
class VitEncoderImpl : public torch::nn::Module {
 public:
  // Throws c10::Error for options that do not fit together.
  explicit VitEncoderImpl(const VitOptions& options);

  // `images` [B,3,S,S] float -> [B,1+n,D] after the final norm, class token first.
  torch::Tensor forward(const torch::Tensor& images, const torch::Tensor& keep_scales = {});

  // The same on a part of the patches, which is all that the blocks see:
  // `visible_ids` [B,m] int64 in [0,n), distinct in a row -> [B,1+m,D], tokens in
  // the order of the ids.
  torch::Tensor forward_visible(const torch::Tensor& images, const torch::Tensor& visible_ids,
                                const torch::Tensor& keep_scales = {});

  // The same on all patches, with `mask_token` [1,1,D] in place of the masked ones
  // before positions are added (SimMIM): `masked_ids` [B,m] int64 -> [B,1+n,D].
  torch::Tensor forward_masked(const torch::Tensor& images, const torch::Tensor& masked_ids,
                               const torch::Tensor& mask_token,
                               const torch::Tensor& keep_scales = {});

  // forward, and what the class token of the last block attends to: [B,n], mean over
  // the heads (AttMask; method section 2.7).
  struct Attended {
    torch::Tensor tokens;
    torch::Tensor attention;
  };
  Attended forward_attended(const torch::Tensor& images);

  // forward, and the tokens [B,1+n,D] that leave the given blocks (counted from 1,
  // ascending), before any norm.
  struct Tapped {
    torch::Tensor tokens;
    std::vector<torch::Tensor> inner;
  };
  Tapped forward_tapped(const torch::Tensor& images, const std::vector<int64_t>& blocks,
                        const torch::Tensor& keep_scales = {});

  // Patch tokens with their positions and without the class token, [B,n,D].
  torch::Tensor embed(const torch::Tensor& images);

  const VitOptions& options() const { return options_; }
  int num_patches() const { return GridOf(options_) * GridOf(options_); }

 private:
  // Patch tokens [B,n,D] without positions.
  torch::Tensor project(const torch::Tensor& images);
  torch::Tensor with_class_token(const torch::Tensor& patches);
  // All blocks and the final norm.
  torch::Tensor encode(const torch::Tensor& patches, const torch::Tensor& keep_scales);
  Tapped encode_tapped(const torch::Tensor& patches, const std::vector<int64_t>& blocks,
                       const torch::Tensor& keep_scales);

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
