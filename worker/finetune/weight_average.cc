#include "worker/finetune/weight_average.h"

#include <torch/torch.h>

#include <algorithm>

namespace g2ll::finetune {

double AverageMomentum(double momentum, int64_t step) {
  const auto done = static_cast<double>(std::max<int64_t>(step, 0));
  return std::min(momentum, (1 + done) / (10 + done));
}

WeightAverage::WeightAverage(model::SegmentationNetwork source, double momentum)
    : momentum_(momentum), network_(source->options()) {
  const torch::Tensor like = source->parameters().front();
  network_->to(like.device(), like.scalar_type());
  // Two networks of the same options have the same tensors in the same order.
  averages_ = network_->parameters();
  sources_ = source->parameters();
  average_buffers_ = network_->buffers();
  source_buffers_ = source->buffers();
  for (torch::Tensor& average : averages_) average.set_requires_grad(false);
  network_->eval();
  Reset();
}

void WeightAverage::Update(int64_t step) {
  torch::NoGradGuard no_grad;
  // An interpolation leaves what is equal on both sides as it is, bit by bit.
  at::_foreach_lerp_(averages_, sources_, 1 - AverageMomentum(momentum_, step));
  CopyBuffers();
}

void WeightAverage::Reset() {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < averages_.size(); ++i) averages_[i].copy_(sources_[i]);
  CopyBuffers();
}

void WeightAverage::CopyBuffers() {
  for (size_t i = 0; i < average_buffers_.size(); ++i) {
    average_buffers_[i].copy_(source_buffers_[i]);
  }
}

}  // namespace g2ll::finetune
