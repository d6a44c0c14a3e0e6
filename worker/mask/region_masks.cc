#include "worker/mask/region_masks.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "worker/mask/allocator.h"

namespace g2ll::mask {
namespace {

using Members = std::vector<bool>;

std::vector<int> Caps(const std::vector<int>& sizes, double rho) {
  std::vector<int> caps;
  caps.reserve(sizes.size());
  for (const int size : sizes) caps.push_back(static_cast<int>(std::floor(rho * size)));
  return caps;
}

// Shares `total` among the members within `caps` beyond what they already have;
// returns what could not be placed.
int AddQuotas(int total, const std::vector<int>& caps, const Members& members,
              std::vector<int>& quotas) {
  std::vector<int> room(caps.size(), 0);
  for (size_t region = 0; region < caps.size(); ++region) {
    if (members[region]) room[region] = std::max(0, caps[region] - quotas[region]);
  }
  const Allocation allocation = Allocate(total, room);
  for (size_t region = 0; region < caps.size(); ++region) {
    quotas[region] += allocation.quotas[region];
  }
  return allocation.remainder;
}

int NumNonEmpty(const std::vector<int>& sizes) {
  return static_cast<int>(
      std::count_if(sizes.begin(), sizes.end(), [](int size) { return size > 0; }));
}

MaskPlan Unstructured() {
  MaskPlan plan;
  plan.unstructured = true;
  return plan;
}

int FocalCount(const MaskOptions& options, int num_patches) {
  const double exact = num_patches * options.gamma * options.beta;
  double count = std::floor(exact + 0.5);
  switch (options.rounding) {
    case FocalRounding::kNearest:
      break;
    case FocalRounding::kFloor:
      count = std::floor(exact);
      break;
    case FocalRounding::kCeil:
      count = std::ceil(exact);
      break;
  }
  return std::min(static_cast<int>(count), NumMasked(num_patches, options.gamma));
}

// Shortest prefix of `order` whose caps hold `count`; all of it if none does.
std::vector<int> CentralPrefix(const std::vector<int>& order, const std::vector<int>& caps,
                               int count) {
  std::vector<int> central;
  int capacity = 0;
  for (const int region : order) {
    central.push_back(region);
    capacity += caps[static_cast<size_t>(region)];
    if (capacity >= count) break;
  }
  return central;
}

}  // namespace

MaskPlan RandomMask::Plan(const RegionMap&) const { return Unstructured(); }

MaskPlan SemanticMask::Plan(const RegionMap& regions) const {
  const std::vector<int> sizes = RegionSizes(regions.patches);
  if (NumNonEmpty(sizes) <= 1) return Unstructured();
  const Members everywhere(sizes.size(), true);
  MaskPlan plan;
  plan.quotas.assign(sizes.size(), 0);
  const int total = NumMasked(regions.patches.grid.num_patches(), options().gamma);
  const int rest = AddQuotas(total, Caps(sizes, options().rho), everywhere, plan.quotas);
  AddQuotas(rest, sizes, everywhere, plan.quotas);
  return plan;
}

MaskPlan SemanticFocalMask::Plan(const RegionMap& regions) const {
  const std::vector<int> sizes = RegionSizes(regions.patches);
  if (NumNonEmpty(sizes) <= 1) return Unstructured();
  const std::vector<int> caps = Caps(sizes, options().rho);
  const int num_patches = regions.patches.grid.num_patches();
  const int num_masked = NumMasked(num_patches, options().gamma);
  const int num_focal = FocalCount(options(), num_patches);

  MaskPlan plan;
  plan.central = CentralPrefix(CentralityOrder(regions), caps, num_focal);
  plan.quotas.assign(sizes.size(), 0);
  Members is_central(sizes.size(), false);
  for (const int region : plan.central) is_central[static_cast<size_t>(region)] = true;
  Members is_marginal = is_central;
  is_marginal.flip();

  int rest = AddQuotas(num_focal, caps, is_central, plan.quotas);
  rest = AddQuotas(num_masked - num_focal + rest, caps, is_marginal, plan.quotas);
  // Capacities ran short: the rest may empty whole regions, central ones first.
  rest = AddQuotas(rest, sizes, is_central, plan.quotas);
  AddQuotas(rest, sizes, is_marginal, plan.quotas);
  return plan;
}

}  // namespace g2ll::mask
