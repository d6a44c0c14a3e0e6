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

// Cross entropy with class weights w and smoothing s, summed over the images: one of
// class t adds (1 - s) w_t (-ln p_t) + s/C sum_c w_c (-ln p_c). The loss of a global
// batch is the sum over its parts and ranks, divided by its TotalWeight: a mean of
// their quotients would weigh their images differently.
//
// `logits` [B,C], `targets` [B] int64 in [0,C). Scalar, float32 (float64 for float64
// logits) whatever the autocast type. Throws c10::Error for other shapes.
torch::Tensor ClassificationLossSum(const torch::Tensor& logits, const torch::Tensor& targets,
                                    const ClassificationOptions& options);

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_CLASSIFICATION_LOSS_H_
