#ifndef WORKER_FINETUNE_WEIGHT_AVERAGE_H_
#define WORKER_FINETUNE_WEIGHT_AVERAGE_H_

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "worker/model/segmentation_network.h"

namespace g2ll::finetune {

// The moving average of a segmentation network's weights (method section 6.2): what is
// validated and kept in place of the weights themselves. In evaluation mode and
// without gradients for its whole life.
class WeightAverage {
 public:
  // Starts as a copy of `source`, on its device. `momentum` in (0, 1).
  WeightAverage(model::SegmentationNetwork source, double momentum);

  // average = m average + (1 - m) source for every parameter; buffers (statistics of
  // batch normalisation) are copied. `step`: updates finished before this one, from 0.
  // m is `momentum`, less at the start, so that a short run does not keep its random
  // beginning: min(momentum, (1 + step) / (10 + step)).
  void Update(int64_t step);

  // Makes it a copy of the source again.
  void Reset();

  model::SegmentationNetwork network() const { return network_; }

 private:
  void CopyBuffers();

  double momentum_;
  model::SegmentationNetwork network_;
  // The same tensors of average and source, side by side.
  std::vector<torch::Tensor> averages_, sources_;
  std::vector<torch::Tensor> average_buffers_, source_buffers_;
};

// Momentum of WeightAverage's update after `step` updates.
double AverageMomentum(double momentum, int64_t step);

}  // namespace g2ll::finetune

#endif  // WORKER_FINETUNE_WEIGHT_AVERAGE_H_
