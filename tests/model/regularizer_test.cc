// KoLeo, Sinkhorn and Gram: the parts that DINOv2 and DINOv3 add to distillation.
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <barrier>
#include <cmath>
#include <thread>
#include <vector>

#include "worker/loss/distillation_loss.h"
#include "worker/loss/gram_loss.h"
#include "worker/loss/koleo_loss.h"
#include "worker/loss/sinkhorn.h"

namespace g2ll::loss {
namespace {

const auto kDouble = torch::dtype(torch::kFloat64);

// Autocast to bf16 on the CPU while it lives.
class AutocastScope {
 public:
  AutocastScope() {
    at::autocast::set_autocast_dtype(torch::kCPU, torch::kBFloat16);
    at::autocast::set_autocast_enabled(torch::kCPU, true);
  }
  ~AutocastScope() { at::autocast::set_autocast_enabled(torch::kCPU, false); }
};

TEST(KoLeoLoss, MatchesTheOracles) {
  EXPECT_NEAR(KoLeoLoss(torch::eye(4)).item<double>(), -.3465736, 1e-6);
  EXPECT_NEAR(KoLeoLoss(torch::tensor({{3.f, 0.f}, {-.5f, 0.f}})).item<double>(), -std::log(2.0),
              1e-6);
}

TEST(KoLeoLoss, LooksAtTheNearestRowOnly) {
  torch::Tensor rows = torch::tensor({{1., 0.}, {.8, .6}, {-1., 0.}}, kDouble).requires_grad_();
  const torch::Tensor loss = KoLeoLoss(rows);
  // Distances: rows 0 and 1 sqrt(.4), row 2 to row 1 sqrt(3.6).
  EXPECT_NEAR(loss.item<double>(), -(2 * std::log(std::sqrt(.4)) + std::log(std::sqrt(3.6))) / 3,
              1e-7);
  loss.backward();
  EXPECT_TRUE(rows.grad().isfinite().all().item<bool>());
  // Rows part: row 0 turns away from row 1.
  EXPECT_GT(rows.grad()[0][1].item<double>(), 0);
}

TEST(KoLeoLoss, StaysFiniteForEqualRows) {
  torch::Tensor rows = torch::ones({3, 4}).requires_grad_();
  const torch::Tensor loss = KoLeoLoss(rows);
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), -std::log(1e-8), 1e-3);
  EXPECT_TRUE(rows.grad().isfinite().all().item<bool>());
}

TEST(KoLeoLoss, RefusesASingleRow) { EXPECT_THROW(KoLeoLoss(torch::ones({1, 4})), c10::Error); }

TEST(GramLoss, MatchesTheOracles) {
  const torch::Tensor eye = torch::eye(2).unsqueeze(0);
  const torch::Tensor same = torch::tensor({{{1.f, 0.f}, {2.f, 0.f}}});
  EXPECT_NEAR(GramLoss(eye, same).item<double>(), .5, 1e-7);
  torch::manual_seed(2);
  const torch::Tensor tokens = torch::randn({2, 5, 8});
  EXPECT_NEAR(GramLoss(tokens, 3 * tokens).item<double>(), 0, 1e-12);
}

TEST(GramLoss, ComparesPatchesOfOneImageOnly) {
  torch::manual_seed(2);
  const torch::Tensor a = torch::randn({2, 5, 8}, kDouble);
  const torch::Tensor b = torch::randn({2, 5, 8}, kDouble);
  const double one = GramLoss(a.slice(0, 0, 1), b.slice(0, 0, 1)).item<double>();
  const double two = GramLoss(a.slice(0, 1), b.slice(0, 1)).item<double>();
  EXPECT_NEAR(GramLoss(a, b).item<double>(), (one + two) / 2, 1e-12);
}

TEST(GramLoss, GivesTheTeacherNoGradient) {
  const torch::Tensor student = torch::randn({1, 3, 4}).requires_grad_();
  const torch::Tensor teacher = torch::randn({1, 3, 4}).requires_grad_();
  GramLoss(student, teacher).backward();
  EXPECT_TRUE(student.grad().defined());
  EXPECT_FALSE(teacher.grad().defined());
  EXPECT_THROW(GramLoss(student, torch::zeros({1, 4, 4})), c10::Error);
}

