#ifndef WORKER_PRETRAIN_EMA_TEACHER_H_
#define WORKER_PRETRAIN_EMA_TEACHER_H_

#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

#include "worker/dist/collective.h"
#include "worker/model/projection_head.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::pretrain {

// The moving average of the student's encoder and head (paper 2.3, method 3.1).
// In evaluation mode and without gradients for its whole life.
class EmaTeacher {
 public:
  // Starts as a copy of the student, on the student's device.
  EmaTeacher(const model::VitOptions& encoder_options,
             const model::ProjectionHeadOptions& head_options, model::VitEncoder student_encoder,
             model::ProjectionHead student_head);

  // What it makes of full views, without a graph: of [N, 3, S, S] tokens [N, 1+n, D]
  // with, if asked for, the last block's attention of the class token [N, n]; and
  // of features [R, D], class or patch, logits [R, K].
  model::VitEncoderImpl::Attended Tokens(const torch::Tensor& views, bool needs_attention);
  torch::Tensor LogitsOf(const torch::Tensor& features);

  // teacher = momentum * teacher + (1 - momentum) * student, every parameter.
  // `momentum` in [0, 1]; at 1 the teacher keeps its bits.
  void Update(double momentum);

  model::VitEncoder encoder() const { return encoder_; }
  model::ProjectionHead head() const { return head_; }

 private:
  model::VitEncoder encoder_;
  model::ProjectionHead head_;
  // The same parameters of teacher and student, side by side.
  std::vector<torch::Tensor> teacher_, student_;
};

// The centre C of the teacher's logits [1, K], which keeps them from collapsing
// onto one prototype: C = m C + (1 - m) mean over all samples, views and ranks.
// float32; float64 from the first update with float64 logits on.
class Center {
 public:
  Center(int64_t num_prototypes, double momentum, torch::Device device);

  // The value for this step's loss: that of the steps before. Written in place
  // when a state is loaded.
  const torch::Tensor& value() const { return value_; }

  // Adds logits [N, K] of this step to those of the update.
  void Accumulate(const torch::Tensor& teacher_logits);

  // Takes the logits of all parts and ranks, `num_rows` together, into the centre.
  // Communicates.
  void Update(dist::Collective& collective, int64_t num_rows);

 private:
  double momentum_;
  torch::Tensor value_;
  torch::Tensor sum_;  // of this step's logits, [1, K]; undefined: none yet
};

}  // namespace g2ll::pretrain

#endif  // WORKER_PRETRAIN_EMA_TEACHER_H_
