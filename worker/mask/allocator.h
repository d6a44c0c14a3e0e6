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

}  // namespace g2ll::mask

#endif  // WORKER_MASK_ALLOCATOR_H_
