#ifndef WORKER_LOSS_SEGMENTATION_LOSS_H_
#define WORKER_LOSS_SEGMENTATION_LOSS_H_

#include <torch/types.h>

#include <cstdint>
#include <functional>

namespace g2ll::loss {

// Scalars, float32 (float64 for float64 logits).
struct SegmentationLossParts {
  torch::Tensor total;  // 0.5 bce + 0.5 dice
  torch::Tensor bce;    // binary cross entropy with logits, mean over all pixels
  torch::Tensor dice;   // 1 - Dice with squared denominators, smooth 1e-5
};

// Over what the Dice term is taken.
enum class DiceReduction {
  kImage,  // per image, then the mean
  kBatch,  // all pixels of the batch together
};

// Adds up a tensor over the ranks and keeps its gradient: [2] float64 -> [2].
using SumOverRanks = std::function<torch::Tensor(const torch::Tensor&)>;

// `logits` [B,1,S,S]; `masks` [B,1,S,S] in [0,1], any dtype. With kBatch the batch
// is that of all ranks where `sum_over_ranks` is given; then `dice` is the same on
// all of them.
SegmentationLossParts SegmentationLoss(const torch::Tensor& logits, const torch::Tensor& masks,
                                       DiceReduction reduction = DiceReduction::kImage,
                                       const SumOverRanks& sum_over_ranks = {});

// Scalars as above.
struct StructureLossParts {
  torch::Tensor total;  // bce + iou
  torch::Tensor bce;    // binary cross entropy with logits
  torch::Tensor iou;    // 1 - IoU of probabilities, smooth 1
};

// Side of the window that looks for the outline: 31 pixels at a side of 256, in
// proportion at other sizes, odd and at least 3.
int64_t StructureWindow(int64_t side);

// Structure loss (method section 4.2): both terms per image, with each pixel weighted
// by 1 + 5 |a - m|, where a is the mean of the mask m over a window of
// StructureWindow(S) around the pixel (zero beyond the border), then the mean over the
// images. Shapes as above.
StructureLossParts StructureLoss(const torch::Tensor& logits, const torch::Tensor& masks);

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_SEGMENTATION_LOSS_H_