// Autocast would turn the matrix product of float32 operands into one of bf16.
TEST(FullPrecision, AutocastDoesNotReachTheLosses) {
  torch::manual_seed(2);
  const torch::Tensor a = torch::randn({2, 9, 16});
  const torch::Tensor b = torch::randn({2, 9, 16});
  const torch::Tensor gram = GramLoss(a, b);
  const torch::Tensor koleo = KoLeoLoss(a[0]);
  const AutocastScope autocast;
  ASSERT_EQ(torch::matmul(a, b.transpose(1, 2)).scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(torch::equal(GramLoss(a, b), gram));
  EXPECT_TRUE(torch::equal(KoLeoLoss(a[0]), koleo));
}

TEST(SinkhornAssignments, MatchesTheOracles) {
  const SinkhornOptions options{.temperature = .1, .iterations = 3};
  const torch::Tensor equal = torch::tensor({{.3, .3}, {.3, .3}}, kDouble);
  EXPECT_TRUE(torch::allclose(SinkhornAssignments(equal, options), torch::full_like(equal, .5)));
  const torch::Tensor assignments =
      SinkhornAssignments(torch::tensor({{.2, .1, 0.}, {0., .3, .1}}, kDouble), options);
  const torch::Tensor expected =
      torch::tensor({{.6307, .1195, .2499}, {.0518, .5358, .4124}}, kDouble);
  EXPECT_TRUE(torch::allclose(assignments, expected, 0, 5.1e-5)) << assignments;
  EXPECT_TRUE(torch::allclose(assignments.sum(1), torch::ones({2}, kDouble)));
}

TEST(SinkhornAssignments, UsesEveryOutputEquallyInTheEnd) {
  torch::manual_seed(5);
  const torch::Tensor logits = torch::rand({6, 3}, kDouble).requires_grad_();
  const torch::Tensor assignments =
      SinkhornAssignments(logits, {.temperature = .2, .iterations = 200});
  EXPECT_FALSE(assignments.requires_grad());
  EXPECT_TRUE(torch::allclose(assignments.sum(0), torch::full({3}, 2, kDouble), 1e-6));
}

TEST(SinkhornAssignments, AreFiniteAtTheTeachersSharpestTemperature) {
  const torch::Tensor logits = torch::tensor({{1.f, -1.f}, {1.f, -1.f}, {-1.f, 1.f}});
  const torch::Tensor assignments = SinkhornAssignments(logits, {.temperature = .04});
  EXPECT_EQ(assignments.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(assignments.isfinite().all().item<bool>());
}

// Two threads stand for two ranks with parts of unequal size.
TEST(SinkhornAssignments, OfTwoRanksAreThoseOfTheWholeBatch) {
  torch::manual_seed(7);
  const torch::Tensor logits = torch::rand({5, 4}, kDouble);
  const SinkhornOptions options{.temperature = .1, .iterations = 3};
  const std::vector<torch::Tensor> parts = {logits.slice(0, 0, 2), logits.slice(0, 2)};
  std::vector<torch::Tensor> shared(2);
  std::vector<torch::Tensor> results(2);
  std::barrier<> barrier(2);
  const auto run = [&](size_t rank) {
    results[rank] = SinkhornAssignments(parts[rank], options, [&, rank](torch::Tensor& sums) {
      shared[rank] = sums.clone();
      barrier.arrive_and_wait();
      const torch::Tensor total = shared[0] + shared[1];
      barrier.arrive_and_wait();
      sums.copy_(total);
    });
  };
  std::thread other(run, 1);
  run(0);
  other.join();
  EXPECT_TRUE(torch::allclose(torch::cat(results), SinkhornAssignments(logits, options)));
}

TEST(SinkhornAssignments, RefusesOptionsOutOfRange) {
  const torch::Tensor logits = torch::zeros({2, 3});
  EXPECT_THROW(SinkhornAssignments(logits, {.temperature = 0}), c10::Error);
  EXPECT_THROW(SinkhornAssignments(logits, {.iterations = 0}), c10::Error);
  EXPECT_THROW(SinkhornAssignments(logits[0], {}), c10::Error);
}

TEST(DistillationLossOf, TakesProbabilitiesInThePlaceOfLogits) {
  torch::manual_seed(9);
  const torch::Tensor student = torch::randn({4, 5}, kDouble);
  const torch::Tensor teacher = torch::randn({4, 5}, kDouble);
  const DistillationOptions options{.pairs = Pairs::kCross};
  const torch::Tensor center = torch::zeros({1, 5}, kDouble);
  EXPECT_DOUBLE_EQ(
      DistillationLossOf(student, torch::softmax(teacher / options.teacher_temp, -1), options)
          .item<double>(),
      DistillationLoss(student, teacher, center, options).item<double>());
  const torch::Tensor loss =
      DistillationLossOf(student, SinkhornAssignments(teacher, {.temperature = .1}), options);
  EXPECT_GT(loss.item<double>(), 0);
}

}  // namespace
}  // namespace g2ll::loss
