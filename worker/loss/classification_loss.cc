#include "worker/loss/classification_loss.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "worker/loss/precision.h"

namespace g2ll::loss {

std::vector<double> ClassWeights(std::span<const int64_t> class_counts, double exponent) {
  const auto total =
      static_cast<double>(std::accumulate(class_counts.begin(), class_counts.end(), int64_t{0}));
  TORCH_CHECK(total > 0, "no class has an image");
  const auto num_classes =
      static_cast<double>(std::ranges::count_if(class_counts, [](int64_t n) { return n > 0; }));
  std::vector<double> weights;
  for (const int64_t count : class_counts) {
    const double inverse = total / (num_classes * static_cast<double>(count));
    weights.push_back(count > 0 ? std::pow(inverse, exponent) : 0);
  }
  return weights;
}

double TotalWeight(std::span<const int64_t> class_counts, const ClassificationOptions& options) {
  TORCH_CHECK(options.class_weights.empty() || options.class_weights.size() == class_counts.size(),
              options.class_weights.size(), " weights for ", class_counts.size(), " classes");
  double total = 0;
  for (size_t i = 0; i < class_counts.size(); ++i) {
    const double weight = options.class_weights.empty() ? 1 : options.class_weights[i];
    total += weight * static_cast<double>(class_counts[i]);
  }
  return total;
}

torch::Tensor ClassificationLossSum(const torch::Tensor& logits, const torch::Tensor& targets,
                                    const ClassificationOptions& options) {
  TORCH_CHECK(logits.dim() == 2 && targets.dim() == 1 && logits.size(0) == targets.size(0),
              "logits are [B,C] and targets [B], got ", logits.sizes(), " and ", targets.sizes());
  const auto num_classes = static_cast<size_t>(logits.size(1));
  TORCH_CHECK(options.class_weights.empty() || options.class_weights.size() == num_classes,
              options.class_weights.size(), " weights for ", num_classes, " classes");
  const torch::Tensor wide = Widen(logits);
  const torch::Tensor weights =
      options.class_weights.empty()
          ? torch::ones({logits.size(1)}, wide.options())
          : torch::tensor(options.class_weights, torch::kFloat64).to(wide.options());
  return at::cross_entropy_loss(wide, targets, weights, at::Reduction::Sum,
                                /*ignore_index=*/-100, options.label_smoothing);
}

}  // namespace g2ll::loss
