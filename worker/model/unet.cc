#include "worker/model/unet.h"

#include <torch/torch.h>

namespace g2ll::model {

std::vector<int64_t> UnetWidths(const std::vector<int64_t>& channels) {
  TORCH_CHECK(channels.size() >= 2 && channels.size() < 32, "a U-Net needs two levels or more");
  std::vector<int64_t> widths = {2 * channels.front()};
  while (widths.size() < channels.size()) {
    TORCH_CHECK(widths.back() % 2 == 0, "a U-Net of ", channels.size(),
                " levels cannot halve a width of ", widths.front(), " that often");
    widths.push_back(widths.back() / 2);
  }
  return widths;
}

UnetImpl::UnetImpl(const std::vector<int64_t>& widths, NormLayer norm) {
  TORCH_CHECK(widths.size() >= 2, "a U-Net needs two levels or more");
  down_ = register_module("down", torch::nn::ModuleList());
  rise_ = register_module("rise", torch::nn::ModuleList());
  up_ = register_module("up", torch::nn::ModuleList());
  int64_t in_channels = 3;
  for (auto width = widths.rbegin(); width != widths.rend(); ++width) {
    down_->push_back(DoubleConv(in_channels, *width, norm));
    in_channels = *width;
  }
  for (size_t i = 1; i < widths.size(); ++i) {
    rise_->push_back(torch::nn::ConvTranspose2d(
        torch::nn::ConvTranspose2dOptions(widths[i - 1], widths[i], 2).stride(2)));
    up_->push_back(DoubleConv(2 * widths[i], widths[i], norm));
  }
  head_ = register_module("head", torch::nn::Conv2d(torch::nn::Conv2dOptions(widths.back(), 1, 1)));
}

torch::Tensor UnetImpl::forward(const DecoderInput& input) {
  torch::Tensor features = input.images;
  std::vector<torch::Tensor> skips;
  for (const auto& level : *down_) {
    if (!skips.empty()) features = torch::max_pool2d(features, 2);
    features = level->as<DoubleConv>()->forward(features);
    skips.push_back(features);
  }
  for (size_t i = 0; i < up_->size(); ++i) {
    const torch::Tensor& skip = skips[skips.size() - 2 - i];
    const torch::Tensor risen = rise_[i]->as<torch::nn::ConvTranspose2d>()->forward(features);
    features = up_[i]->as<DoubleConv>()->forward(torch::cat({skip, risen}, 1));
  }
  return head_->forward(features);
}

}  // namespace g2ll::model
