#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "worker/model/initialization.h"
#include "worker/model/mae_decoder.h"
#include "worker/model/position_table.h"
#include "worker/model/projection_head.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::model {
namespace {

int64_t CountParameters(const torch::nn::Module& module, bool trainable_only = true) {
  int64_t count = 0;
  for (const auto& parameter : module.parameters()) {
    if (parameter.requires_grad() || !trainable_only) count += parameter.numel();
  }
  return count;
}

int64_t CountBuffers(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& buffer : module.buffers()) count += buffer.numel();
  return count;
}

VitOptions TinyVit() { return {.image_size = 32, .patch = 8, .dim = 16, .depth = 2, .heads = 2}; }

VitEncoder TinyEncoder() {
  VitEncoder encoder(TinyVit());
  InitializeMae(encoder, MakeGenerator(3));
  return encoder;
}

TEST(VitEncoder, HasTheParameterCountsOfVitSmall) {
  const VitEncoder encoder(VitOptions{});
  EXPECT_EQ(CountParameters(*encoder), 21590016);
  EXPECT_EQ(CountBuffers(*encoder), 98688);
  EXPECT_EQ(CountParameters(*VitEncoder(VitOptions{.learned_pos = true})), 21688704);
  EXPECT_EQ(CountParameters(*VitEncoder(VitOptions{.image_size = 224, .learned_pos = true})),
            21665664);
}

TEST(VitEncoder, HasTimmNames) {
  const VitEncoder encoder(TinyVit());
  std::vector<std::string> names;
  for (const auto& item : encoder->named_parameters()) names.push_back(item.key());
  const std::vector<std::string> block = {"norm1.weight",  "norm1.bias",       "attn.qkv.weight",
                                          "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias",
                                          "norm2.weight",  "norm2.bias",       "mlp.fc1.weight",
                                          "mlp.fc1.bias",  "mlp.fc2.weight",   "mlp.fc2.bias"};
  std::vector<std::string> expected = {"cls_token", "patch_embed.proj.weight",
                                       "patch_embed.proj.bias"};
  for (const char* prefix : {"blocks.0.", "blocks.1."}) {
    for (const std::string& name : block) expected.push_back(prefix + name);
  }
  expected.insert(expected.end(), {"norm.weight", "norm.bias"});
  EXPECT_EQ(names, expected);
  ASSERT_EQ(encoder->named_buffers().size(), 1);
  EXPECT_EQ(encoder->named_buffers()[0].key(), "pos_embed");
}

TEST(VitEncoder, RefusesAnImageThatIsNotMadeOfPatches) {
  EXPECT_THROW(VitEncoder(VitOptions{.image_size = 250}), c10::Error);
  EXPECT_THROW(VitEncoder(VitOptions{.heads = 7}), c10::Error);
  EXPECT_THROW(TinyEncoder()->forward(torch::zeros({1, 3, 64, 64})), c10::Error);
}

TEST(VitEncoder, AllPatchesVisibleIsTheFullForward) {
  VitEncoder encoder = TinyEncoder();
  encoder->eval();
  torch::manual_seed(1);
  const torch::Tensor images = torch::randn({2, 3, 32, 32});
  const torch::Tensor ids = torch::arange(16).expand({2, 16});
  EXPECT_TRUE(torch::allclose(encoder->forward(images), encoder->forward_visible(images, ids)));
}

TEST(VitEncoder, TokensFollowTheOrderOfTheVisibleIds) {
  VitEncoder encoder = TinyEncoder();
  encoder->eval();
  torch::manual_seed(1);
  const torch::Tensor images = torch::randn({1, 3, 32, 32});
  const torch::Tensor forward = torch::tensor({{2, 7, 11}});
  const torch::Tensor shuffled = torch::tensor({{11, 2, 7}});
  const torch::Tensor a = encoder->forward_visible(images, forward);
  const torch::Tensor b = encoder->forward_visible(images, shuffled);
  ASSERT_EQ(a.sizes(), (std::vector<int64_t>{1, 4, 16}));
  EXPECT_TRUE(torch::allclose(a.index_select(1, torch::tensor({0, 3, 1, 2})), b, 1e-5, 1e-6));
}

