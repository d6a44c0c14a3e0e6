#include "worker/mask/mask_strategy.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "worker/mask/region_masks.h"

namespace g2ll::mask {
namespace {

absl::Status CheckRatio(const char* name, double value) {
  // Written so that NaN fails too.
  if (value >= 0.0 && value <= 1.0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("mask.", name, " is ", value, ": it must lie in [0, 1]"));
}

std::vector<int64_t> IdsWhere(const std::vector<bool>& masked, bool wanted) {
  std::vector<int64_t> ids;
  for (size_t patch = 0; patch < masked.size(); ++patch) {
    if (masked[patch] == wanted) ids.push_back(static_cast<int64_t>(patch));
  }
  return ids;
}

// Masks the `count` candidates with the largest noise.
void MaskLargest(std::vector<int>& candidates, int count, std::span<const double> noise,
                 std::vector<bool>& masked) {
  const auto middle = candidates.begin() + count;
  std::partial_sort(candidates.begin(), middle, candidates.end(), [&](int a, int b) {
    const double noise_a = noise[static_cast<size_t>(a)];
    const double noise_b = noise[static_cast<size_t>(b)];
    return noise_a != noise_b ? noise_a > noise_b : a > b;
  });
  std::for_each(candidates.begin(), middle,
                [&](int patch) { masked[static_cast<size_t>(patch)] = true; });
}

}  // namespace

absl::Status Validate(const MaskOptions& options, int num_patches) {
  if (absl::Status status = CheckRatio("gamma", options.gamma); !status.ok()) return status;
  if (absl::Status status = CheckRatio("beta", options.beta); !status.ok()) return status;
  if (absl::Status status = CheckRatio("rho", options.rho); !status.ok()) return status;
  if (options.regions < 1 || options.regions > num_patches) {
    return absl::InvalidArgumentError(absl::StrCat("mask.regions is ", options.regions,
                                                   ": it must lie in [1, ", num_patches,
                                                   "], the number of patches"));
  }
  return absl::OkStatus();
}

int NumMasked(int num_patches, double gamma) {
  return num_patches - static_cast<int>(num_patches * (1.0 - gamma));
}

std::vector<int64_t> PatchMask::MaskedIds() const { return IdsWhere(masked, true); }

std::vector<int64_t> PatchMask::VisibleIds() const { return IdsWhere(masked, false); }

RegionMap MakeRegionMap(PatchLabels patches) {
  RegionMap map;
  map.center_distances = MeanCenterDistances(patches);
  map.patches = std::move(patches);
  return map;
}

std::vector<int> CentralityOrder(const RegionMap& regions) {
  const std::vector<int> sizes = RegionSizes(regions.patches);
  std::vector<double> rounded(sizes.size());
  std::vector<int> order;
  for (size_t region = 0; region < sizes.size(); ++region) {
    if (sizes[region] == 0) continue;
    rounded[region] = std::round(regions.center_distances[region] * 1e9);
    order.push_back(static_cast<int>(region));
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return rounded[static_cast<size_t>(a)] < rounded[static_cast<size_t>(b)];
  });
  return order;
}

PatchMask MaskStrategy::Draw(const RegionMap& regions, std::span<const double> noise) const {
  const std::vector<int>& labels = regions.patches.labels;
  const MaskPlan plan = Plan(regions);
  PatchMask mask;
  mask.masked.assign(labels.size(), false);
  std::vector<std::vector<int>> candidates(plan.unstructured ? 1 : plan.quotas.size());
  for (size_t patch = 0; patch < labels.size(); ++patch) {
    const size_t group = plan.unstructured ? 0 : static_cast<size_t>(labels[patch]);
    candidates[group].push_back(static_cast<int>(patch));
  }
  for (size_t group = 0; group < candidates.size(); ++group) {
    const int count = plan.unstructured ? NumMasked(static_cast<int>(labels.size()), options_.gamma)
                                        : plan.quotas[group];
    MaskLargest(candidates[group], count, noise, mask.masked);
  }
  return mask;
}

absl::StatusOr<std::unique_ptr<MaskStrategy>> MakeMaskStrategy(const MaskOptions& options,
                                                               int num_patches) {
  if (absl::Status status = Validate(options, num_patches); !status.ok()) return status;
  switch (options.kind) {
    case MaskKind::kRandom:
      return std::make_unique<RandomMask>(options);
    case MaskKind::kSemantic:
      return std::make_unique<SemanticMask>(options);
    case MaskKind::kSemanticFocal:
      return std::make_unique<SemanticFocalMask>(options);
    case MaskKind::kBlock:
    case MaskKind::kAttention:  // where attention decides, it does so during the step
      return std::make_unique<RandomMask>(options);
  }
  return absl::InvalidArgumentError("mask.strategy: unknown kind");
}

}  // namespace g2ll::mask
