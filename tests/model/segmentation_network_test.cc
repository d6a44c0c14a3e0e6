#include "worker/model/segmentation_network.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <barrier>
#include <thread>
#include <vector>

#include "worker/model/initialization.h"

namespace g2ll::model {
namespace {

SegmentationOptions TinyOptions() {
  return {.vit = {.image_size = 16, .patch = 4, .dim = 8, .depth = 1, .heads = 2},
          .channels = {8, 6, 4}};
}

SegmentationNetwork TinyNetwork() {
  SegmentationNetwork network(TinyOptions());
  InitializeSegmentation(network, MakeGenerator(5));
  network->to(torch::kFloat64);
  return network;
}

int64_t Count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& parameter : module.parameters()) count += parameter.numel();
  return count;
}

// Sums over threads that stand for ranks, in the order of the ranks.
class ThreadReduction {
 public:
  explicit ThreadReduction(int ranks) : parts_(static_cast<size_t>(ranks)), barrier_(ranks) {}

  AllReduceSum ForRank(int rank) {
    return [this, rank](torch::Tensor& tensor) {
      parts_[static_cast<size_t>(rank)] = tensor.clone();
      barrier_.arrive_and_wait();
      torch::Tensor sum = torch::zeros_like(tensor);
      for (const torch::Tensor& part : parts_) sum += part;
      barrier_.arrive_and_wait();
      tensor.copy_(sum);
    };
  }

 private:
  std::vector<torch::Tensor> parts_;
  std::barrier<> barrier_;
};

TEST(SegmentationNetwork, HasTheParameterCountsOfTheMethod) {
  const SegmentationNetwork network(SegmentationOptions{});
  EXPECT_EQ(Count(*network), 25696465);
  EXPECT_EQ(Count(*network->decoder()), 4106449);
}

TEST(SegmentationNetwork, ExportsTheNamesOfTheEncoderAndOfSeg) {
  const SegmentationNetwork network(TinyOptions());
  std::vector<std::string> names;
  for (const auto& [name, tensor] : network->segmentation_state()) names.push_back(name);
  EXPECT_EQ(names.front(), "seg.conv_more.conv.weight");
  const auto has = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  EXPECT_TRUE(has("seg.stages.1.conv2.bn.running_var"));
  EXPECT_TRUE(has("seg.stages.0.conv1.conv.weight"));
  EXPECT_TRUE(has("seg.head.bias"));
  EXPECT_FALSE(has("seg.conv_more.conv.bias"));
  EXPECT_EQ(network->encoder_state().front().first, "cls_token");
  EXPECT_EQ(network->encoder_state().back().first, "pos_embed");
}

TEST(SegmentationNetwork, GivesOneLogitPerPixel) {
  SegmentationNetwork network = TinyNetwork();
  EXPECT_EQ(network->forward(torch::zeros({2, 3, 16, 16}, torch::kFloat64)).sizes(),
            (std::vector<int64_t>{2, 1, 16, 16}));
}

TEST(SegmentationNetwork, RefusesChannelsThatDoNotUndoThePatch) {
  SegmentationOptions options = TinyOptions();
  options.channels = {8, 4};
  EXPECT_THROW(SegmentationNetwork{options}, c10::Error);
}

TEST(SegmentationNetwork, DoublesWithAlignedCorners) {
  const torch::Tensor square = torch::tensor({{0.0f, 1.0f}, {2.0f, 3.0f}}).reshape({1, 1, 2, 2});
  const std::vector<int64_t> size = {4, 4};
  const torch::Tensor row = torch::upsample_bilinear2d(square, size, true)[0][0][0];
  EXPECT_TRUE(torch::allclose(row, torch::tensor({0.0f, 1.0f / 3, 2.0f / 3, 1.0f})));
}

struct BatchNormResult {
  torch::Tensor output;
  torch::Tensor input_gradient;
  torch::Tensor weight_gradient;
  torch::Tensor bias_gradient;
};

BatchNormResult RunBatchNorm(GlobalBatchNorm norm, const torch::Tensor& input,
                             const torch::Tensor& factor) {
  const torch::Tensor leaf = input.clone().requires_grad_();
  const torch::Tensor output = norm->forward(leaf);
  (output * factor).sum().backward();
  const auto parameters = norm->named_parameters();
  return {output.detach(), leaf.grad(), parameters["weight"].grad(), parameters["bias"].grad()};
}

GlobalBatchNorm DoubleBatchNorm() {
  GlobalBatchNorm norm(3);
  norm->to(torch::kFloat64);
  torch::NoGradGuard no_grad;
  norm->named_parameters()["weight"].copy_(torch::tensor({0.5, 1.5, -2.0}, torch::kFloat64));
  norm->named_parameters()["bias"].copy_(torch::tensor({0.1, 0.2, 0.3}, torch::kFloat64));
  return norm;
}