TEST(VitEncoder, DropPathOnlyActsInTraining) {
  VitOptions options = TinyVit();
  options.drop_path = 0.5;
  VitEncoder encoder(options);
  InitializeMae(encoder, MakeGenerator(3));
  const torch::Tensor images = torch::ones({4, 3, 32, 32});
  encoder->eval();
  EXPECT_TRUE(torch::equal(encoder->forward(images), encoder->forward(images)));
  EXPECT_TRUE(torch::allclose(encoder->forward(images), [&] {
    VitEncoder plain = TinyEncoder();
    return plain->forward(images);
  }()));
  encoder->train();
  torch::manual_seed(5);
  const torch::Tensor dropped = encoder->forward(torch::ones({64, 3, 32, 32}));
  EXPECT_FALSE(torch::allclose(dropped[0], dropped[1]) && torch::allclose(dropped[0], dropped[2]) &&
               torch::allclose(dropped[0], dropped[3]) && torch::allclose(dropped[0], dropped[4]));
}

TEST(SinCosPositions, MatchesTheOracle) {
  const torch::Tensor table = SinCosPositions(16, 384);
  ASSERT_EQ(table.sizes(), (std::vector<int64_t>{1, 257, 384}));
  EXPECT_TRUE(torch::equal(table[0][0], torch::zeros({384})));
  const torch::Tensor patches = table[0].slice(0, 1);
  const auto at = [&](int row, int channel) { return patches[row][channel].item<float>(); };
  EXPECT_NEAR(patches[0].sum().item<float>(), 192, 1e-4);
  EXPECT_TRUE(torch::allclose(patches.norm(2, 1), torch::full({256}, std::sqrt(192.0f)), 1e-6));
  EXPECT_NEAR(at(1, 0), 0.8414710, 1e-6);  // column 1, row 0
  EXPECT_NEAR(at(1, 96), 0.5403023, 1e-6);
  EXPECT_EQ(at(1, 192), 0);
  EXPECT_EQ(at(1, 288), 1);
  EXPECT_EQ(at(16, 0), 0);  // column 0, row 1
  EXPECT_EQ(at(16, 96), 1);
  EXPECT_NEAR(at(16, 192), 0.8414710, 1e-6);
  EXPECT_NEAR(at(16, 288), 0.5403023, 1e-6);
  EXPECT_NEAR(at(255, 0), 0.6502878, 1e-6);
  EXPECT_NEAR(patches.to(torch::kFloat64).sum().item<double>(), 44720.34, 0.01);
}

TEST(MaeDecoder, HasTheParameterCountsOfThePaper) {
  const MaeDecoder decoder(MaeDecoderOptions{});
  EXPECT_EQ(CountParameters(*decoder), 3993600);
  EXPECT_EQ(CountBuffers(*decoder), 98688);
  EXPECT_EQ(decoder->named_parameters()[0].key(), "mask_token");
  EXPECT_TRUE(decoder->named_parameters().contains("decoder_blocks.1.attn.qkv.bias"));
}

TEST(MaeDecoder, UnshufflePutsVisibleTokensAtTheirPlaces) {
  const MaeDecoderOptions options{
      .grid = 2, .patch = 4, .encoder_dim = 8, .dim = 8, .depth = 1, .heads = 2};
  MaeDecoder decoder(options);
  torch::NoGradGuard no_grad;
  auto parameters = decoder->named_parameters();
  parameters["decoder_embed.weight"].copy_(torch::eye(8));
  parameters["decoder_embed.bias"].zero_();
  parameters["mask_token"].fill_(-7);
  const torch::Tensor latent = torch::arange(2 * 3 * 8, torch::kFloat32).reshape({2, 3, 8});
  const torch::Tensor ids = torch::tensor({{3, 0}, {1, 2}});
  const torch::Tensor tokens = decoder->unshuffle(latent, ids) - SinCosPositions(2, 8);
  const torch::Tensor mask = torch::full({8}, -7.0f);
  EXPECT_TRUE(torch::allclose(tokens.select(1, 0), latent.select(1, 0)));
  EXPECT_TRUE(torch::allclose(tokens[0][1 + 3], latent[0][1]));
  EXPECT_TRUE(torch::allclose(tokens[0][1 + 0], latent[0][2]));
  EXPECT_TRUE(torch::allclose(tokens[0][1 + 1], mask));
  EXPECT_TRUE(torch::allclose(tokens[0][1 + 2], mask));
  EXPECT_TRUE(torch::allclose(tokens[1][1 + 1], latent[1][1]));
  EXPECT_TRUE(torch::allclose(tokens[1][1 + 2], latent[1][2]));
  EXPECT_EQ(decoder->forward(latent, ids).sizes(), (std::vector<int64_t>{2, 4, 48}));
}

