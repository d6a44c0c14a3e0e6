#include "worker/mask/region_masks.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

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

// Hands out patches in rounds, each to some of the regions and up to caps of its own.
class Quotas {
 public:
  Quotas(const std::vector<int>& sizes, Shares shares)
      : sizes_(sizes), shares_(shares), given_(sizes.size(), 0) {}

  // Shares `total` among the members within `caps` beyond what they already have;
  // returns what could not be placed.
  int Add(int total, const std::vector<int>& caps, const Members& members) {
    std::vector<int> room(caps.size(), 0);
    std::vector<int> weights(caps.size(), 0);
    for (size_t region = 0; region < caps.size(); ++region) {
      if (!members[region]) continue;
      room[region] = std::max(0, caps[region] - given_[region]);
      weights[region] = sizes_[region];
    }
    const Allocation allocation = shares_ == Shares::kProportional
                                      ? AllocateByWeight(total, room, weights)
                                      : Allocate(total, room);
    for (size_t region = 0; region < caps.size(); ++region) {
      given_[region] += allocation.quotas[region];
    }
    return allocation.remainder;
  }

  const std::vector<int>& given() const { return given_; }

 private:
  const std::vector<int>& sizes_;
  const Shares shares_;
  std::vector<int> given_;
};

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

// Shortest prefix of `order` whose caps hold `count`, empty for 0; all of it if none does.
std::vector<int> CentralPrefix(const std::vector<int>& order, const std::vector<int>& caps,
                               int count) {
  std::vector<int> central;
  int capacity = 0;
  for (const int region : order) {
    if (capacity >= count) break;
    central.push_back(region);
    capacity += caps[static_cast<size_t>(region)];
  }
  return central;
}

bool IsCentral(const RegionTraits& traits, Central rule) {
  return rule == Central::kNoBorder ? !traits.touches_border : traits.window_share > 0.5;
}

// The central regions by the rule of the options, most central first (method 2.2, row 6).
std::vector<int> CentralRegions(const RegionMap& regions, const MaskOptions& options,
                                const std::vector<int>& caps, int num_focal) {
  std::vector<int> order = CentralityOrder(regions, options.order);
  if (options.central == Central::kTopK) {
    order.resize(std::min(order.size(), static_cast<size_t>(options.top_k)));
    return order;
  }
  if (options.central != Central::kPrefix) {
    std::vector<int> central;
    std::copy_if(order.begin(), order.end(), std::back_inserter(central), [&](int region) {
      return IsCentral(regions.traits[static_cast<size_t>(region)], options.central);
    });
    if (!central.empty()) return central;
  }
  return CentralPrefix(order, caps, num_focal);
}

// The regions as they lie in the view; their looks stay those in the image.
RegionMap SeenInView(const RegionMap& regions) {
  RegionMap seen = MakeRegionMap(regions.patches);
  for (size_t region = 0; region < seen.traits.size(); ++region) {
    seen.traits[region].contrast = regions.traits[region].contrast;
  }
  return seen;
}

}  // namespace

MaskPlan RandomMask::Plan(const RegionMap&) const { return Unstructured(); }

MaskPlan SemanticMask::Plan(const RegionMap& regions) const {
  const std::vector<int> sizes = RegionSizes(regions.patches);
  if (NumNonEmpty(sizes) <= 1) return Unstructured();
  const Members everywhere(sizes.size(), true);
  Quotas quotas(sizes, options().allocation);
  const int total = NumMasked(regions.patches.grid.num_patches(), options().gamma);
  const int rest = quotas.Add(total, Caps(sizes, options().rho), everywhere);
  quotas.Add(rest, sizes, everywhere);
  MaskPlan plan;
  plan.quotas = quotas.given();
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
  const bool is_in_view = options().center == CenterOf::kView;
  plan.central =
      CentralRegions(is_in_view ? SeenInView(regions) : regions, options(), caps, num_focal);
  Members is_central(sizes.size(), false);
  for (const int region : plan.central) is_central[static_cast<size_t>(region)] = true;
  Members is_marginal = is_central;
  is_marginal.flip();

  Quotas quotas(sizes, options().allocation);
  int rest = quotas.Add(num_focal, caps, is_central);
  rest = quotas.Add(num_masked - num_focal + rest, caps, is_marginal);
  // Capacities ran short: the rest may empty whole regions, central ones first.
  rest = quotas.Add(rest, sizes, is_central);
  quotas.Add(rest, sizes, is_marginal);
  plan.quotas = quotas.given();
  return plan;
}

}  // namespace g2ll::mask
