#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <map>
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

TEST(VitEncoder, HasTheParameterCountsOfItsParts) {
  const VitEncoder encoder(VitOptions{});
  int64_t embedding = 0, block = 0;
  for (const auto& item : encoder->named_parameters()) {
    if (item.key().starts_with("patch_embed.")) embedding += item.value().numel();
    if (item.key().starts_with("blocks.7.")) block += item.value().numel();
  }
  EXPECT_EQ(embedding, 295296);
  EXPECT_EQ(block, 1774464);
  EXPECT_FALSE(encoder->named_buffers()["pos_embed"].requires_grad());
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

// Scales as stochastic depth would give them: 1 everywhere changes nothing, 0
// everywhere leaves the tokens as they were embedded.
TEST(VitEncoder, KeepScalesSwitchBranchesOfASample) {
  VitEncoder encoder = TinyEncoder();
  torch::manual_seed(5);
  const torch::Tensor images = torch::randn({2, 3, 32, 32});
  const torch::Tensor plain = encoder->forward(images);
  torch::Tensor scales = torch::ones({2, 2, 2});
  EXPECT_TRUE(torch::equal(encoder->forward(images, scales), plain));

  scales[1].zero_();
  const torch::Tensor dropped = encoder->forward(images, scales);
  EXPECT_TRUE(torch::allclose(dropped[0], plain[0]));
  const torch::Tensor embedded = encoder->embed(images)[1];
  EXPECT_TRUE(torch::allclose(dropped[1].slice(0, 1),
                              torch::layer_norm(embedded, {16}, {}, {}, 1e-6), 1e-4, 1e-5));
  EXPECT_THROW(encoder->forward(images, torch::ones({2, 3, 2})), c10::Error);
}

// Training mode and torch's generator change nothing: a teacher can never drop.
TEST(VitEncoder, DrawsNoRandomNumbers) {
  VitOptions options = TinyVit();
  options.drop_path = 0.9;
  VitEncoder encoder(options);
  InitializeMae(encoder, MakeGenerator(3));
  const torch::Tensor images = torch::ones({2, 3, 32, 32});
  encoder->train();
  const torch::Tensor first = encoder->forward(images);
  EXPECT_TRUE(torch::equal(encoder->forward(images), first));
  encoder->eval();
  EXPECT_TRUE(torch::equal(encoder->forward(images), first));
}

TEST(VitEncoder, MaskTokensTakeThePlaceOfPatches) {
  VitEncoder encoder = TinyEncoder();
  torch::manual_seed(5);
  const torch::Tensor images = torch::randn({2, 3, 32, 32});
  const torch::Tensor ids = torch::tensor({{0, 5}, {3, 15}});
  const torch::Tensor token = torch::randn({1, 1, 16});
  const torch::Tensor output = encoder->forward_masked(images, ids, token);
  ASSERT_EQ(output.sizes(), (std::vector<int64_t>{2, 17, 16}));

  // The pixels of masked patches do not count, those of others do.
  torch::Tensor changed = images.clone();
  changed[0].slice(1, 0, 8).slice(2, 0, 8).fill_(7);
  EXPECT_TRUE(torch::equal(encoder->forward_masked(changed, ids, token), output));
  changed[0].slice(1, 0, 8).slice(2, 8, 16).fill_(7);
  EXPECT_FALSE(torch::allclose(encoder->forward_masked(changed, ids, token), output));
  // Nothing masked is the full forward.
  EXPECT_TRUE(
      torch::allclose(encoder->forward_masked(images, torch::empty({2, 0}, torch::kInt64), token),
                      encoder->forward(images)));
}

// With the token that a picture projects to, masking is drawing that picture over the patch.
TEST(VitEncoder, MaskTokensGetThePositionsOfThePatchesTheyHide) {
  VitEncoder encoder = TinyEncoder();
  torch::NoGradGuard no_grad;
  torch::manual_seed(5);
  const torch::Tensor images = torch::randn({2, 3, 32, 32});
  const torch::Tensor picture = torch::randn({3, 8, 8});
  const auto parameters = encoder->named_parameters();
  const torch::Tensor token =
      torch::conv2d(picture.unsqueeze(0), parameters["patch_embed.proj.weight"],
                    parameters["patch_embed.proj.bias"])
          .view({1, 1, 16});
  const torch::Tensor ids = torch::tensor({{0, 5}, {3, 15}});
  torch::Tensor drawn = images.clone();
  for (int64_t image = 0; image < 2; ++image) {
    for (int64_t i = 0; i < 2; ++i) {
      const auto id = ids[image][i].item<int64_t>();
      drawn[image].narrow(1, id / 4 * 8, 8).narrow(2, id % 4 * 8, 8).copy_(picture);
    }
  }
  EXPECT_TRUE(torch::allclose(encoder->forward_masked(images, ids, token), encoder->forward(drawn),
                              1e-4, 1e-5));
}

TEST(VitEncoder, AttentionIsTheClassTokensInTheLastBlock) {
  VitEncoder encoder = TinyEncoder();
  torch::manual_seed(5);
  const torch::Tensor images = torch::randn({2, 3, 32, 32});
  const auto [tokens, attention] = encoder->forward_attended(images);
  EXPECT_TRUE(torch::equal(tokens, encoder->forward(images)));
  ASSERT_EQ(attention.sizes(), (std::vector<int64_t>{2, 16}));
  // A distribution over the class token itself and the patches.
  EXPECT_TRUE((attention > 0).all().item<bool>());
  EXPECT_TRUE((attention.sum(1) < 1).all().item<bool>());

  // With equal keys every token gets the same share.
  torch::NoGradGuard no_grad;
  encoder->named_parameters()["blocks.1.attn.qkv.weight"].zero_();
  const torch::Tensor uniform = encoder->forward_attended(images).attention;
  EXPECT_TRUE(torch::allclose(uniform, torch::full({2, 16}, 1.0 / 17)));
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
  std::map<std::string, int64_t> parts;
  for (const auto& item : decoder->named_parameters()) {
    parts[item.key().substr(0, item.key().find('.'))] += item.value().numel();
  }
  EXPECT_EQ(parts["decoder_embed"], 147840);
  EXPECT_EQ(parts["mask_token"], 384);
  EXPECT_EQ(parts["decoder_blocks"], 3548928);
  EXPECT_EQ(parts["decoder_norm"], 768);
  EXPECT_EQ(parts["decoder_pred"], 295680);
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
  EXPECT_EQ(decoder->predict(decoder->decode(latent, ids)).sizes(),
            (std::vector<int64_t>{2, 4, 48}));
}

// With branches of weight 0 a block is the identity, so what the decoder gives for a
// patch depends on that patch's token alone, or on the mask token.
TEST(MaeDecoder, UnshuffleWithIdentityBlocksKeepsEveryTokenAtItsPlace) {
  MaeDecoder decoder(
      MaeDecoderOptions{.grid = 2, .patch = 4, .encoder_dim = 8, .dim = 8, .depth = 2, .heads = 2});
  torch::NoGradGuard no_grad;
  InitializeMae(decoder, MakeGenerator(1));
  auto parameters = decoder->named_parameters();
  for (const char* block : {"0", "1"}) {
    parameters["decoder_blocks." + std::string(block) + ".attn.proj.weight"].zero_();
    parameters["decoder_blocks." + std::string(block) + ".mlp.fc2.weight"].zero_();
  }
  parameters["decoder_embed.weight"].copy_(torch::eye(8));
  torch::manual_seed(3);
  const torch::Tensor latent = torch::randn({1, 3, 8});
  const torch::Tensor ids = torch::tensor({{3, 0}});
  const torch::Tensor decoded = decoder->decode(latent, ids)[0];
  const torch::Tensor positions = SinCosPositions(2, 8)[0];
  const auto expect = [&](int patch, const torch::Tensor& token) {
    const torch::Tensor sum = token + positions[1 + patch];
    EXPECT_TRUE(
        torch::allclose(decoded[patch], torch::layer_norm(sum, {8}, {}, {}, 1e-6), 1e-4, 1e-5))
        << patch;
  };
  expect(3, latent[0][1]);
  expect(0, latent[0][2]);
  expect(1, parameters["mask_token"][0][0]);
  expect(2, parameters["mask_token"][0][0]);
}

TEST(ProjectionHead, HasTheParameterCountsOfDino) {
  const ProjectionHead large(ProjectionHeadOptions{});
  EXPECT_EQ(CountParameters(*large), 22286592);
  EXPECT_EQ(CountParameters(*large, /*trainable_only=*/false), 22352128);
  EXPECT_EQ(CountParameters(*ProjectionHead(ProjectionHeadOptions{.norm_last_layer = false})),
            22352128);
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
  EXPECT_TRUE(torch::equal(parameters["blocks.3.norm2.weight"], torch::ones({384})));
  expect_bound("blocks.0.attn.qkv.weight", 0.0625);
  expect_bound("blocks.0.attn.proj.weight", 0.08839);
  expect_bound("blocks.11.mlp.fc1.weight", 0.05591);
  expect_bound("patch_embed.proj.weight", 0.07217);
  expect_bound("patch_embed.proj.bias", 0.03609);
  EXPECT_NEAR(parameters["cls_token"].std().item<double>(), 0.02, 0.004);
  EXPECT_TRUE(torch::equal(parameters["norm.weight"], torch::ones({384})));
  EXPECT_TRUE(torch::equal(parameters["blocks.3.attn.qkv.bias"], torch::zeros({1152})));
}

TEST(Initialization, DecoderKeepsTheBoundOfXavierOnItsPrediction) {
  MaeDecoder decoder(MaeDecoderOptions{});
  InitializeMae(decoder, MakeGenerator(7));
  const auto parameters = decoder->named_parameters();
  const double largest = parameters["decoder_pred.weight"].abs().max().item<double>();
  EXPECT_LE(largest, 0.07217);
  EXPECT_GT(largest, 0.99 * 0.07217);
  EXPECT_NEAR(parameters["mask_token"].std().item<double>(), 0.02, 0.004);
}

TEST(Initialization, DinoDrawsNormalsAndThePatchConvolutionAsTorch) {
  VitEncoder encoder(VitOptions{.learned_pos = true});
  InitializeDino(encoder, MakeGenerator(7));
  const auto parameters = encoder->named_parameters();
  EXPECT_NEAR(parameters["blocks.0.attn.qkv.weight"].std().item<double>(), 0.02, 2e-4);
  EXPECT_NEAR(parameters["pos_embed"].std().item<double>(), 0.02, 2e-4);
  const double largest = parameters["patch_embed.proj.weight"].abs().max().item<double>();
  EXPECT_LE(largest, 0.03609);
  EXPECT_GT(largest, 0.99 * 0.03608);
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
