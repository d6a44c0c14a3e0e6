#include "worker/loss/segmentation_loss.h"

#include <torch/torch.h>

#include <algorithm>

#include "worker/loss/precision.h"

namespace g2ll::loss {
namespace {

constexpr double kDiceSmooth = 1e-5;
constexpr double kIoUSmooth = 1;

void CheckShapes(const torch::Tensor& logits, const torch::Tensor& masks) {
  TORCH_CHECK(logits.dim() == 4 && logits.sizes() == masks.sizes(), "logits ", logits.sizes(),
              " and masks ", masks.sizes(), " differ in shape");
}

// 1 - Dice from twice the overlap and the sum of the sizes.
torch::Tensor DiceTerm(const torch::Tensor& twice_overlap, const torch::Tensor& size) {
  return 1 - (twice_overlap + kDiceSmooth) / (size + kDiceSmooth);
}

}  // namespace

SegmentationLossParts SegmentationLoss(const torch::Tensor& logits, const torch::Tensor& masks,
                                       DiceReduction reduction,
                                       const SumOverRanks& sum_over_ranks) {
  CheckShapes(logits, masks);
  const torch::Tensor wide = Widen(logits);
  const torch::Tensor truth = masks.to(wide.scalar_type());
  SegmentationLossParts parts;
  parts.bce = torch::binary_cross_entropy_with_logits(wide, truth);

  const int64_t groups = reduction == DiceReduction::kImage ? wide.size(0) : 1;
  const torch::Tensor p = wide.sigmoid().reshape({groups, -1});
  const torch::Tensor y = truth.reshape({groups, -1});
  const torch::Tensor twice_overlap = 2 * (p * y).sum(1);
  const torch::Tensor size = p.square().sum(1) + y.square().sum(1);
  if (reduction == DiceReduction::kBatch && sum_over_ranks) {
    const torch::Tensor sums =
        sum_over_ranks(torch::cat({twice_overlap, size}).to(torch::kFloat64));
    parts.dice = DiceTerm(sums[0], sums[1]).to(wide.scalar_type());
  } else {
    parts.dice = DiceTerm(twice_overlap, size).mean();
  }
  parts.total = 0.5 * parts.bce + 0.5 * parts.dice;
  return parts;
}

int64_t StructureWindow(int64_t side) {
  return 2 * std::max<int64_t>((15 * side + 128) / 256, 1) + 1;
}

StructureLossParts StructureLoss(const torch::Tensor& logits, const torch::Tensor& masks) {
  CheckShapes(logits, masks);
  const torch::Tensor wide = Widen(logits);
  const torch::Tensor truth = masks.to(wide.scalar_type());
  const int64_t window = StructureWindow(wide.size(3));
  const torch::Tensor around = torch::avg_pool2d(truth, window, /*stride=*/1, window / 2);
  const torch::Tensor weight = 1 + 5 * (around - truth).abs();
  const auto sum = [](const torch::Tensor& map) { return map.sum({1, 2, 3}); };

  StructureLossParts parts;
  const torch::Tensor bce = torch::binary_cross_entropy_with_logits(
      wide, truth, /*weight=*/{}, /*pos_weight=*/{}, at::Reduction::None);
  parts.bce = (sum(weight * bce) / sum(weight)).mean();
  const torch::Tensor p = wide.sigmoid();
  const torch::Tensor overlap = sum(weight * p * truth);
  const torch::Tensor both = sum(weight * (p + truth));
  parts.iou = (1 - (overlap + kIoUSmooth) / (both - overlap + kIoUSmooth)).mean();
  parts.total = parts.bce + parts.iou;
  return parts;
}

}  // namespace g2ll::loss
