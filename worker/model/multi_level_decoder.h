#ifndef WORKER_MODEL_MULTI_LEVEL_DECODER_H_
#define WORKER_MODEL_MULTI_LEVEL_DECODER_H_

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "worker/model/segmentation_decoder.h"

namespace g2ll::model {

// Encoder blocks, counted from 1 and ascending, whose outputs MultiLevelDecoder taps
// where it doubles the resolution `num_doublings` times: one tap for each doubling
// but the last, evenly spaced. 3, 6 and 9 of 12 blocks and four doublings.
std::vector<int64_t> TappedBlocks(int64_t depth, int64_t num_doublings);

// An inner block's map made into a skip: layer norm over the channels (`norm`), 1x1
// convolution (`proj`), bilinear to the stage's resolution.
class TapImpl : public torch::nn::Module {
 public:
  TapImpl(int64_t dim, int64_t out_channels);
  // [B,D,g,g] -> [B,Cout,side,side].
  torch::Tensor forward(const torch::Tensor& map, int64_t side);

 private:
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::Conv2d proj_{nullptr};
};
TORCH_MODULE(Tap);

// CupDecoder with what a patch of many pixels loses (method section 4.1,
// `cup_multi`): at each doubling but the last the skip of an inner block, as wide as
// that stage and in the order of the blocks; at the last two resolutions the
// features of a light stem on the image, 3 -> 16 (`stem.0`, every pixel) -> 32
// (`stem.1`, every other). Skips are concatenated behind the doubled features.
// Names as CupDecoder's, and `taps.N.{norm,proj}`, `stem.N.{conv,bn}`.
//
// With one doubling there is no tap and only `stem.0`.
class MultiLevelDecoderImpl : public SegmentationDecoderImpl {
 public:
  MultiLevelDecoderImpl(int64_t dim, const std::vector<int64_t>& channels, NormLayer norm);
  torch::Tensor forward(const DecoderInput& input) override;

 private:
  ConvBlock conv_more_{nullptr};
  torch::nn::ModuleList taps_;
  torch::nn::ModuleList stem_;
  torch::nn::ModuleList stages_;
  torch::nn::Conv2d head_{nullptr};
};

}  // namespace g2ll::model

#endif  // WORKER_MODEL_MULTI_LEVEL_DECODER_H_
