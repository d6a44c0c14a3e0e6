#ifndef WORKER_LOSS_CLASSIFICATION_LOSS_H_
#define WORKER_LOSS_CLASSIFICATION_LOSS_H_

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

namespace g2ll::loss {

// How strongly rare classes count: w_c = (N / (C N_c))^exponent for N_c images of
// class c, N in all, C classes that have images (method section 5). 0.5 is the
// baseline's root, 1 the full inverse frequency, 0 gives all the same. A class without
// images, as a small subset may have, gets 0. N must be positive (checked).
std::vector<double> ClassWeights(std::span<const int64_t> class_counts, double exponent = 0.5);

struct ClassificationOptions {
  std::vector<double> class_weights;  // [C], none: all 1
  double label_smoothing = 0;         // in [0,1): this part of each target is uniform over C
};

// Sum of the weights over images of which `class_counts` [C] are of each class.
double TotalWeight(std::span<const int64_t> class_counts, const ClassificationOptions& options);

// The loss as a quotient, so that batches and ranks can be added before it is
// taken: a mean of the quotients would weigh their images differently.
struct ClassificationSums {
  torch::Tensor loss;    // sum over the images; has the gradient
  torch::Tensor weight;  // sum of the weights of their true classes, no gradient
};

// Cross entropy with class weights w and smoothing s: an image of class t adds
// (1 - s) w_t (-ln p_t) + s/C sum_c w_c (-ln p_c) to `loss` and w_t to `weight`.
//
// `logits` [B,C], `targets` [B] int64 in [0,C). Scalars, float32 (float64 for
// float64 logits) whatever the autocast type. Throws c10::Error for other shapes.
ClassificationSums ClassificationLossSums(const torch::Tensor& logits, const torch::Tensor& targets,
                                          const ClassificationOptions& options);

// loss / weight of one batch, scalar.
torch::Tensor ClassificationLoss(const torch::Tensor& logits, const torch::Tensor& targets,
                                 const ClassificationOptions& options);

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_CLASSIFICATION_LOSS_H_
