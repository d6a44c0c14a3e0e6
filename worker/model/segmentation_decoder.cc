#include "worker/model/segmentation_decoder.h"

#include <torch/torch.h>

namespace g2ll::model {

torch::Tensor DoubleResolution(const torch::Tensor& input) {
  const std::vector<int64_t> size = {2 * input.size(2), 2 * input.size(3)};
  return torch::upsample_bilinear2d(input, size, /*align_corners=*/true);
}

CupDecoderImpl::CupDecoderImpl(int64_t dim, const std::vector<int64_t>& channels, NormLayer norm) {
  TORCH_CHECK(channels.size() >= 2, "a segmentation decoder needs at least one doubling");
  conv_more_ = register_module("conv_more", ConvBlock(dim, channels.front(), norm));
  stages_ = register_module("stages", torch::nn::ModuleList());
  for (size_t i = 1; i < channels.size(); ++i) {
    stages_->push_back(DoubleConv(channels[i - 1], channels[i], norm));
  }
  head_ = register_module("head", Conv3x3(channels.back(), 1, /*bias=*/true));
}

torch::Tensor CupDecoderImpl::forward(const DecoderInput& input) {
  torch::Tensor features = conv_more_->forward(input.map);
  for (const auto& stage : *stages_) {
    features = stage->as<DoubleConv>()->forward(DoubleResolution(features));
  }
  return head_->forward(features);
}

LinearDecoderImpl::LinearDecoderImpl(int64_t dim, int64_t patch) : patch_(patch) {
  head_ = register_module("head", torch::nn::Conv2d(torch::nn::Conv2dOptions(dim, 1, 1)));
}

torch::Tensor LinearDecoderImpl::forward(const DecoderInput& input) {
  const torch::Tensor logits = head_->forward(input.map);
  const std::vector<int64_t> size = {patch_ * logits.size(2), patch_ * logits.size(3)};
  return torch::upsample_bilinear2d(logits, size, /*align_corners=*/false);
}

}  // namespace g2ll::model
