#include "worker/metric/overlap.h"

#include <torch/torch.h>

namespace g2ll::metric {

double Dice(const OverlapCounts& counts) {
  const int64_t marked = 2 * counts.tp + counts.fp + counts.fn;
  return marked == 0 ? 1.0 : 2.0 * static_cast<double>(counts.tp) / static_cast<double>(marked);
}

double IoU(const OverlapCounts& counts) {
  const int64_t marked = counts.tp + counts.fp + counts.fn;
  return marked == 0 ? 1.0 : static_cast<double>(counts.tp) / static_cast<double>(marked);
}

double ThresholdJaccard(const OverlapCounts& counts, double threshold) {
  const double iou = IoU(counts);
  return iou < threshold ? 0.0 : iou;
}

OverlapCounts Pool(std::span<const OverlapCounts> images) {
  OverlapCounts sum;
  for (const OverlapCounts& counts : images) {
    sum.tp += counts.tp;
    sum.fp += counts.fp;
    sum.fn += counts.fn;
  }
  return sum;
}

torch::Tensor IsLesion(const torch::Tensor& logits) { return logits > 0; }

OverlapCounts CountOverlap(std::span<const uint8_t> prediction, std::span<const uint8_t> truth) {
  TORCH_CHECK(prediction.size() == truth.size(), "masks differ in size: ", prediction.size(),
              " and ", truth.size(), " pixels");
  OverlapCounts counts;
  for (size_t i = 0; i < truth.size(); ++i) {
    const bool predicted = prediction[i] != 0;
    const bool real = truth[i] != 0;
    counts.tp += predicted && real;
    counts.fp += predicted && !real;
    counts.fn += !predicted && real;
  }
  return counts;
}

std::vector<OverlapCounts> CountOverlap(const torch::Tensor& prediction,
                                        const torch::Tensor& truth) {
  TORCH_CHECK(prediction.dim() >= 1 && prediction.sizes() == truth.sizes(),
              "masks differ in shape: ", prediction.sizes(), " and ", truth.sizes());
  const int64_t num_images = prediction.size(0);
  if (num_images == 0) {
    return {};
  }
  const torch::Tensor predicted = prediction.ne(0).reshape({num_images, -1});
  const torch::Tensor real = truth.ne(0).reshape({num_images, -1});
  const torch::Tensor sums =
      torch::stack({predicted.logical_and(real).sum(1), predicted.sum(1), real.sum(1)}, 1)
          .to(torch::kCPU);
  const auto rows = sums.accessor<int64_t, 2>();
  std::vector<OverlapCounts> counts(static_cast<size_t>(num_images));
  for (int64_t i = 0; i < num_images; ++i) {
    const int64_t both = rows[i][0];
    counts[static_cast<size_t>(i)] = {both, rows[i][1] - both, rows[i][2] - both};
  }
  return counts;
}

}  // namespace g2ll::metric
