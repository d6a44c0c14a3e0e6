#ifndef WORKER_MASK_ALLOCATOR_H_
#define WORKER_MASK_ALLOCATOR_H_

#include <vector>

namespace g2ll::mask {

// Who gets how much, and what could not be given.
struct Allocation {
  std::vector<int> quotas;  // one for each region, 0 <= quota <= cap
  int remainder = 0;        // total - sum of quotas; above 0 only when every cap is reached
};

// Shares `total` (at least 0) over regions as equally as their caps (at least 0)
// allow: what a full region cannot take is shared again among those with room. A
// rest too small for one each goes to those with the most room, ties to the lower
// id (method section 2.3).
Allocation Allocate(int total, const std::vector<int>& caps);

// Shares `total` in proportion to `weights` (at least 0, one a region), within the caps:
// a region whose share is above its cap gets its cap, the others share the rest. What
// rounding down leaves goes one each to the largest remainders, ties to the lower id.
// Regions of weight 0 get nothing while any other has room.
Allocation AllocateByWeight(int total, const std::vector<int>& caps,
                            const std::vector<int>& weights);

}  // namespace g2ll::mask

#endif  // WORKER_MASK_ALLOCATOR_H_
