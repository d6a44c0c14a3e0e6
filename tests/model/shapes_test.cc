#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

#include "worker/model/initialization.h"
#include "worker/model/mae_decoder.h"
#include "worker/model/projection_head.h"
#include "worker/model/segmentation_network.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::model {
namespace {

using Sizes = std::vector<int64_t>;

// Two views of one image at the paper's size, 64 of 256 patches hidden.
TEST(PaperShapesTest, OfOneStepOfPretraining) {
  torch::NoGradGuard no_grad;
  torch::Generator generator = MakeGenerator(1);
  VitEncoder encoder(VitOptions{});
  MaeDecoder decoder(MaeDecoderOptions{});
  ProjectionHead head(ProjectionHeadOptions{.out = 4096});
  InitializeMae(encoder, generator);
  InitializeMae(decoder, generator);
  InitializeHead(head, generator);
  const torch::Tensor views = torch::zeros({2, 3, 256, 256});
  const torch::Tensor visible = torch::arange(192).expand({2, -1});

  const torch::Tensor latent = encoder->forward_visible(views, visible);

  EXPECT_EQ(latent.sizes(), (Sizes{2, 193, 384}));
  EXPECT_EQ(encoder->forward(views).sizes(), (Sizes{2, 257, 384}));
  EXPECT_EQ(decoder->predict(decoder->decode(latent, visible)).sizes(), (Sizes{2, 256, 768}));
  EXPECT_EQ(head->forward(latent.select(1, 0)).sizes(), (Sizes{2, 4096}));
}

// 16 x 16 tokens, doubled four times.
TEST(PaperShapesTest, TheSegmentationNetworkGivesOneLogitAPixelOf256) {
  torch::NoGradGuard no_grad;
  SegmentationNetwork network(SegmentationOptions{});
  InitializeSegmentation(network, MakeGenerator(1));
  network->eval();

  EXPECT_EQ(network->forward(torch::zeros({1, 3, 256, 256})).sizes(), (Sizes{1, 1, 256, 256}));
}

}  // namespace
}  // namespace g2ll::model
