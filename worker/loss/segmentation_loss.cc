#include "worker/loss/segmentation_loss.h"

#include <torch/torch.h>

#include "worker/loss/precision.h"

namespace g2ll::loss {
namespace {

constexpr double kSmooth = 1e-5;

}  // namespace

SegmentationLossParts SegmentationLoss(const torch::Tensor& logits, const torch::Tensor& masks,
                                       DiceReduction reduction) {
  TORCH_CHECK(logits.sizes() == masks.sizes(), "logits ", logits.sizes(), " and masks ",
              masks.sizes(), " differ in shape");
  const torch::Tensor wide = Widen(logits);
  const torch::Tensor truth = masks.to(wide.scalar_type());
  SegmentationLossParts parts;
  parts.bce = torch::binary_cross_entropy_with_logits(wide, truth);

  const int64_t groups = reduction == DiceReduction::kImage ? wide.size(0) : 1;
  const torch::Tensor p = wide.sigmoid().reshape({groups, -1});
  const torch::Tensor y = truth.reshape({groups, -1});
  const torch::Tensor overlap = 2 * (p * y).sum(1) + kSmooth;
  const torch::Tensor size = p.square().sum(1) + y.square().sum(1) + kSmooth;
  parts.dice = (1 - overlap / size).mean();
  parts.total = 0.5 * parts.bce + 0.5 * parts.dice;
  return parts;
}

}  // namespace g2ll::loss
