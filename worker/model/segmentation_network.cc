#include "worker/model/segmentation_network.h"

#include <torch/torch.h>

#include <utility>

namespace g2ll::model {
namespace {

torch::nn::Conv2d Conv3x3(int64_t in_channels, int64_t out_channels, bool bias) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in_channels, out_channels, 3).padding(1).bias(bias));
}

std::vector<std::pair<std::string, torch::Tensor>> StateWithPrefix(const torch::nn::Module& module,
                                                                   const std::string& prefix) {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  for (const auto& item : module.named_parameters()) {
    state.emplace_back(prefix + item.key(), item.value().detach());
  }
  for (const auto& item : module.named_buffers()) {
    state.emplace_back(prefix + item.key(), item.value().detach());
  }
  return state;
}

}  // namespace

ConvBlockImpl::ConvBlockImpl(int64_t in_channels, int64_t out_channels) {
  conv_ = register_module("conv", Conv3x3(in_channels, out_channels, /*bias=*/false));
  bn_ = register_module("bn", GlobalBatchNorm(out_channels));
}

torch::Tensor ConvBlockImpl::forward(const torch::Tensor& input) {
  return torch::relu(bn_->forward(conv_->forward(input)));
}

UpStageImpl::UpStageImpl(int64_t in_channels, int64_t out_channels) {
  conv1_ = register_module("conv1", ConvBlock(in_channels, out_channels));
  conv2_ = register_module("conv2", ConvBlock(out_channels, out_channels));
}

torch::Tensor UpStageImpl::forward(const torch::Tensor& input) {
  const std::vector<int64_t> size = {2 * input.size(2), 2 * input.size(3)};
  const torch::Tensor larger = torch::upsample_bilinear2d(input, size, /*align_corners=*/true);
  return conv2_->forward(conv1_->forward(larger));
}

SegmentationDecoderImpl::SegmentationDecoderImpl(int64_t dim,
                                                 const std::vector<int64_t>& channels) {
  TORCH_CHECK(channels.size() >= 2, "a segmentation decoder needs at least one doubling");
  conv_more_ = register_module("conv_more", ConvBlock(dim, channels.front()));
  stages_ = register_module("stages", torch::nn::ModuleList());
  for (size_t i = 1; i < channels.size(); ++i) {
    stages_->push_back(UpStage(channels[i - 1], channels[i]));
  }
  head_ = register_module("head", Conv3x3(channels.back(), 1, /*bias=*/true));
}

torch::Tensor SegmentationDecoderImpl::forward(const torch::Tensor& map) {
  torch::Tensor features = conv_more_->forward(map);
  for (const auto& stage : *stages_) features = stage->as<UpStage>()->forward(features);
  return head_->forward(features);
}

std::vector<GlobalBatchNorm> SegmentationDecoderImpl::batch_norms() const {
  std::vector<GlobalBatchNorm> norms = {conv_more_->batch_norm()};
  for (const auto& stage : *stages_) {
    auto* up = stage->as<UpStage>();
    norms.push_back(up->conv1()->batch_norm());
    norms.push_back(up->conv2()->batch_norm());
  }
  return norms;
}

SegmentationNetworkImpl::SegmentationNetworkImpl(const SegmentationOptions& options)
    : options_(options) {
  const size_t doublings = options.channels.empty() ? 0 : options.channels.size() - 1;
  TORCH_CHECK(doublings >= 1 && doublings < 31 && options.vit.patch == 1 << doublings, doublings,
              " doublings of the resolution do not undo a patch of ", options.vit.patch);
  encoder_ = register_module("encoder", VitEncoder(options.vit));
  decoder_ = register_module("seg", SegmentationDecoder(options.vit.dim, options.channels));
}

torch::Tensor SegmentationNetworkImpl::forward(const torch::Tensor& images) {
  const int64_t grid = GridOf(options_.vit);
  const torch::Tensor patches = encoder_->forward(images).slice(1, 1);
  const torch::Tensor map =
      patches.transpose(1, 2).reshape({patches.size(0), options_.vit.dim, grid, grid});
  return decoder_->forward(map);
}

void SegmentationNetworkImpl::set_batch_reduction(AllReduceSum all_reduce_sum) {
  for (GlobalBatchNorm norm : decoder_->batch_norms()) norm->set_reduction(all_reduce_sum);
}

std::vector<std::pair<std::string, torch::Tensor>> SegmentationNetworkImpl::encoder_state() const {
  return StateWithPrefix(*encoder_, "");
}

std::vector<std::pair<std::string, torch::Tensor>> SegmentationNetworkImpl::segmentation_state()
    const {
  return StateWithPrefix(*decoder_, "seg.");
}

}  // namespace g2ll::model
