#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/model/initialization.h"
#include "worker/model/multi_level_decoder.h"
#include "worker/model/segmentation_network.h"
#include "worker/model/unet.h"

namespace g2ll::model {
namespace {

constexpr DecoderKind kDecoders[] = {DecoderKind::kCup, DecoderKind::kCupMulti,
                                     DecoderKind::kLinear, DecoderKind::kUnet};
constexpr NormLayer kNorms[] = {NormLayer::kBatch, NormLayer::kGroup};

SegmentationOptions Tiny(DecoderKind decoder, NormLayer norm = NormLayer::kBatch) {
  SegmentationOptions options{
      .vit = {.image_size = 32, .patch = 8, .dim = 16, .depth = 4, .heads = 2},
      .channels = {32, 16, 16, 8}};
  options.decoder = decoder;
  options.norm = norm;
  return options;
}

SegmentationNetwork Initialized(const SegmentationOptions& options) {
  SegmentationNetwork network(options);
  InitializeSegmentation(network, MakeGenerator(5));
  return network;
}

int64_t Count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& parameter : module.parameters()) count += parameter.numel();
  return count;
}

// Weights under each first part of the decoder's names, as `stages.0`.
std::map<std::string, int64_t> CountsByBlock(const torch::nn::Module& decoder) {
  std::map<std::string, int64_t> counts;
  for (const auto& item : decoder.named_parameters()) {
    std::string name = item.key().substr(0, item.key().find('.'));
    if (name == "stages") name = item.key().substr(0, item.key().find('.', 7));
    counts[name] += item.value().numel();
  }
  return counts;
}

TEST(CupDecoder, HasTheBlocksOfTheMethod) {
  const SegmentationNetwork network(SegmentationOptions{});
  const std::map<std::string, int64_t> expected = {{"conv_more", 1770496}, {"stages.0", 1770496},
                                                   {"stages.1", 442880},   {"stages.2", 110848},
                                                   {"stages.3", 11584},    {"head", 145}};
  EXPECT_EQ(CountsByBlock(*network->decoder()), expected);
}

TEST(LinearDecoder, IsOneLogitForEachPatch) {
  SegmentationOptions options;
  options.decoder = DecoderKind::kLinear;
  const SegmentationNetwork network(options);
  EXPECT_EQ(Count(*network->decoder()), 385);
}

TEST(LinearDecoder, PutsAPatchsLogitAtItsMiddle) {
  const auto decoder = std::make_shared<LinearDecoderImpl>(1, 4);
  torch::NoGradGuard no_grad;
  for (torch::Tensor& parameter : decoder->parameters()) parameter.fill_(1);
  DecoderInput input;
  input.map = torch::tensor({{0.0f, 8.0f}, {0.0f, 8.0f}}).reshape({1, 1, 2, 2});
  const torch::Tensor row = decoder->forward(input)[0][0][0];
  // Middles of the patches at 1.5 and 5.5: 1 and 9 there, linear between.
  EXPECT_TRUE(
      torch::allclose(row, torch::tensor({1.0f, 1.0f, 2.0f, 4.0f, 6.0f, 8.0f, 9.0f, 9.0f})));
}

// Method section 7, upsample: the first row of [[0,1],[2,3]] doubled both ways.
TEST(SegmentationDecoders, DoubleWithAlignedCornersAndTheProbeWithout) {
  torch::NoGradGuard no_grad;
  const torch::Tensor square = torch::tensor({{0.0f, 1.0f}, {2.0f, 3.0f}}).reshape({1, 1, 2, 2});
  EXPECT_TRUE(torch::allclose(DoubleResolution(square)[0][0][0],
                              torch::tensor({0.0f, 1.0f / 3, 2.0f / 3, 1.0f})));
  const auto probe = std::make_shared<LinearDecoderImpl>(1, 2);
  probe->named_parameters()["head.weight"].fill_(1);
  probe->named_parameters()["head.bias"].fill_(0);
  DecoderInput input;
  input.map = square;
  EXPECT_TRUE(
      torch::allclose(probe->forward(input)[0][0][0], torch::tensor({0.0f, .25f, .75f, 1.0f})));
}

