// Training in bf16: matrix products are narrow, everything that decides is not.
#include "worker/train/precision.h"

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "tests/train/fakes.h"
#include "worker/model/transformer_block.h"
#include "worker/pretrain/pretrain_task.h"

namespace g2ll::train {
namespace {

const StepContext kFirst{0, 0, 8};

pretrain::PretrainOptions G2llWithEverything() {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(2);
  options.encoder.drop_path = 0.2;
  options.ibot.emplace();
  options.koleo_lambda = 0.1;
  return options;
}

pretrain::PretrainOptions Mae() {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(2);
  options.distill.reset();
  options.mim->norm_pix = true;
  return options;
}

pretrain::PretrainOptions Dino() {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(2);
  options.mim.reset();
  options.student_input = pretrain::StudentInput::kAll;
  options.encoder.learned_pos = true;
  options.distill->pairs = loss::Pairs::kCross;
  // Sixteen channels make for large cosines and so for an unusually sharp teacher.
  options.distill->head.bottleneck = 64;
  return options;
}

pretrain::PretrainOptions MaskTokensAndSinkhorn() {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(2);
  options.student_input = pretrain::StudentInput::kMaskToken;
  options.distill->centering = pretrain::Centering::kSinkhorn;
  options.attention_mask.emplace();
  options.attention_mask->kind = mask::MaskKind::kAttention;
  options.attention_mask->attention_share = 0;
  return options;
}

// One step; its values, with the types that must be wide checked.
std::map<std::string, double> Step(const pretrain::PretrainOptions& options, bool is_bf16) {
  dist::LocalCollective alone;
  pretrain::PretrainTask task(options, test::FakePretrainLoader({}), alone);
  EXPECT_TRUE(task.LoadBatch(kFirst).ok());
  StepResult result;
  {
    const Bf16Scope bf16(is_bf16, torch::kCPU);
    result = task.ComputeLoss(kFirst, {0, 8});
  }
  result.loss.backward();
  task.AfterStep(kFirst, {});

  EXPECT_EQ(result.loss.scalar_type(), torch::kFloat32);
  std::map<std::string, double> values;
  for (const auto& [name, value] : result.values) {
    EXPECT_EQ(value.scalar_type(), torch::kFloat32) << name;
    values[name] = value.item<double>();
  }
  for (const auto& [name, tensor, lr_scale] : task.Parameters()) {
    EXPECT_EQ(tensor.grad().scalar_type(), torch::kFloat32) << name;
  }
  if (task.center() != nullptr) {
    EXPECT_EQ(task.center()->value().scalar_type(), torch::kFloat32);
  }
  if (task.teacher() != nullptr) {
    for (const auto& parameter : task.teacher()->encoder()->parameters()) {
      EXPECT_EQ(parameter.scalar_type(), torch::kFloat32);
    }
  }
  return values;
}

void ExpectCloseToFp32(const pretrain::PretrainOptions& options) {
  at::set_num_threads(1);
  const auto wide = Step(options, /*is_bf16=*/false);
  const auto narrow = Step(options, /*is_bf16=*/true);
  for (const auto& [name, value] : wide) {
    if (!name.starts_with("loss")) continue;
    EXPECT_NEAR(narrow.at(name), value, 2e-2 * std::max(1.0, std::abs(value))) << name;
    // Not the same by accident: the scope did something.
    EXPECT_NE(narrow.at(name), value) << name;
  }
}

TEST(Bf16Test, LossesCentreAndTeacherOfG2llStayFloat32AndCloseToFp32) {
  ExpectCloseToFp32(G2llWithEverything());
}

TEST(Bf16Test, LossesOfMaeStayFloat32AndCloseToFp32) { ExpectCloseToFp32(Mae()); }

TEST(Bf16Test, LossesCentreAndTeacherOfDinoStayFloat32AndCloseToFp32) { ExpectCloseToFp32(Dino()); }

TEST(Bf16Test, LossesWithMaskTokensAndSinkhornStayFloat32AndCloseToFp32) {
  ExpectCloseToFp32(MaskTokensAndSinkhorn());
}

// In bf16 1 / 0.7 is a part in a thousand too large, for every sample alike.
TEST(Bf16Test, StochasticDepthScalesBranchesByTheWholeScale) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  model::TransformerBlock block(32, 2);
  const torch::Tensor tokens = torch::randn({4, 5, 32});
  const auto attended = [&](double scale) {
    const Bf16Scope bf16(true, torch::kCPU);
    const torch::Tensor scales = torch::tensor({scale, 0.0}, torch::kFloat32).expand({4, 2});
    return block->forward(tokens, scales) - tokens;
  };

  const torch::Tensor branch = attended(1);
  EXPECT_GT(branch.abs().max().item<double>(), 0.1);
  EXPECT_TRUE(torch::allclose(attended(1 / 0.7), branch / 0.7, 1e-5, 1e-6));
}

TEST(Bf16Test, AScopeLeavesAutocastAsItWas) {
  at::autocast::set_autocast_dtype(torch::kCPU, torch::kFloat16);
  {
    const Bf16Scope outer(true, torch::kCPU);
    { const Bf16Scope inner(true, torch::kCPU); }
    EXPECT_TRUE(at::autocast::is_autocast_enabled(torch::kCPU));
    EXPECT_EQ(at::autocast::get_autocast_dtype(torch::kCPU), torch::kBFloat16);
  }
  EXPECT_FALSE(at::autocast::is_autocast_enabled(torch::kCPU));
  EXPECT_EQ(at::autocast::get_autocast_dtype(torch::kCPU), torch::kFloat16);
  at::autocast::set_autocast_dtype(torch::kCPU, torch::kBFloat16);  // torch's own
}

// Autocast keeps bf16 copies of weights; those of the pass without a graph, in which a
// share's features are gathered, must not serve the pass that learns.
TEST(Bf16Test, KoLeoInPartsTrainsEveryWeightFromTheFirstPartOn) {
  at::set_num_threads(1);
  dist::LocalCollective alone;
  pretrain::PretrainTask task(G2llWithEverything(), test::FakePretrainLoader({}), alone);
  ASSERT_TRUE(task.LoadBatch(kFirst).ok());
  StepResult result;
  {
    const Bf16Scope bf16(true, torch::kCPU);
    result = task.ComputeLoss(kFirst, {0, 4});
  }
  result.loss.backward();

  for (const auto& [name, tensor, lr_scale] : task.Parameters()) {
    EXPECT_TRUE(tensor.grad().defined()) << name;
  }
}

}  // namespace
}  // namespace g2ll::train
