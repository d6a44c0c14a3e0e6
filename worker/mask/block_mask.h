#ifndef WORKER_MASK_BLOCK_MASK_H_
#define WORKER_MASK_BLOCK_MASK_H_

#include <cstddef>
#include <span>
#include <vector>

#include "worker/mask/mask_strategy.h"

namespace g2ll::mask {

// Rectangles of neighboring patches (after BEiT; method 2.3), the regions play no part.
//
// A rectangle has at least 16 of 256 patches (the same share of another grid) and at
// most as many as are still to be masked; its sides are in a ratio log-uniform in
// [0.3, 1/0.3] before they are rounded. Rectangles may overlap. The last rows of the
// last one are left out where it would mask too many; where rectangles do not get
// there, single patches do, those of the largest noise.
class BlockMask final : public MaskStrategy {
 public:
  using MaskStrategy::MaskStrategy;
  MaskPlan Plan(const RegionMap& regions) const override;
  size_t NoiseSize(size_t num_patches) const override;

 private:
  std::vector<double> Preferences(const PatchGrid& grid,
                                  std::span<const double> noise) const override;
};

}  // namespace g2ll::mask

#endif  // WORKER_MASK_BLOCK_MASK_H_
