#ifndef WORKER_MASK_CURRICULUM_H_
#define WORKER_MASK_CURRICULUM_H_

#include <span>
#include <vector>

namespace g2ll::mask {

// Quotas on the way from a part of every region to whole regions (SemMAE; method 2.7).
//
// At `progress` 0 they are `parts`, the quotas of the strategy; at 1 regions are masked
// whole, in random order (`noise`, one value for each region with patches in order of id,
// largest first, ties to the higher id), until the total is spent, so that one of them may be
// masked in part. Between, they are (1 - progress) * parts + progress * whole, rounded by largest
// remainder, ties to the lower id. The central regions and the others each keep their
// total throughout. `progress` is in [0, 1].
std::vector<int> IntraToInter(const std::vector<int>& parts, const std::vector<int>& sizes,
                              const std::vector<int>& central, std::span<const double> noise,
                              double progress);

}  // namespace g2ll::mask

#endif  // WORKER_MASK_CURRICULUM_H_
