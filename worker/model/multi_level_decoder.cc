#include "worker/model/multi_level_decoder.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "worker/model/transformer_block.h"

namespace g2ll::model {
namespace {

constexpr std::array<int64_t, 2> kStemChannels = {16, 32};

}  // namespace

std::vector<int64_t> TappedBlocks(int64_t depth, int64_t num_doublings) {
  std::vector<int64_t> blocks;
  for (int64_t i = 1; i < num_doublings; ++i) {
    const double place = static_cast<double>(depth * i) / static_cast<double>(num_doublings);
    blocks.push_back(std::clamp<int64_t>(std::llround(place), 1, depth));
  }
  return blocks;
}

TapImpl::TapImpl(int64_t dim, int64_t out_channels) {
  norm_ = register_module(
      "norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim}).eps(kLayerNormEps)));
  proj_ =
      register_module("proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(dim, out_channels, 1)));
}

torch::Tensor TapImpl::forward(const torch::Tensor& map, int64_t side) {
  const torch::Tensor normed = norm_->forward(map.permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
  const std::vector<int64_t> size = {side, side};
  return torch::upsample_bilinear2d(proj_->forward(normed), size, /*align_corners=*/true);
}

MultiLevelDecoderImpl::MultiLevelDecoderImpl(int64_t dim, const std::vector<int64_t>& channels,
                                             NormLayer norm) {
  TORCH_CHECK(channels.size() >= 2, "a segmentation decoder needs at least one doubling");
  const size_t num_doublings = channels.size() - 1;
  conv_more_ = register_module("conv_more", ConvBlock(dim, channels.front(), norm));
  taps_ = register_module("taps", torch::nn::ModuleList());
  stem_ = register_module("stem", torch::nn::ModuleList());
  stages_ = register_module("stages", torch::nn::ModuleList());
  stem_->push_back(ConvBlock(3, kStemChannels[0], norm));
  if (num_doublings > 1) {
    stem_->push_back(ConvBlock(kStemChannels[0], kStemChannels[1], norm, /*stride=*/2));
  }
  for (size_t stage = 1; stage <= num_doublings; ++stage) {
    int64_t in_channels = channels[stage - 1];
    if (stage < num_doublings) {
      taps_->push_back(Tap(dim, channels[stage]));
      in_channels += channels[stage];
    }
    // The last stage has every pixel, the one before every other.
    const size_t level = num_doublings - stage;
    if (level < stem_->size()) in_channels += kStemChannels[level];
    stages_->push_back(DoubleConv(in_channels, channels[stage], norm));
  }
  head_ = register_module("head", Conv3x3(channels.back(), 1, /*bias=*/true));
}

torch::Tensor MultiLevelDecoderImpl::forward(const DecoderInput& input) {
  TORCH_CHECK(input.inner.size() == taps_->size(), "the decoder taps ", taps_->size(),
              " blocks, got ", input.inner.size());
  std::vector<torch::Tensor> stem;
  torch::Tensor fine = input.images;
  for (const auto& block : *stem_) {
    fine = block->as<ConvBlock>()->forward(fine);
    stem.push_back(fine);
  }
  torch::Tensor features = conv_more_->forward(input.map);
  for (size_t stage = 0; stage < stages_->size(); ++stage) {
    std::vector<torch::Tensor> parts = {DoubleResolution(features)};
    if (stage < taps_->size()) {
      parts.push_back(taps_[stage]->as<Tap>()->forward(input.inner[stage], parts[0].size(2)));
    }
    const size_t level = stages_->size() - 1 - stage;
    if (level < stem.size()) parts.push_back(stem[level]);
    features = stages_[stage]->as<DoubleConv>()->forward(torch::cat(parts, 1));
  }
  return head_->forward(features);
}

}  // namespace g2ll::model