TEST(Unet, HasTheWidthsAndWeightsOfTheReference) {
  EXPECT_EQ(UnetWidths({512, 256, 128, 64, 16}), (std::vector<int64_t>{1024, 512, 256, 128, 64}));
  SegmentationOptions options;
  options.decoder = DecoderKind::kUnet;
  const SegmentationNetwork network(options);
  EXPECT_EQ(Count(*network), 31037633);
  EXPECT_TRUE(network->encoder().is_empty());
  EXPECT_TRUE(network->encoder_state().empty());
}

TEST(Unet, RefusesWidthsThatCannotBeHalved) { EXPECT_THROW(UnetWidths({6, 4, 4, 4}), c10::Error); }

TEST(MultiLevelDecoder, TapsEvenlySpacedBlocks) {
  EXPECT_EQ(TappedBlocks(12, 4), (std::vector<int64_t>{3, 6, 9}));
  EXPECT_EQ(TappedBlocks(4, 3), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(TappedBlocks(1, 3), (std::vector<int64_t>{1, 1}));
  EXPECT_TRUE(TappedBlocks(12, 1).empty());
}

TEST(MultiLevelDecoder, HasTheWidthsOfTheMethod) {
  SegmentationOptions options;
  options.decoder = DecoderKind::kCupMulti;
  const SegmentationNetwork network(options);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& item : network->decoder()->named_parameters()) {
    shapes[item.key()] = item.value().sizes().vec();
  }
  EXPECT_EQ(shapes.at("taps.0.proj.weight"), (std::vector<int64_t>{256, 384, 1, 1}));
  EXPECT_EQ(shapes.at("taps.2.proj.weight"), (std::vector<int64_t>{64, 384, 1, 1}));
  EXPECT_EQ(shapes.at("taps.1.norm.weight"), (std::vector<int64_t>{384}));
  EXPECT_EQ(shapes.at("stem.0.conv.weight"), (std::vector<int64_t>{16, 3, 3, 3}));
  EXPECT_EQ(shapes.at("stem.1.conv.weight"), (std::vector<int64_t>{32, 16, 3, 3}));
  // Doubled features, skip, stem at the last two resolutions.
  EXPECT_EQ(shapes.at("stages.0.conv1.conv.weight")[1], 512 + 256);
  EXPECT_EQ(shapes.at("stages.1.conv1.conv.weight")[1], 256 + 128);
  EXPECT_EQ(shapes.at("stages.2.conv1.conv.weight")[1], 128 + 64 + 32);
  EXPECT_EQ(shapes.at("stages.3.conv1.conv.weight")[1], 64 + 16);
}

TEST(MultiLevelDecoder, TapsAreTheTokensThatLeaveTheBlocks) {
  const SegmentationOptions options = Tiny(DecoderKind::kCupMulti);
  SegmentationNetwork network = Initialized(options);
  const torch::Tensor images = torch::randn({2, 3, 32, 32});
  const auto all = network->encoder()->forward_tapped(images, {1, 2, 3, 4});
  const auto some = network->encoder()->forward_tapped(images, {1, 3});
  EXPECT_TRUE(torch::equal(some.inner[0], all.inner[0]));
  EXPECT_TRUE(torch::equal(some.inner[1], all.inner[2]));
  EXPECT_TRUE(torch::equal(some.tokens, network->encoder()->forward(images)));
  // The last block's output is what the final norm gets.
  const torch::Tensor normed = torch::layer_norm(all.inner[3], {16}, {}, {}, 1e-6);
  EXPECT_TRUE(torch::allclose(normed, all.tokens, 1e-5, 1e-5));
}

