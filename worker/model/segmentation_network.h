#ifndef WORKER_MODEL_SEGMENTATION_NETWORK_H_
#define WORKER_MODEL_SEGMENTATION_NETWORK_H_

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "worker/model/global_batch_norm.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::model {

// Shape of the segmentation model (paper 3.2).
struct SegmentationOptions {
  VitOptions vit;
  // Width after the first convolution, then after each doubling of the
  // resolution: log2(patch) + 1 numbers.
  std::vector<int64_t> channels = {512, 256, 128, 64, 16};
};

// 3x3 convolution without bias, batch normalisation, ReLU.
class ConvBlockImpl : public torch::nn::Module {
 public:
  ConvBlockImpl(int64_t in_channels, int64_t out_channels);
  // [B,Cin,H,W] -> [B,Cout,H,W].
  torch::Tensor forward(const torch::Tensor& input);
  GlobalBatchNorm batch_norm() const { return bn_; }

 private:
  torch::nn::Conv2d conv_{nullptr};
  GlobalBatchNorm bn_{nullptr};
};
TORCH_MODULE(ConvBlock);

// Doubles the resolution (bilinear, corners aligned), then two ConvBlocks.
class UpStageImpl : public torch::nn::Module {
 public:
  UpStageImpl(int64_t in_channels, int64_t out_channels);
  // [B,Cin,H,W] -> [B,Cout,2H,2W].
  torch::Tensor forward(const torch::Tensor& input);
  ConvBlock conv1() const { return conv1_; }
  ConvBlock conv2() const { return conv2_; }

 private:
  ConvBlock conv1_{nullptr};
  ConvBlock conv2_{nullptr};
};
TORCH_MODULE(UpStage);

// Convolutional decoder from the encoder's patch map to one logit per pixel.
class SegmentationDecoderImpl : public torch::nn::Module {
 public:
  SegmentationDecoderImpl(int64_t dim, const std::vector<int64_t>& channels);
  // [B,D,g,g] -> [B,1,S,S].
  torch::Tensor forward(const torch::Tensor& map);
  // Every batch normalisation, in forward order.
  std::vector<GlobalBatchNorm> batch_norms() const;

 private:
  ConvBlock conv_more_{nullptr};
  torch::nn::ModuleList stages_;
  torch::nn::Conv2d head_{nullptr};
};
TORCH_MODULE(SegmentationDecoder);

// ViT encoder with a convolutional decoder; one logit per pixel, positive = lesion.
//
// Registers `encoder` (a VitEncoder) and `seg`: `seg.conv_more.{conv,bn}.*`,
// `seg.stages.N.{conv1,conv2}.{conv,bn}.*`, `seg.head.*`.
class SegmentationNetworkImpl : public torch::nn::Module {
 public:
  // Throws c10::Error unless channels.size() - 1 == log2(vit.patch).
  explicit SegmentationNetworkImpl(const SegmentationOptions& options);

  // `images` [B,3,S,S] float -> logits [B,1,S,S].
  torch::Tensor forward(const torch::Tensor& images);

  // Batch normalisation over the batches of all ranks while training; an empty
  // function (the default): over this rank's. `all_reduce_sum` must stay usable
  // as long as forward and backward are called.
  void set_batch_reduction(AllReduceSum all_reduce_sum);

  VitEncoder encoder() const { return encoder_; }
  SegmentationDecoder decoder() const { return decoder_; }
  const SegmentationOptions& options() const { return options_; }

  // Parameters and buffers under their exported names, sharing storage with the
  // module: the encoder's without a prefix (timm), the decoder's with `seg.`.
  std::vector<std::pair<std::string, torch::Tensor>> encoder_state() const;
  std::vector<std::pair<std::string, torch::Tensor>> segmentation_state() const;

 private:
  SegmentationOptions options_;
  VitEncoder encoder_{nullptr};
  SegmentationDecoder decoder_{nullptr};
};
TORCH_MODULE(SegmentationNetwork);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_SEGMENTATION_NETWORK_H_
