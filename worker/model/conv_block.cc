#include "worker/model/conv_block.h"

#include <torch/torch.h>

namespace g2ll::model {
namespace {

int64_t NumGroups(int64_t channels) {
  return channels % kGroupChannels == 0 ? channels / kGroupChannels : 1;
}

}  // namespace

torch::nn::Conv2d Conv3x3(int64_t in_channels, int64_t out_channels, bool bias, int64_t stride) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in_channels, out_channels, 3).padding(1).stride(stride).bias(bias));
}

ConvBlockImpl::ConvBlockImpl(int64_t in_channels, int64_t out_channels, NormLayer norm,
                             int64_t stride) {
  conv_ = register_module("conv", Conv3x3(in_channels, out_channels, /*bias=*/false, stride));
  switch (norm) {
    case NormLayer::kBatch:
      bn_ = register_module("bn", GlobalBatchNorm(out_channels));
      break;
    case NormLayer::kGroup:
      gn_ = register_module("gn", torch::nn::GroupNorm(NumGroups(out_channels), out_channels));
      break;
  }
}

torch::Tensor ConvBlockImpl::forward(const torch::Tensor& input) {
  const torch::Tensor features = conv_->forward(input);
  return torch::relu(bn_ ? bn_->forward(features) : gn_->forward(features));
}

DoubleConvImpl::DoubleConvImpl(int64_t in_channels, int64_t out_channels, NormLayer norm) {
  conv1_ = register_module("conv1", ConvBlock(in_channels, out_channels, norm));
  conv2_ = register_module("conv2", ConvBlock(out_channels, out_channels, norm));
}

torch::Tensor DoubleConvImpl::forward(const torch::Tensor& input) {
  return conv2_->forward(conv1_->forward(input));
}

}  // namespace g2ll::model
