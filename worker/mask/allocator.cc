#include "worker/mask/allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace g2ll::mask {
namespace {

// Gives each of `open` the whole part of its proportional share and hands the rest out
// by largest remainder. No share exceeds its cap.
void GiveShares(const std::vector<size_t>& open, const std::vector<int>& weights,
                int64_t total_weight, Allocation& result) {
  const int total = result.remainder;
  const auto scaled = [&](size_t region) { return int64_t{total} * weights[region]; };
  for (const size_t region : open) {
    result.quotas[region] = static_cast<int>(scaled(region) / total_weight);
    result.remainder -= result.quotas[region];
  }
  std::vector<size_t> by_remainder = open;
  std::stable_sort(by_remainder.begin(), by_remainder.end(), [&](size_t a, size_t b) {
    return scaled(a) % total_weight > scaled(b) % total_weight;
  });
  by_remainder.resize(static_cast<size_t>(result.remainder));
  for (const size_t region : by_remainder) ++result.quotas[region];
  result.remainder = 0;
}

}  // namespace

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

Allocation AllocateByWeight(int total, const std::vector<int>& caps,
                            const std::vector<int>& weights) {
  Allocation result{std::vector<int>(caps.size(), 0), total};
  std::vector<size_t> open;
  for (size_t region = 0; region < caps.size(); ++region) {
    if (weights[region] > 0) open.push_back(region);
  }
  while (!open.empty() && result.remainder > 0) {
    int64_t total_weight = 0;
    for (const size_t region : open) total_weight += weights[region];
    // Caps are tested against the same rest, so that the order of regions is no matter.
    const int64_t rest = result.remainder;
    const auto is_full = [&](size_t region) {
      return rest * weights[region] > caps[region] * total_weight;
    };
    const auto first_full = std::stable_partition(open.begin(), open.end(),
                                                  [&](size_t region) { return !is_full(region); });
    if (first_full == open.end()) {
      GiveShares(open, weights, total_weight, result);
      return result;
    }
    std::for_each(first_full, open.end(), [&](size_t region) {
      result.quotas[region] = caps[region];
      result.remainder -= caps[region];
    });
    open.erase(first_full, open.end());
  }
  if (result.remainder == 0) return result;
  // Only regions of weight 0 may still have room.
  std::vector<int> room(caps.size(), 0);
  for (size_t region = 0; region < caps.size(); ++region) {
    if (weights[region] == 0) room[region] = caps[region];
  }
  const Allocation rest = Allocate(result.remainder, room);
  for (size_t region = 0; region < caps.size(); ++region) {
    result.quotas[region] += rest.quotas[region];
  }
  result.remainder = rest.remainder;
  return result;
}

}  // namespace g2ll::mask