TEST(ProjectionHead, HasTheParameterCountsOfDino) {
  const ProjectionHead large(ProjectionHeadOptions{});
  EXPECT_EQ(CountParameters(*large), 22286592);
  EXPECT_EQ(CountParameters(*large, /*trainable_only=*/false), 22352128);
  EXPECT_EQ(CountParameters(*ProjectionHead(ProjectionHeadOptions{.out = 8192})), 7606528);
  EXPECT_EQ(CountParameters(*ProjectionHead(ProjectionHeadOptions{.out = 4096})), 6557952);
}

TEST(ProjectionHead, WeightNormGivesRowsOfUnitLength) {
  WeightNormLinear layer(2, 2);
  torch::NoGradGuard no_grad;
  layer->named_parameters()["weight_v"].copy_(torch::tensor({{3.0f, 4.0f}, {0.0f, 2.0f}}));
  const torch::Tensor rows = layer->forward(torch::eye(2)).transpose(0, 1);
  EXPECT_TRUE(torch::allclose(rows, torch::tensor({{0.6f, 0.8f}, {0.0f, 1.0f}})));
}

TEST(ProjectionHead, LogitsAreCosinesAndWeightGIsFrozen) {
  ProjectionHead head(ProjectionHeadOptions{.in_dim = 8, .hidden = 16, .bottleneck = 4, .out = 32});
  InitializeHead(head, MakeGenerator(1));
  torch::manual_seed(2);
  const torch::Tensor logits = head->forward(10 * torch::randn({6, 8}));
  ASSERT_EQ(logits.sizes(), (std::vector<int64_t>{6, 32}));
  EXPECT_LE(logits.abs().max().item<float>(), 1 + 1e-6);
  logits.sum().backward();
  EXPECT_TRUE(head->named_parameters()["last_layer.weight_v"].grad().defined());
  EXPECT_FALSE(head->named_parameters()["last_layer.weight_g"].grad().defined());
}

TEST(Initialization, MaeKeepsTheBoundsOfXavier) {
  VitEncoder encoder(VitOptions{});
  InitializeMae(encoder, MakeGenerator(7));
  const auto parameters = encoder->named_parameters();
  const auto expect_bound = [&](const char* name, double bound) {
    const double largest = parameters[name].abs().max().item<double>();
    EXPECT_LE(largest, bound) << name;
    EXPECT_GT(largest, 0.99 * bound) << name;
  };
  expect_bound("blocks.0.attn.qkv.weight", 0.0625);
  expect_bound("blocks.0.attn.proj.weight", 0.08839);
  expect_bound("blocks.11.mlp.fc1.weight", 0.05591);
  expect_bound("patch_embed.proj.weight", 0.07217);
  expect_bound("patch_embed.proj.bias", 0.03609);
  EXPECT_NEAR(parameters["cls_token"].std().item<double>(), 0.02, 0.004);
  EXPECT_TRUE(torch::equal(parameters["norm.weight"], torch::ones({384})));
  EXPECT_TRUE(torch::equal(parameters["blocks.3.attn.qkv.bias"], torch::zeros({1152})));
}

TEST(Initialization, HeadFollowsDino) {
  ProjectionHead head(ProjectionHeadOptions{.out = 4096});
  InitializeHead(head, MakeGenerator(7));
  const auto parameters = head->named_parameters();
  EXPECT_NEAR(parameters["mlp.2.weight"].std().item<double>(), 0.02, 2e-4);
  const double largest = parameters["last_layer.weight_v"].abs().max().item<double>();
  EXPECT_LE(largest, 1.0 / 16);
  EXPECT_GT(largest, 0.99 / 16);
  EXPECT_TRUE(torch::equal(parameters["last_layer.weight_g"], torch::ones({4096, 1})));
}

TEST(Initialization, ASeedGivesTheSameBitsWhateverTheGlobalGenerator) {
  const auto draw = [](uint64_t seed) {
    VitEncoder encoder(TinyVit());
    InitializeMae(encoder, MakeGenerator(seed));
    return encoder->named_parameters()["blocks.1.mlp.fc1.weight"].clone();
  };
  torch::manual_seed(1);
  const torch::Tensor first = draw(11);
  torch::manual_seed(2);
  EXPECT_TRUE(torch::equal(first, draw(11)));
  EXPECT_FALSE(torch::equal(first, draw(12)));
}

}  // namespace
}  // namespace g2ll::model
