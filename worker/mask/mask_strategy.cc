#include "worker/mask/mask_strategy.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/mask/block_mask.h"
#include "worker/mask/curriculum.h"
#include "worker/mask/region_masks.h"

namespace g2ll::mask {
namespace {

absl::Status CheckRatio(const char* name, double value) {
  // Written so that NaN fails too.
  if (value >= 0.0 && value <= 1.0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("mask.", name, " is ", value, ": it must lie in [0, 1]"));
}

absl::Status CheckCount(const char* name, int value, int largest, const char* what) {
  if (value >= 1 && value <= largest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "mask.", name, " is ", value, ": it must lie in [1, ", largest, "], the number of ", what));
}

// Settings that are fine by themselves and not together.
absl::Status CheckTogether(const MaskOptions& options) {
  if (options.curriculum == Curriculum::kIntraToInter && !FollowsRegions(options.kind)) {
    return absl::InvalidArgumentError(
        "mask.curriculum is intra_to_inter: it needs regions, so mask.strategy must be semantic "
        "or semantic_focal");
  }
  if (options.shared && options.kind == MaskKind::kAttention) {
    return absl::InvalidArgumentError(
        "mask.shared is true: with mask.strategy attmask each view's mask follows the attention "
        "to that view, so it must be false");
  }
  return absl::OkStatus();
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

bool FollowsRegions(MaskKind kind) {
  return kind == MaskKind::kSemantic || kind == MaskKind::kSemanticFocal;
}

absl::Status Validate(const MaskOptions& options, int num_patches) {
  G2LL_RETURN_IF_ERROR(CheckRatio("gamma", options.gamma));
  G2LL_RETURN_IF_ERROR(CheckRatio("beta", options.beta));
  G2LL_RETURN_IF_ERROR(CheckRatio("rho", options.rho));
  G2LL_RETURN_IF_ERROR(CheckRatio("attentionShare", options.attention_share));
  G2LL_RETURN_IF_ERROR(CheckRatio("attentionHint", options.attention_hint));
  G2LL_RETURN_IF_ERROR(CheckCount("regions", options.regions, num_patches, "patches"));
  if (options.central == Central::kTopK) {
    G2LL_RETURN_IF_ERROR(CheckCount("topK", options.top_k, options.regions, "regions"));
  }
  return CheckTogether(options);
}

int NumMasked(int num_patches, double gamma) {
  return num_patches - static_cast<int>(num_patches * (1.0 - gamma));
}

std::vector<int64_t> PatchMask::MaskedIds() const { return IdsWhere(masked, true); }

std::vector<int64_t> PatchMask::VisibleIds() const { return IdsWhere(masked, false); }

size_t MaskStrategy::NoiseSize(size_t num_patches) const {
  // Of whole regions there are at most as many as patches.
  return options_.curriculum == Curriculum::kConstant ? num_patches : 2 * num_patches;
}

std::vector<double> MaskStrategy::Preferences(const PatchGrid& grid,
                                              std::span<const double> noise) const {
  return {noise.begin(), noise.begin() + grid.num_patches()};
}

PatchMask MaskStrategy::Draw(const RegionMap& regions, std::span<const double> noise,
                             double progress) const {
  const std::vector<int>& labels = regions.patches.labels;
  MaskPlan plan = Plan(regions);
  if (options_.curriculum == Curriculum::kIntraToInter && !plan.unstructured) {
    plan.quotas = IntraToInter(plan.quotas, RegionSizes(regions.patches), plan.central,
                               noise.subspan(labels.size()), std::clamp(progress, 0.0, 1.0));
  }
  const std::vector<double> preferences = Preferences(regions.patches.grid, noise);
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
    MaskLargest(candidates[group], count, preferences, mask.masked);
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
      return std::make_unique<BlockMask>(options);
    case MaskKind::kAttention:  // where attention decides, it does so during the step
      return std::make_unique<RandomMask>(options);
  }
  return absl::InvalidArgumentError("mask.strategy: unknown kind");
}

}  // namespace g2ll::mask
