#include "worker/train/adamw.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace g2ll::train {
namespace {

NamedParameter Parameter(const std::string& name, std::vector<double> values) {
  const auto count = static_cast<int64_t>(values.size());
  torch::Tensor tensor = torch::tensor(values, torch::kFloat64).view({1, count}).requires_grad_();
  return {name, tensor};
}

void SetGradient(NamedParameter& parameter, std::vector<double> values) {
  parameter.tensor.mutable_grad() =
      torch::tensor(values, torch::kFloat64).view(parameter.tensor.sizes());
}

double At(const NamedParameter& parameter, int64_t i) {
  return parameter.tensor.view({-1})[i].item<double>();
}

// Oracles of method section 7.
TEST(AdamWTest, FollowsTheHandComputedSteps) {
  NamedParameter w = Parameter("w", {1, -2});
  AdamW optimizer({w}, {.beta1 = 0.9, .beta2 = 0.95});

  SetGradient(w, {0.5, -0.1});
  optimizer.Step(1.5e-4, 0.05);
  EXPECT_NEAR(At(w, 0), 0.9998425, 1e-9);
  EXPECT_NEAR(At(w, 1), -1.999835, 1e-9);
  SetGradient(w, {0.2, 0.3});
  optimizer.Step(1.5e-4, 0.05);
  EXPECT_NEAR(At(w, 0), 0.9996989705, 1e-9);
  EXPECT_NEAR(At(w, 1), -1.9998933956, 1e-9);
}

TEST(AdamWTest, WithoutDecayIsAdam) {
  NamedParameter w = Parameter("w", {1, -2});
  AdamW optimizer({w}, {.beta1 = 0.9, .beta2 = 0.999});

  SetGradient(w, {0.5, -0.1});
  optimizer.Step(3e-4, 0);

  EXPECT_NEAR(At(w, 0), 0.9997, 1e-8);
  EXPECT_NEAR(At(w, 1), -1.9997, 1e-7);
}

TEST(AdamWTest, DecaysOnlyMatricesThatAreNoBias) {
  EXPECT_TRUE(HasWeightDecay({"blocks.0.attn.qkv.weight", torch::zeros({2, 2})}));
  EXPECT_TRUE(HasWeightDecay({"cls_token", torch::zeros({1, 1, 2})}));
  EXPECT_FALSE(HasWeightDecay({"norm.weight", torch::zeros({2})}));
  EXPECT_FALSE(HasWeightDecay({"x.bias", torch::zeros({2, 2})}));

  NamedParameter weight = Parameter("a.weight", {1});
  NamedParameter bias = Parameter("a.bias", {1});
  AdamW optimizer({weight, bias}, {});
  SetGradient(weight, {0});
  SetGradient(bias, {0});
  optimizer.Step(0.1, 0.5);
  EXPECT_DOUBLE_EQ(At(weight, 0), 0.95);
  EXPECT_DOUBLE_EQ(At(bias, 0), 1);
}

// The first step of a tensor that was frozen before must be a first step.
TEST(AdamWTest, FrozenTensorKeepsValueMomentsAndStepCount) {
  NamedParameter frozen = Parameter("v", {1, 2});
  NamedParameter other = Parameter("w", {1, 2});
  AdamW optimizer({frozen, other}, {});
  SetGradient(frozen, {1, 1});
  SetGradient(other, {1, 1});

  optimizer.Step(0.1, 0.5, {"v"});

  EXPECT_EQ(At(frozen, 0), 1);
  EXPECT_NE(At(other, 0), 1);
  for (const auto& [name, tensor] : optimizer.State()) {
    if (name.starts_with("v.")) {
      EXPECT_EQ(tensor.abs().sum().item<double>(), 0) << name;
    }
    if (name == "w.step") {
      EXPECT_EQ(tensor.item<double>(), 1);
    }
  }
}

TEST(AdamWTest, StateRestoresTheNextStepBitwise) {
  NamedParameter a = Parameter("w", {1, -2}), b = Parameter("w", {1, -2});
  AdamW first({a}, {}), second({b}, {});
  SetGradient(a, {0.5, -0.1});
  first.Step(0.01, 0.05);

  std::map<std::string, torch::Tensor> state;
  for (const auto& [name, tensor] : first.State()) state[name] = tensor.clone();
  ASSERT_TRUE(second.LoadState(state).ok());
  {
    torch::NoGradGuard no_grad;
    b.tensor.copy_(a.tensor);
  }
  SetGradient(a, {0.2, 0.3});
  SetGradient(b, {0.2, 0.3});
  first.Step(0.01, 0.05);
  second.Step(0.01, 0.05);

  EXPECT_TRUE(torch::equal(a.tensor, b.tensor));
  state.erase("w.exp_avg");
  EXPECT_EQ(second.LoadState(state).message(), "optimizer state: w.exp_avg is missing");
}

TEST(ClipGradientsTest, ClipsEachTensorByItself) {
  NamedParameter large = Parameter("large", {0, 0});
  NamedParameter small = Parameter("small", {0, 0});
  SetGradient(large, {3, 4});
  SetGradient(small, {2.9, 0});

  const double norm = ClipGradients({large, small}, 3);

  EXPECT_NEAR(norm, std::sqrt(25 + 2.9 * 2.9), 1e-9);
  EXPECT_NEAR(large.tensor.grad()[0][0].item<double>(), 1.8, 1e-6);
  EXPECT_NEAR(large.tensor.grad()[0][1].item<double>(), 2.4, 1e-6);
  EXPECT_DOUBLE_EQ(small.tensor.grad()[0][0].item<double>(), 2.9);
}

TEST(ClipGradientsTest, LeavesANormBelowTheLimitUntouched) {
  NamedParameter w = Parameter("w", {0, 0});
  SetGradient(w, {2.9, 0});

  EXPECT_DOUBLE_EQ(ClipGradients({w}, 3), 2.9);

  EXPECT_EQ(w.tensor.grad()[0][0].item<double>(), 2.9);
}

TEST(ClipGradientsTest, GlobalModeScalesAllGradientsAlike) {
  NamedParameter first = Parameter("first", {0, 0});
  NamedParameter second = Parameter("second", {0});
  SetGradient(first, {3, 0});
  SetGradient(second, {4});

  EXPECT_DOUBLE_EQ(ClipGradients({first, second}, 1, ClipMode::kGlobal), 5);

  EXPECT_NEAR(first.tensor.grad()[0][0].item<double>(), 0.6, 1e-6);
  EXPECT_NEAR(second.tensor.grad()[0][0].item<double>(), 0.8, 1e-6);
  EXPECT_DOUBLE_EQ(ClipGradients({first, second}, 10, ClipMode::kGlobal),
                   std::hypot(first.tensor.grad()[0][0].item<double>(),
                              second.tensor.grad()[0][0].item<double>()));
}

TEST(ClipGradientsTest, ShowsAGradientThatIsNotFinite) {
  NamedParameter w = Parameter("w", {0, 0});
  SetGradient(w, {1, std::numeric_limits<double>::quiet_NaN()});

  EXPECT_FALSE(std::isfinite(ClipGradients({w}, 0)));
}

}  // namespace
}  // namespace g2ll::train
