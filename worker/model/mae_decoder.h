#ifndef WORKER_MODEL_MAE_DECODER_H_
#define WORKER_MODEL_MAE_DECODER_H_

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>

namespace g2ll::model {

// Shape of the masked autoencoder's decoder; the defaults are the paper's (2.1).
struct MaeDecoderOptions {
  int grid = 16;          // patches on one side, n = grid^2
  int patch = 16;         // side of a patch in pixels
  int encoder_dim = 384;  // width D of the encoder's tokens
  int dim = 384;          // own width, a multiple of 4 and of `heads`
  int depth = 2;          // transformer blocks
  int heads = 6;          // attention heads
};

// Predicts the pixels of all patches from the tokens of the visible ones.
//
// Names: `mask_token`, `decoder_embed.*`, `decoder_blocks.N.*`, `decoder_norm.*`,
// `decoder_pred.*`; the fixed positions are the buffer `decoder_pos_embed`.
class MaeDecoderImpl : public torch::nn::Module {
 public:
  // Throws c10::Error for options that do not fit together.
  explicit MaeDecoderImpl(const MaeDecoderOptions& options);

  // `latent` [B,1+m,D] from VitEncoder::forward_visible, `visible_ids` [B,m] int64
  // as given there -> tokens of all patches, visible or not, after the final norm and
  // without the class token, [B,n,dim].
  torch::Tensor decode(const torch::Tensor& latent, const torch::Tensor& visible_ids);

  // The pixels that tokens of `decode` stand for, [B,n,patch*patch*3]; the values of a
  // patch are ordered (row, column, channel).
  torch::Tensor predict(const torch::Tensor& tokens);

  // What the blocks get, [B,1+n,dim]: each visible token at its place, the mask
  // token elsewhere, positions added.
  torch::Tensor unshuffle(const torch::Tensor& latent, const torch::Tensor& visible_ids);

  const MaeDecoderOptions& options() const { return options_; }

 private:
  MaeDecoderOptions options_;
  torch::Tensor mask_token_;
  torch::Tensor positions_;
  torch::nn::Linear embed_{nullptr};
  torch::nn::ModuleList blocks_;
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::Linear predict_{nullptr};
};
TORCH_MODULE(MaeDecoder);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_MAE_DECODER_H_
