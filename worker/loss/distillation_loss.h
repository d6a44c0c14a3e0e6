#ifndef WORKER_LOSS_DISTILLATION_LOSS_H_
#define WORKER_LOSS_DISTILLATION_LOSS_H_

#include <torch/types.h>

#include <cstdint>

namespace g2ll::loss {

// Which (teacher view, student view) pairs are compared.
enum class Pairs {
  kSame,   // each view with its own masked self (paper Eq. 5 as written)
  kCross,  // different views only (DINO)
  kAll,
};

struct DistillationOptions {
  double student_temp = 0.1;   // > 0
  double teacher_temp = 0.04;  // > 0
  Pairs pairs = Pairs::kSame;
  int views = 2;  // V, at least 2 for kCross
};

// Cross entropy between centred, sharpened teacher and sharpened student (paper
// Eq. 5-7): the mean over the batch for each pair, then over the pairs. Scalar,
// float32 (float64 for float64 logits) whatever the autocast type.
//
// `student_logits`, `teacher_logits` [V*B,K], rows: all of view u, then all of
// view v; `center` [1,K]. No gradient flows to the teacher or the center.
torch::Tensor DistillationLoss(const torch::Tensor& student_logits,
                               const torch::Tensor& teacher_logits, const torch::Tensor& center,
                               const DistillationOptions& options);

// The same for a teacher whose logits became probabilities in another way
// (sinkhorn.h): `teacher_probabilities` [V*B,K], rows summing to 1. `teacher_temp`
// is not read.
torch::Tensor DistillationLossOf(const torch::Tensor& student_logits,
                                 const torch::Tensor& teacher_probabilities,
                                 const DistillationOptions& options);

// Number of (teacher view, student view) pairs of an image.
int NumPairs(Pairs pairs, int views);

// The teacher's centred and sharpened distributions, [R,K] float32 (float64 stays),
// without a gradient: softmax((teacher_logits - center) / temp).
torch::Tensor TeacherProbabilities(const torch::Tensor& teacher_logits, const torch::Tensor& center,
                                   double temp);

// Mean entropy of distributions [R,K] in nats, scalar. Of the teacher's: ln K at
// collapse to uniform, 0 where all are one-hot, as at collapse to one output.
torch::Tensor MeanEntropy(const torch::Tensor& probabilities);

// Sum of the teacher's logits over this rank's rows, [1,K] float32 (float64 stays);
// what the ranks add up for UpdateCenter.
torch::Tensor CenterSum(const torch::Tensor& teacher_logits);

// The next center, [1,K]: momentum * center + (1 - momentum) * logit_sum / rows,
// where `logit_sum` [1,K] and `rows` (> 0) cover all views and all ranks. To be
// called after the step's loss.
torch::Tensor UpdateCenter(const torch::Tensor& center, const torch::Tensor& logit_sum,
                           int64_t rows, double momentum);

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_DISTILLATION_LOSS_H_