TEST(GlobalBatchNorm, TwoUnequalPartsEqualOneBatchWithGradients) {
  torch::manual_seed(8);
  const torch::Tensor input = 3 + 2 * torch::randn({6, 3, 4, 5}, torch::kFloat64);
  const torch::Tensor factor = torch::randn({6, 3, 4, 5}, torch::kFloat64);
  GlobalBatchNorm whole = DoubleBatchNorm();
  const BatchNormResult expected = RunBatchNorm(whole, input, factor);

  ThreadReduction reduction(2);
  std::vector<GlobalBatchNorm> norms = {DoubleBatchNorm(), DoubleBatchNorm()};
  std::vector<BatchNormResult> results(2);
  const int64_t starts[] = {0, 2, 6};
  {
    std::vector<std::jthread> ranks;
    for (int rank = 0; rank < 2; ++rank) {
      norms[rank]->set_reduction(reduction.ForRank(rank));
      ranks.emplace_back([&, rank] {
        results[rank] = RunBatchNorm(norms[rank], input.slice(0, starts[rank], starts[rank + 1]),
                                     factor.slice(0, starts[rank], starts[rank + 1]));
      });
    }
  }
  const auto joined = [&](auto member) {
    return torch::cat({results[0].*member, results[1].*member});
  };
  EXPECT_TRUE(torch::allclose(joined(&BatchNormResult::output), expected.output, 0, 1e-10));
  EXPECT_TRUE(
      torch::allclose(joined(&BatchNormResult::input_gradient), expected.input_gradient, 0, 1e-10));
  EXPECT_TRUE(torch::allclose(results[0].weight_gradient + results[1].weight_gradient,
                              expected.weight_gradient, 0, 1e-10));
  EXPECT_TRUE(torch::allclose(results[0].bias_gradient + results[1].bias_gradient,
                              expected.bias_gradient, 0, 1e-10));
  for (const char* name : {"running_mean", "running_var"}) {
    for (const GlobalBatchNorm& norm : norms) {
      EXPECT_TRUE(
          torch::allclose(norm->named_buffers()[name], whole->named_buffers()[name], 0, 1e-12))
          << name;
    }
  }
}

TEST(GlobalBatchNorm, GradientAgreesWithFiniteDifferences) {
  torch::manual_seed(9);
  GlobalBatchNorm norm = DoubleBatchNorm();
  norm->set_reduction([](torch::Tensor&) {});  // a group of one rank
  const torch::Tensor input = torch::randn({2, 3, 2, 2}, torch::kFloat64);
  const torch::Tensor factor = torch::randn({2, 3, 2, 2}, torch::kFloat64);
  const torch::Tensor gradient = RunBatchNorm(norm, input, factor).input_gradient;
  torch::NoGradGuard no_grad;
  const auto value = [&](const torch::Tensor& at) {
    return (norm->forward(at) * factor).sum().item<double>();
  };
  constexpr double kStep = 1e-6;
  for (int64_t i = 0; i < input.numel(); ++i) {
    torch::Tensor up = input.clone();
    torch::Tensor down = input.clone();
    up.view(-1)[i] += kStep;
    down.view(-1)[i] -= kStep;
    EXPECT_NEAR(gradient.reshape(-1)[i].item<double>(), (value(up) - value(down)) / (2 * kStep),
                1e-6);
  }
}

TEST(GlobalBatchNorm, EvaluationUsesRunningStatisticsWithoutTheGroup) {
  GlobalBatchNorm norm = DoubleBatchNorm();
  norm->set_reduction([](torch::Tensor&) { FAIL() << "evaluation must not communicate"; });
  norm->eval();
  const torch::Tensor input = torch::ones({1, 3, 1, 1}, torch::kFloat64);
  const torch::Tensor output = norm->forward(input).flatten();
  const double scale = 1 / std::sqrt(1 + 1e-5);
  EXPECT_TRUE(torch::allclose(
      output,
      torch::tensor({0.1 + 0.5 * scale, 0.2 + 1.5 * scale, 0.3 - 2 * scale}, torch::kFloat64)));
}

TEST(SegmentationNetwork, TwoRanksEqualOneBatchWithGradients) {
  torch::manual_seed(8);
  const torch::Tensor images = torch::randn({4, 3, 16, 16}, torch::kFloat64);
  const auto run = [](SegmentationNetwork network, const torch::Tensor& part) {
    network->forward(part).square().sum().backward();
  };
  SegmentationNetwork whole = TinyNetwork();
  run(whole, images);
  ThreadReduction reduction(2);
  std::vector<SegmentationNetwork> networks = {TinyNetwork(), TinyNetwork()};
  {
    std::vector<std::jthread> ranks;
    for (int rank = 0; rank < 2; ++rank) {
      networks[rank]->set_batch_reduction(reduction.ForRank(rank));
      ranks.emplace_back(
          [&, rank] { run(networks[rank], images.slice(0, 2 * rank, 2 * rank + 2)); });
    }
  }
  const auto expected = whole->named_parameters();
  const auto first = networks[0]->named_parameters();
  const auto second = networks[1]->named_parameters();
  for (const auto& item : expected) {
    const torch::Tensor sum = first[item.key()].grad() + second[item.key()].grad();
    EXPECT_TRUE(torch::allclose(sum, item.value().grad(), 1e-8, 1e-9)) << item.key();
  }
}

}  // namespace
}  // namespace g2ll::model
