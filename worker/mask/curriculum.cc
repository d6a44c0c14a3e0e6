#include "worker/mask/curriculum.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace g2ll::mask {
namespace {

// Regions with patches, those of the largest noise first.
std::vector<size_t> InRandomOrder(const std::vector<int>& sizes, std::span<const double> noise) {
  std::vector<std::pair<double, size_t>> drawn;
  for (size_t region = 0; region < sizes.size(); ++region) {
    if (sizes[region] > 0) drawn.emplace_back(noise[drawn.size()], region);
  }
  std::sort(drawn.rbegin(), drawn.rend());
  std::vector<size_t> order;
  order.reserve(drawn.size());
  for (const auto& [value, region] : drawn) order.push_back(region);
  return order;
}

// Masks the regions of `group` whole, in this order, until `total` is spent.
void MaskWhole(const std::vector<size_t>& group, const std::vector<int>& sizes, int total,
               std::vector<int>& quotas) {
  for (const size_t region : group) {
    quotas[region] = std::min(sizes[region], total);
    total -= quotas[region];
  }
}

// Rounds the blend of both inside one group, whose total both share.
void Blend(const std::vector<size_t>& group, const std::vector<int>& whole, double progress,
           std::vector<int>& quotas) {
  struct Rest {
    size_t region;
    double rest;
  };
  std::vector<Rest> rests;
  int left = 0;
  for (const size_t region : group) {
    const double exact = (1.0 - progress) * quotas[region] + progress * whole[region];
    // What should be a whole number may have come out a little lower.
    const double below = std::floor(exact + 1e-9);
    rests.push_back({region, std::round((exact - below) * 1e9)});
    left += quotas[region] - static_cast<int>(below);
    quotas[region] = static_cast<int>(below);
  }
  std::sort(rests.begin(), rests.end(), [](const Rest& a, const Rest& b) {
    return a.rest != b.rest ? a.rest > b.rest : a.region < b.region;
  });
  for (size_t i = 0; i < static_cast<size_t>(left); ++i) ++quotas[rests[i].region];
}

}  // namespace

std::vector<int> IntraToInter(const std::vector<int>& parts, const std::vector<int>& sizes,
                              const std::vector<int>& central, std::span<const double> noise,
                              double progress) {
  std::vector<size_t> order = InRandomOrder(sizes, noise);
  const auto is_central = [&](size_t region) {
    return std::find(central.begin(), central.end(), static_cast<int>(region)) != central.end();
  };
  const auto middle = std::stable_partition(order.begin(), order.end(), is_central);
  std::vector<int> quotas = parts;
  std::vector<int> whole(parts.size(), 0);
  for (const std::vector<size_t>& group :
       {std::vector(order.begin(), middle), std::vector(middle, order.end())}) {
    int total = 0;
    for (const size_t region : group) total += parts[region];
    MaskWhole(group, sizes, total, whole);
    Blend(group, whole, progress, quotas);
  }
  return quotas;
}

}  // namespace g2ll::mask
