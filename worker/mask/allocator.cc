#include "worker/mask/allocator.h"

#include <algorithm>
#include <cstddef>

namespace g2ll::mask {

Allocation Allocate(int total, const std::vector<int>& caps) {
  Allocation result{std::vector<int>(caps.size(), 0), total};
  auto room = [&](size_t region) { return caps[region] - result.quotas[region]; };
  auto give = [&](size_t region, int amount) {
    result.quotas[region] += amount;
    result.remainder -= amount;
  };
  while (result.remainder > 0) {
    std::vector<size_t> open;
    for (size_t region = 0; region < caps.size(); ++region) {
      if (room(region) > 0) open.push_back(region);
    }
    if (open.empty()) break;
    const int share = result.remainder / static_cast<int>(open.size());
    if (share > 0) {
      for (const size_t region : open) give(region, std::min(share, room(region)));
      continue;
    }
    std::stable_sort(open.begin(), open.end(),
                     [&](size_t a, size_t b) { return room(a) > room(b); });
    open.resize(static_cast<size_t>(result.remainder));
    for (const size_t region : open) give(region, 1);
  }
  return result;
}

}  // namespace g2ll::mask
