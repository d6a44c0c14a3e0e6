#include "worker/pretrain/ema_teacher.h"

#include <torch/torch.h>

#include "worker/loss/distillation_loss.h"

namespace g2ll::pretrain {
namespace {

// Makes `teacher` a copy of `student` that is never trained; `teachers` and `students`
// get their parameters, side by side.
void Pair(torch::nn::Module& teacher, torch::nn::Module& student,
          std::vector<torch::Tensor>& teachers, std::vector<torch::Tensor>& students) {
  torch::NoGradGuard no_grad;
  const auto source = student.named_parameters();
  for (auto& entry : teacher.named_parameters()) {
    const torch::Tensor& original = source[entry.key()];
    entry.value().set_requires_grad(false);
    entry.value().copy_(original);
    teachers.push_back(entry.value());
    students.push_back(original);
  }
  teacher.eval();
}

}  // namespace

EmaTeacher::EmaTeacher(const model::VitOptions& encoder_options,
                       const model::ProjectionHeadOptions& head_options,
                       model::VitEncoder student_encoder, model::ProjectionHead student_head)
    : encoder_(encoder_options), head_(head_options) {
  const torch::Tensor like = student_encoder->parameters().front();
  encoder_->to(like.device(), like.scalar_type());
  head_->to(like.device(), like.scalar_type());
  Pair(*encoder_, *student_encoder, teacher_, student_);
  Pair(*head_, *student_head, teacher_, student_);
}

model::VitEncoderImpl::Attended EmaTeacher::Tokens(const torch::Tensor& views,
                                                   bool needs_attention) {
  torch::NoGradGuard no_grad;
  if (needs_attention) return encoder_->forward_attended(views);
  return {encoder_->forward(views), {}};
}

torch::Tensor EmaTeacher::LogitsOf(const torch::Tensor& features) {
  torch::NoGradGuard no_grad;
  return head_->forward(features);
}

void EmaTeacher::Update(double momentum) {
  torch::NoGradGuard no_grad;
  at::_foreach_mul_(teacher_, momentum);
  at::_foreach_add_(teacher_, student_, 1 - momentum);
}

Center::Center(int64_t num_prototypes, double momentum, torch::Device device)
    : momentum_(momentum), value_(torch::zeros({1, num_prototypes}, device)) {}

void Center::Accumulate(const torch::Tensor& teacher_logits) {
  const torch::Tensor sum = loss::CenterSum(teacher_logits);
  sum_ = sum_.defined() ? sum_ + sum : sum;
}

void Center::Update(dist::Collective& collective, int64_t num_rows) {
  collective.AllReduceSum(sum_);
  value_ = loss::UpdateCenter(value_, sum_, num_rows, momentum_);
  sum_ = torch::Tensor();
}

}  // namespace g2ll::pretrain