TEST(SegmentationDecoders, GiveOneLogitAPixelAtEveryPatchSize) {
  torch::NoGradGuard no_grad;
  for (const DecoderKind decoder : kDecoders) {
    for (const int patch : {2, 4, 16}) {
      SegmentationOptions options = Tiny(decoder);
      options.vit.patch = patch;
      options.channels.clear();
      for (int width = 1; width <= patch; width *= 2) options.channels.push_back(16);
      SegmentationNetwork network = Initialized(options);
      EXPECT_EQ(network->forward(torch::zeros({2, 3, 32, 32})).sizes(),
                (std::vector<int64_t>{2, 1, 32, 32}))
          << NameOf(decoder) << " " << patch;
    }
  }
}

TEST(SegmentationDecoders, EveryWeightGetsAGradient) {
  for (const DecoderKind decoder : kDecoders) {
    for (const NormLayer norm : kNorms) {
      SegmentationNetwork network = Initialized(Tiny(decoder, norm));
      torch::manual_seed(2);
      const torch::Tensor images = torch::randn({3, 3, 32, 32});
      (network->forward(images) * torch::randn({3, 1, 32, 32})).sum().backward();
      for (const auto& item : network->named_parameters()) {
        ASSERT_TRUE(item.value().grad().defined()) << NameOf(decoder) << " " << item.key();
        EXPECT_GT(item.value().grad().abs().max().item<float>(), 0)
            << NameOf(decoder) << " " << NameOf(norm) << " " << item.key();
      }
    }
  }
}

TEST(SegmentationDecoders, AFrozenEncoderGetsNoGradientAndTheDecoderDoes) {
  for (const DecoderKind decoder : {DecoderKind::kLinear, DecoderKind::kCupMulti}) {
    SegmentationNetwork network = Initialized(Tiny(decoder));
    network->FreezeEncoder();
    network->forward(torch::randn({2, 3, 32, 32})).sum().backward();
    for (const auto& item : network->encoder()->named_parameters()) {
      EXPECT_FALSE(item.value().grad().defined()) << item.key();
    }
    for (const auto& item : network->decoder()->named_parameters()) {
      EXPECT_TRUE(item.value().grad().defined()) << item.key();
    }
  }
}

TEST(GroupNorm, AnImageDoesNotSeeTheOthersOfItsBatch) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(3);
  const torch::Tensor images = torch::randn({4, 3, 32, 32});
  for (const DecoderKind decoder :
       {DecoderKind::kCup, DecoderKind::kCupMulti, DecoderKind::kUnet}) {
    SegmentationNetwork network = Initialized(Tiny(decoder, NormLayer::kGroup));
    const torch::Tensor alone = network->forward(images.slice(0, 1, 2));
    const torch::Tensor together = network->forward(images).slice(0, 1, 2);
    EXPECT_TRUE(torch::allclose(alone, together, 1e-4, 1e-5)) << NameOf(decoder);
    EXPECT_TRUE(network->named_buffers().size() <= 1) << "no statistics are kept";
  }
}

TEST(GroupNorm, IsNormalOverGroupsOfSixteenChannels) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(4);
  ConvBlock block(3, 32, NormLayer::kGroup);
  const torch::Tensor input = torch::randn({2, 3, 8, 8});
  const torch::Tensor features =
      torch::conv2d(input, block->named_parameters()["conv.weight"], {}, 1, 1);
  const torch::Tensor groups = features.reshape({2, 2, -1});
  const torch::Tensor normed =
      (groups - groups.mean(2, true)) / (groups.var(2, /*unbiased=*/false, true) + 1e-5).sqrt();
  EXPECT_TRUE(torch::allclose(block->forward(input), torch::relu(normed).reshape({2, 32, 8, 8}),
                              1e-4, 1e-5));
}

TEST(SegmentationDecoders, NamesGoBothWays) {
  for (const DecoderKind decoder : kDecoders) EXPECT_EQ(DecoderNamed(NameOf(decoder)), decoder);
  for (const NormLayer norm : kNorms) EXPECT_EQ(NormLayerNamed(NameOf(norm)), norm);
  EXPECT_FALSE(DecoderNamed("cups").has_value());
  EXPECT_FALSE(NormLayerNamed("").has_value());
}

}  // namespace
}  // namespace g2ll::model
