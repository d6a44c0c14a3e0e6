#ifndef TESTS_TRAIN_SPLITS_H_
#define TESTS_TRAIN_SPLITS_H_

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/train/fakes.h"
#include "worker/dist/collective.h"
#include "worker/train/train_task.h"

namespace g2ll::test {

// How a global batch of eight images is worked on.
struct Split {
  int ranks = 1;
  int64_t accumulate = 1;  // parts of a rank's share
};

// The rank's share of the default FakeBatches.
FakeBatches ShareOf(const dist::Collective& collective);

// Adds every element of a tensor.
void Append(const torch::Tensor& tensor, std::vector<double>& numbers);

// Three updates on the same eight images at a constant rate, gradients clipped to `clip`
// (0: not at all): the losses of the global batch, then every element of every parameter.
std::vector<double> ThreeUpdates(train::TrainTask& task, int64_t accumulate,
                                 dist::Collective& collective, double clip);

// What a rank's three updates give, in either precision.
using Updates =
    std::function<std::vector<double>(dist::Collective&, int64_t accumulate, torch::Dtype)>;

// Expects every split to give what one rank gets that takes the batch whole, and the same
// bits on all of its ranks. In fp64 all numbers within 1e-9; in fp32 only the losses
// within 1e-5, for Adam's division blows rounding up in the weights.
void ExpectSameHoweverSplit(const Updates& updates, const std::vector<Split>& splits,
                            const std::vector<torch::Dtype>& dtypes = {torch::kFloat32,
                                                                       torch::kFloat64});

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_SPLITS_H_
