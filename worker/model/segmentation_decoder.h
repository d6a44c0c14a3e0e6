#ifndef WORKER_MODEL_SEGMENTATION_DECODER_H_
#define WORKER_MODEL_SEGMENTATION_DECODER_H_

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/model/conv_block.h"

namespace g2ll::model {

// What a segmentation decoder looks at.
struct DecoderInput {
  // [B,3,S,S].
  torch::Tensor images;
  // The encoder's patch tokens after its final norm as a map, [B,D,g,g]; undefined
  // for a decoder that takes no encoder.
  torch::Tensor map;
  // The same of the inner blocks that the decoder taps, before any norm, in order.
  std::vector<torch::Tensor> inner;
};

// From the encoder's features to one logit per pixel.
class SegmentationDecoderImpl : public torch::nn::Module {
 public:
  // -> [B,1,S,S].
  virtual torch::Tensor forward(const DecoderInput& input) = 0;
};
using SegmentationDecoder = std::shared_ptr<SegmentationDecoderImpl>;

// Twice the resolution, bilinear with corners aligned as TransUNet has it:
// [B,C,H,W] -> [B,C,2H,2W].
torch::Tensor DoubleResolution(const torch::Tensor& input);

// TransUNet's decoder without skips (paper 3.2, method section 4.1): `conv_more`,
// then `stages.N.{conv1,conv2}`, each after a doubling, then `head`.
class CupDecoderImpl : public SegmentationDecoderImpl {
 public:
  // `channels`: width after the first convolution, then after each doubling.
  CupDecoderImpl(int64_t dim, const std::vector<int64_t>& channels, NormLayer norm);
  torch::Tensor forward(const DecoderInput& input) override;

 private:
  ConvBlock conv_more_{nullptr};
  torch::nn::ModuleList stages_;
  torch::nn::Conv2d head_{nullptr};
};

// A probe of the encoder: `head`, a 1x1 convolution to one logit per patch, then
// bilinear upsampling by the patch's side (corners not aligned, so that a patch's
// logit sits at its middle).
class LinearDecoderImpl : public SegmentationDecoderImpl {
 public:
  LinearDecoderImpl(int64_t dim, int64_t patch);
  torch::Tensor forward(const DecoderInput& input) override;

 private:
  int64_t patch_;
  torch::nn::Conv2d head_{nullptr};
};

}  // namespace g2ll::model

#endif  // WORKER_MODEL_SEGMENTATION_DECODER_H_
