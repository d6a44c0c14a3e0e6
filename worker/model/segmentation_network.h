#ifndef WORKER_MODEL_SEGMENTATION_NETWORK_H_
#define WORKER_MODEL_SEGMENTATION_NETWORK_H_

#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/model/conv_block.h"
#include "worker/model/segmentation_decoder.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::model {

// Network on top of, or instead of, the encoder (method section 4.1).
enum class DecoderKind {
  kCup,       // TransUNet's without skips
  kCupMulti,  // the same with skips from inner blocks and from a stem
  kLinear,    // a probe
  kUnet,      // a U-Net on the image, without the encoder
};

// Their names in job files and in exported configurations: `cup`, `cup_multi`,
// `linear`, `unet`; `batch_norm`, `group_norm`. The reverse gives none for any other.
std::string_view NameOf(DecoderKind kind);
std::string_view NameOf(NormLayer norm);
std::optional<DecoderKind> DecoderNamed(std::string_view name);
std::optional<NormLayer> NormLayerNamed(std::string_view name);

// All that a segmentation network is made from (paper 3.2).
struct SegmentationOptions {
  VitOptions vit;
  // Width after the first convolution, then after each doubling of the
  // resolution: log2(patch) + 1 numbers. kLinear reads none of them, kUnet the first
  // and their number (see UnetWidths).
  std::vector<int64_t> channels = {512, 256, 128, 64, 16};
  DecoderKind decoder = DecoderKind::kCup;
  NormLayer norm = NormLayer::kBatch;
};

// Whether the decoder sees the encoder at all.
inline bool HasEncoder(const SegmentationOptions& options) {
  return options.decoder != DecoderKind::kUnet;
}

// Whether training needs the batches of all ranks together in one pass.
inline bool HasBatchNorm(const SegmentationOptions& options) {
  return options.norm == NormLayer::kBatch && options.decoder != DecoderKind::kLinear;
}

// A ViT encoder with a decoder; one logit per pixel, positive = lesion.
//
// Registers `encoder` (a VitEncoder, unless the decoder is kUnet) and `seg`, whose
// names are the decoder's: for kCup `seg.conv_more.{conv,bn}.*`,
// `seg.stages.N.{conv1,conv2}.{conv,bn}.*`, `seg.head.*`.
class SegmentationNetworkImpl : public torch::nn::Module {
 public:
  // Throws c10::Error unless channels.size() - 1 == log2(vit.patch).
  explicit SegmentationNetworkImpl(const SegmentationOptions& options);

  // `images` [B,3,S,S] float -> logits [B,1,S,S]. `keep_scales`: the encoder's
  // stochastic depth (drop_path.h); undefined: none.
  torch::Tensor forward(const torch::Tensor& images, const torch::Tensor& keep_scales = {});

  // Batch normalisation over the batches of all ranks while training; an empty
  // function (the default): over this rank's. `all_reduce_sum` must stay usable
  // as long as forward and backward are called.
  void set_batch_reduction(const AllReduceSum& all_reduce_sum);

  // Keeps the encoder as it is: its parameters need no gradient from now on, and no
  // graph is made through it.
  void FreezeEncoder();

  // Null where there is none.
  VitEncoder encoder() const { return encoder_; }
  SegmentationDecoder decoder() const { return decoder_; }
  const SegmentationOptions& options() const { return options_; }

  // Parameters and buffers under their exported names, sharing storage with the
  // module: the encoder's without a prefix (timm; empty where there is no encoder),
  // the decoder's with `seg.`.
  std::vector<std::pair<std::string, torch::Tensor>> encoder_state() const;
  std::vector<std::pair<std::string, torch::Tensor>> segmentation_state() const;

 private:
  DecoderInput Encode(const torch::Tensor& images, const torch::Tensor& keep_scales);

  SegmentationOptions options_;
  VitEncoder encoder_{nullptr};
  SegmentationDecoder decoder_;
  std::vector<int64_t> tapped_blocks_;
  bool is_encoder_frozen_ = false;
};
TORCH_MODULE(SegmentationNetwork);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_SEGMENTATION_NETWORK_H_
