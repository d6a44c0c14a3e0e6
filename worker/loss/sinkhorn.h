#ifndef WORKER_LOSS_SINKHORN_H_
#define WORKER_LOSS_SINKHORN_H_

#include <torch/types.h>

#include <functional>

namespace g2ll::loss {

struct SinkhornOptions {
  double temperature = 0.04;  // > 0
  int iterations = 3;         // at least 1
};

// Replaces the elements of a contiguous tensor by their sums over the ranks.
using AllReduceSums = std::function<void(torch::Tensor&)>;

// Teacher probabilities that use every output equally often: what DINOv2 puts in
// the place of centring (Sinkhorn-Knopp; method section 6.3). Starting from
// exp(logits / temperature), each iteration gives all K outputs the same weight
// over the batch and then all rows the same weight.
//
// `teacher_logits` [B,K], the rows of this rank. Returns [B,K] float32 (float64
// for float64 logits) without a gradient, rows summing to 1. Computed in float64,
// so logits / temperature must stay below 700 in magnitude: with a
// weight-normalised head they stay below 1 / temperature.
//
// `sum_over_ranks` makes the batch that of all ranks (the parts may differ in
// size); every rank must call with the same K and options. Empty: this rank's
// batch only. Throws c10::Error for another shape or options out of range.
torch::Tensor SinkhornAssignments(const torch::Tensor& teacher_logits,
                                  const SinkhornOptions& options,
                                  const AllReduceSums& sum_over_ranks = {});

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_SINKHORN_H_
