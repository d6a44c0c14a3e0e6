#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <csignal>
#include <cstdlib>
#include <sstream>

#include "tests/train/gang.h"
#include "worker/dist/collective.h"
#include "worker/dist/cuda_backend.h"

namespace g2ll::dist {
namespace {

using test::RankResult;
using test::RunGang;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CollectiveTest, SumsAndGathersOverThreeRanks) {
  const auto results = RunGang(3, [](Collective& collective) {
    torch::Tensor value = torch::full({2}, collective.rank() + 1.0);
    collective.AllReduceSum(value);
    std::ostringstream out;
    out << value[1].item<double>();
    for (const std::string& text :
         collective.AllGather(std::string(static_cast<size_t>(collective.rank()), 'x'))) {
      out << " [" << text << "]";
    }
    return out.str();
  });

  for (const RankResult& result : results) EXPECT_EQ(result.output, "6 [] [x] [xx]");
}

// d/dw of mean(w * x) is x: rank r has x = r + 1, so the mean over the ranks is known.
std::string GradientAfterTwoSteps(Collective& collective) {
  torch::Tensor w = torch::ones({3}, torch::requires_grad());
  torch::Tensor b = torch::zeros({2, 2}, torch::requires_grad());
  auto reducer = collective.MakeGradientReducer({w, b});
  std::ostringstream out;
  for (int step = 1; step <= 2; ++step) {
    reducer->ZeroGradients();
    const double x = step * (collective.rank() + 1.0);
    reducer->Backward((w * x).sum() + (b * (x * x)).sum());
    out << w.grad()[0].item<double>() << " " << b.grad()[1][0].item<double>() << " ";
  }
  return out.str();
}

TEST(GradientReducerTest, GivesTheMeanOfTheRanksGradientsOnTwoAndThreeRanks) {
  for (const RankResult& result : RunGang(2, GradientAfterTwoSteps)) {
    EXPECT_EQ(result.output, "1.5 2.5 3 10 ");
  }
  for (const RankResult& result : RunGang(3, GradientAfterTwoSteps)) {
    std::istringstream in(result.output);
    double values[4] = {};
    for (double& value : values) in >> value;
    EXPECT_NEAR(values[0], 2.0f, 1e-4);
    EXPECT_NEAR(values[1], 14.0f / 3.0f, 1e-4);
    EXPECT_NEAR(values[2], 4.0f, 1e-4);
    EXPECT_NEAR(values[3], 56.0f / 3.0f, 1e-4);
  }
}

// A bucket of its own for the last of them, one for the others.
TEST(GradientReducerTest, GivesEachOfManyLargeParametersItsOwnMean) {
  const auto results = RunGang(3, [](Collective& collective) {
    std::vector<torch::Tensor> parameters;
    for (int64_t i = 0; i < 4; ++i) {
      parameters.push_back(torch::ones({300000 + i}, torch::requires_grad()));
    }
    auto reducer = collective.MakeGradientReducer(parameters);
    reducer->ZeroGradients();
    torch::Tensor loss = torch::zeros({});
    for (int64_t i = 0; i < 4; ++i) {
      loss = loss + parameters[static_cast<size_t>(i)].sum() * (1 << i) * (collective.rank() + 1.0);
    }
    reducer->Backward(loss);
    std::ostringstream out;
    for (const torch::Tensor& parameter : parameters) {
      const torch::Tensor gradient = parameter.grad();
      out << gradient.min().item<float>() << " " << gradient.max().item<float>() << " ";
    }
    return out.str();
  });

  for (const RankResult& result : results) EXPECT_EQ(result.output, "2 2 4 4 8 8 16 16 ");
}

// A collective of the forward or backward pass must not meet a gradient bucket.
TEST(GradientReducerTest, LeavesOtherCollectivesAloneDuringBackward) {
  const auto results = RunGang(2, [](Collective& collective) {
    torch::Tensor w = torch::ones({400, 400}, torch::requires_grad());
    torch::Tensor v = torch::ones({400, 400}, torch::requires_grad());
    auto reducer = collective.MakeGradientReducer({w, v});
    reducer->ZeroGradients();
    torch::Tensor hidden = torch::ones({1, 400}).matmul(v);
    hidden.register_hook([&collective](torch::Tensor) {
      torch::Tensor one = torch::ones({1});
      collective.AllReduceSum(one);
      TORCH_CHECK(one.item<double>() == 2, "mixed up");
    });
    reducer->Backward(hidden.matmul(w).mean());
    return std::string("ok");
  });

  for (const RankResult& result : results) EXPECT_EQ(result.output, "ok");
}

TEST(CollectiveTest, APeersDeathIsACollectiveErrorOnTheSurvivor) {
  const auto results = RunGang(2, [](Collective& collective) {
    torch::Tensor w = torch::ones({3}, torch::requires_grad());
    auto reducer = collective.MakeGradientReducer({w});
    for (int step = 0;; ++step) {
      if (collective.rank() == 1 && step == 2) raise(SIGKILL);
      reducer->ZeroGradients();
      reducer->Backward(w.sum());
    }
    return std::string();
  });

  EXPECT_EQ(results[1].signal, SIGKILL);
  EXPECT_EQ(results[0].exit_code, 81) << results[0].output << ", signal " << results[0].signal;
  EXPECT_THAT(results[0].output, StartsWith("CollectiveError: gradient reduction"));
}

// Runs in a process of its own: it may load LibTorch's CUDA part.
TEST(CudaBackendTest, IsRefusedInOneClearLineWithoutAGpu) {
  const auto results = RunGang(1, [](Collective&) {
    setenv("CUDA_VISIBLE_DEVICES", "", 1);  // also on a host that has one
    return std::string(LoadCudaBackend(0).message());
  });

  EXPECT_THAT(results[0].output, StartsWith("device cuda: "));
  EXPECT_THAT(results[0].output, HasSubstr("ask for device cpu"));
  EXPECT_EQ(results[0].output.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace g2ll::dist
