#ifndef WORKER_MASK_REGION_MASKS_H_
#define WORKER_MASK_REGION_MASKS_H_

#include "worker/mask/mask_strategy.h"

namespace g2ll::mask {

// Any patch is as likely as any other; the regions play no part (MAE).
class RandomMask final : public MaskStrategy {
 public:
  using MaskStrategy::MaskStrategy;
  MaskPlan Plan(const RegionMap& regions) const override;
};

// The same number of patches from every region, or in proportion to its size, as far as
// it has them (paper 2.2, "semantic mask").
class SemanticMask final : public MaskStrategy {
 public:
  using MaskStrategy::MaskStrategy;
  MaskPlan Plan(const RegionMap& regions) const override;
};

// Spends the share beta of the budget on the central regions, where lesions usually
// lie, and the rest on the others (paper 2.2, "semantic focal mask"). Which regions
// are central is a rule of its own; what they have no room for goes to the others.
class SemanticFocalMask final : public MaskStrategy {
 public:
  using MaskStrategy::MaskStrategy;
  MaskPlan Plan(const RegionMap& regions) const override;
};

}  // namespace g2ll::mask

#endif  // WORKER_MASK_REGION_MASKS_H_
