#ifndef WORKER_MODEL_UNET_H_
#define WORKER_MODEL_UNET_H_

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "worker/model/segmentation_decoder.h"

namespace g2ll::model {

// Width of each level of a UNet, coarsest first: twice `channels.front()`, then half
// of that at each of `channels.size() - 1` doublings. 1024, 512, 256, 128, 64 where
// the other decoders have 512, 256, 128, 64, 16. Throws c10::Error where a width is no
// whole number.
std::vector<int64_t> UnetWidths(const std::vector<int64_t>& channels);

// A U-Net that looks at the image alone: the reference without a pre-trained encoder
// (method section 5). Each level has two ConvBlocks; max pooling on the way down
// (`down.N`, finest first), 2x2 transposed convolutions on the way up (`rise.N`,
// `up.N`, coarsest first), skips in front of the risen features, a 1x1 `head`.
// 31,037,633 weights with the default widths.
class UnetImpl : public SegmentationDecoderImpl {
 public:
  // `widths`, coarsest first, at least two.
  UnetImpl(const std::vector<int64_t>& widths, NormLayer norm);
  // Reads `input.images` only; their sides are a multiple of 2^(levels - 1).
  torch::Tensor forward(const DecoderInput& input) override;

 private:
  torch::nn::ModuleList down_;
  torch::nn::ModuleList rise_;
  torch::nn::ModuleList up_;
  torch::nn::Conv2d head_{nullptr};
};

}  // namespace g2ll::model

#endif  // WORKER_MODEL_UNET_H_
