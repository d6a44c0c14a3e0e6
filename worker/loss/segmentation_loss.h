#ifndef WORKER_LOSS_SEGMENTATION_LOSS_H_
#define WORKER_LOSS_SEGMENTATION_LOSS_H_

#include <torch/types.h>

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

// `logits` [B,1,S,S]; `masks` [B,1,S,S] in [0,1], any dtype.
SegmentationLossParts SegmentationLoss(const torch::Tensor& logits, const torch::Tensor& masks,
                                       DiceReduction reduction = DiceReduction::kImage);

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_SEGMENTATION_LOSS_H_
