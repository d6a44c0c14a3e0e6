#ifndef WORKER_MODEL_CONV_BLOCK_H_
#define WORKER_MODEL_CONV_BLOCK_H_

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>

#include "worker/model/global_batch_norm.h"

namespace g2ll::model {

// Normalisation after a convolution.
enum class NormLayer {
  kBatch,  // over the batches of all ranks, `bn`
  kGroup,  // over groups of channels of each image by itself, `gn`
};

// Channels of one group of kGroup. A width that is no multiple of it is one group.
inline constexpr int64_t kGroupChannels = 16;

// 3x3 convolution that keeps the resolution (at stride 1).
torch::nn::Conv2d Conv3x3(int64_t in_channels, int64_t out_channels, bool bias, int64_t stride = 1);

// 3x3 convolution without bias, normalisation, ReLU: `conv`, and `bn` or `gn`.
class ConvBlockImpl : public torch::nn::Module {
 public:
  ConvBlockImpl(int64_t in_channels, int64_t out_channels, NormLayer norm = NormLayer::kBatch,
                int64_t stride = 1);
  // [B,Cin,H,W] -> [B,Cout,H/stride,W/stride].
  torch::Tensor forward(const torch::Tensor& input);

 private:
  torch::nn::Conv2d conv_{nullptr};
  // One of the two is set.
  GlobalBatchNorm bn_{nullptr};
  torch::nn::GroupNorm gn_{nullptr};
};
TORCH_MODULE(ConvBlock);

// Two ConvBlocks, `conv1` and `conv2`: the body of one resolution.
class DoubleConvImpl : public torch::nn::Module {
 public:
  DoubleConvImpl(int64_t in_channels, int64_t out_channels, NormLayer norm);
  // [B,Cin,H,W] -> [B,Cout,H,W].
  torch::Tensor forward(const torch::Tensor& input);

 private:
  ConvBlock conv1_{nullptr};
  ConvBlock conv2_{nullptr};
};
TORCH_MODULE(DoubleConv);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_CONV_BLOCK_H_
