#include "worker/loss/distillation_loss.h"

#include <torch/torch.h>

#include "worker/loss/precision.h"

namespace g2ll::loss {
namespace {

// Shifts of the teacher's views against the student's that `pairs` compares:
// [first, last).
struct Shifts {
  int first;
  int last;
};

Shifts ShiftsOf(Pairs pairs, int views) {
  switch (pairs) {
    case Pairs::kSame:
      return {0, 1};
    case Pairs::kCross:
      return {1, views};
    case Pairs::kAll:
      return {0, views};
  }
  TORCH_CHECK(false, "unknown pairs");
}

}  // namespace

torch::Tensor DistillationLoss(const torch::Tensor& student_logits,
                               const torch::Tensor& teacher_logits, const torch::Tensor& center,
                               const DistillationOptions& options) {
  return DistillationLossOf(
      student_logits, TeacherProbabilities(teacher_logits, center, options.teacher_temp), options);
}

torch::Tensor DistillationLossOf(const torch::Tensor& student_logits,
                                 const torch::Tensor& teacher_probabilities,
                                 const DistillationOptions& options) {
  const auto shifts = ShiftsOf(options.pairs, options.views);
  TORCH_CHECK(options.views > 0 && shifts.first < shifts.last, "cross pairs need two views");
  TORCH_CHECK(student_logits.sizes() == teacher_probabilities.sizes() &&
                  student_logits.size(0) % options.views == 0,
              "student ", student_logits.sizes(), " and teacher ", teacher_probabilities.sizes(),
              " are not ", options.views, " views");
  const int64_t batch = student_logits.size(0) / options.views;
  const torch::Tensor log_student =
      torch::log_softmax(Widen(student_logits) / options.student_temp, -1);
  const torch::Tensor teacher = Widen(teacher_probabilities.detach());
  // A shift by k views lines row (view v, image i) up with (view v - k, image i);
  // the mean over the rows is the mean over its V pairs.
  torch::Tensor sum;
  for (int shift = shifts.first; shift < shifts.last; ++shift) {
    const torch::Tensor shifted = shift == 0 ? teacher : teacher.roll(shift * batch, 0);
    const torch::Tensor loss = -(shifted * log_student).sum(-1).mean();
    sum = sum.defined() ? sum + loss : loss;
  }
  return sum / (shifts.last - shifts.first);
}

int NumPairs(Pairs pairs, int views) {
  const Shifts shifts = ShiftsOf(pairs, views);
  return views * (shifts.last - shifts.first);
}

torch::Tensor TeacherProbabilities(const torch::Tensor& teacher_logits, const torch::Tensor& center,
                                   double temp) {
  torch::NoGradGuard no_grad;
  return torch::softmax((Widen(teacher_logits) - center) / temp, -1);
}

torch::Tensor MeanEntropy(const torch::Tensor& probabilities) {
  torch::NoGradGuard no_grad;
  const torch::Tensor wide = Widen(probabilities);
  return -torch::xlogy(wide, wide).sum(-1).mean();
}

torch::Tensor CenterSum(const torch::Tensor& teacher_logits) {
  torch::NoGradGuard no_grad;
  return Widen(teacher_logits).sum(0, /*keepdim=*/true);
}

torch::Tensor UpdateCenter(const torch::Tensor& center, const torch::Tensor& logit_sum,
                           int64_t rows, double momentum) {
  TORCH_CHECK(rows > 0, "a center needs at least one row");
  torch::NoGradGuard no_grad;
  return center * momentum + logit_sum * ((1 - momentum) / static_cast<double>(rows));
}

}  // namespace g2ll::loss
