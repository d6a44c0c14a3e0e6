#include "worker/model/segmentation_network.h"

#include <torch/torch.h>

#include <optional>
#include <utility>

#include "worker/model/multi_level_decoder.h"
#include "worker/model/unet.h"

namespace g2ll::model {
namespace {

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

SegmentationDecoder MakeDecoder(const SegmentationOptions& options) {
  const int64_t dim = options.vit.dim;
  switch (options.decoder) {
    case DecoderKind::kCup:
      return std::make_shared<CupDecoderImpl>(dim, options.channels, options.norm);
    case DecoderKind::kCupMulti:
      return std::make_shared<MultiLevelDecoderImpl>(dim, options.channels, options.norm);
    case DecoderKind::kLinear:
      return std::make_shared<LinearDecoderImpl>(dim, options.vit.patch);
    case DecoderKind::kUnet:
      return std::make_shared<UnetImpl>(UnetWidths(options.channels), options.norm);
  }
  TORCH_CHECK(false, "unknown decoder");
}

// Tokens [B,1+n,D] -> [B,D,g,g] without the class token.
torch::Tensor MapOf(const torch::Tensor& tokens, int64_t grid) {
  const torch::Tensor patches = tokens.slice(1, 1);
  return patches.transpose(1, 2).reshape({patches.size(0), patches.size(2), grid, grid});
}

}  // namespace

std::string_view NameOf(DecoderKind kind) {
  switch (kind) {
    case DecoderKind::kCup:
      return "cup";
    case DecoderKind::kCupMulti:
      return "cup_multi";
    case DecoderKind::kLinear:
      return "linear";
    case DecoderKind::kUnet:
      return "unet";
  }
  return "";
}

std::string_view NameOf(NormLayer norm) {
  switch (norm) {
    case NormLayer::kBatch:
      return "batch_norm";
    case NormLayer::kGroup:
      return "group_norm";
  }
  return "";
}

std::optional<DecoderKind> DecoderNamed(std::string_view name) {
  for (const DecoderKind kind :
       {DecoderKind::kCup, DecoderKind::kCupMulti, DecoderKind::kLinear, DecoderKind::kUnet}) {
    if (name == NameOf(kind)) return kind;
  }
  return std::nullopt;
}

std::optional<NormLayer> NormLayerNamed(std::string_view name) {
  for (const NormLayer norm : {NormLayer::kBatch, NormLayer::kGroup}) {
    if (name == NameOf(norm)) return norm;
  }
  return std::nullopt;
}

SegmentationNetworkImpl::SegmentationNetworkImpl(const SegmentationOptions& options)
    : options_(options) {
  const size_t doublings = options.channels.empty() ? 0 : options.channels.size() - 1;
  TORCH_CHECK(doublings >= 1 && doublings < 31 && options.vit.patch == 1 << doublings, doublings,
              " doublings of the resolution do not undo a patch of ", options.vit.patch);
  if (HasEncoder(options)) encoder_ = register_module("encoder", VitEncoder(options.vit));
  decoder_ = register_module("seg", MakeDecoder(options));
  if (options.decoder == DecoderKind::kCupMulti) {
    tapped_blocks_ = TappedBlocks(options.vit.depth, static_cast<int64_t>(doublings));
  }
}

torch::Tensor SegmentationNetworkImpl::forward(const torch::Tensor& images,
                                               const torch::Tensor& keep_scales) {
  return decoder_->forward(Encode(images, keep_scales));
}

DecoderInput SegmentationNetworkImpl::Encode(const torch::Tensor& images,
                                             const torch::Tensor& keep_scales) {
  DecoderInput input{.images = images, .map = {}, .inner = {}};
  if (!encoder_) return input;
  std::optional<torch::NoGradGuard> no_grad;
  if (is_encoder_frozen_) no_grad.emplace();
  const int64_t grid = GridOf(options_.vit);
  const auto [tokens, inner] = encoder_->forward_tapped(images, tapped_blocks_, keep_scales);
  input.map = MapOf(tokens, grid);
  for (const torch::Tensor& each : inner) input.inner.push_back(MapOf(each, grid));
  return input;
}

void SegmentationNetworkImpl::set_batch_reduction(const AllReduceSum& all_reduce_sum) {
  for (const auto& module : decoder_->modules()) {
    if (auto* norm = module->as<GlobalBatchNorm>()) norm->set_reduction(all_reduce_sum);
  }
}

void SegmentationNetworkImpl::FreezeEncoder() {
  if (!encoder_) return;
  is_encoder_frozen_ = true;
  for (torch::Tensor& parameter : encoder_->parameters()) parameter.set_requires_grad(false);
}

std::vector<std::pair<std::string, torch::Tensor>> SegmentationNetworkImpl::encoder_state() const {
  if (!encoder_) return {};
  return StateWithPrefix(*encoder_, "");
}

std::vector<std::pair<std::string, torch::Tensor>> SegmentationNetworkImpl::segmentation_state()
    const {
  return StateWithPrefix(*decoder_, "seg.");
}

}  // namespace g2ll::model
