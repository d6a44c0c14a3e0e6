#ifndef WORKER_MASK_MASK_STRATEGY_H_
#define WORKER_MASK_MASK_STRATEGY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/mask/patch_labels.h"
#include "worker/mask/region_map.h"

namespace g2ll::mask {

enum class MaskKind { kRandom, kSemantic, kSemanticFocal, kBlock, kAttention };

// How a number of patches is shared over regions.
enum class Shares {
  kEqual,         // the same number for each, as far as it has room
  kProportional,  // by size, largest remainder first
};

// Which regions are central. A rule that finds none falls back to kPrefix.
enum class Central {
  kPrefix,    // shortest prefix of the order whose caps hold the central share
  kNoBorder,  // those without a patch at the border
  kWindow,    // those with most of their patches in the central half of each side
  kTopK,      // the first `top_k` of the order
};

// What a region's place is measured in: the whole image, also for a view that was
// cropped from it, or the view.
enum class CenterOf { kImage, kView };

// How the central count n * gamma * beta becomes a whole number.
enum class FocalRounding { kNearest, kFloor, kCeil };

// How masks change during a run.
enum class Curriculum {
  kConstant,
  kIntraToInter,  // from a part of every region to whole regions (SemMAE)
};

// Whether masks of this kind need the image's regions.
bool FollowsRegions(MaskKind kind);

// Settings of the mask (paper 2.2).
struct MaskOptions {
  MaskKind kind = MaskKind::kSemanticFocal;
  double gamma = 0.25;  // share of patches masked
  double beta = 0.70;   // share of the masked patches in the central regions
  int regions = 8;      // superpixels K asked of SLIC
  double rho = 0.75;    // at most this share of a region while others have room
  FocalRounding rounding = FocalRounding::kNearest;  // 44.8 -> 45
  Shares allocation = Shares::kEqual;
  Central central = Central::kPrefix;
  int top_k = 2;  // for Central::kTopK
  CentralOrder order = CentralOrder::kDistance;
  CenterOf center = CenterOf::kImage;
  Curriculum curriculum = Curriculum::kConstant;
  bool shared = false;           // the second view has the first view's mask
  double attention_share = 0.5;  // kAttention: chance that attention picks the patches
  double attention_hint = 0.0;   // kAttention: share of the most attended left visible
};

// Error: InvalidArgument naming the setting, the value and what is allowed: gamma,
// beta, rho, attention_share and attention_hint in [0, 1], regions in
// [1, num_patches], top_k in [1, regions] where it is used, a curriculum only with
// regions, shared masks only where one mask can serve two views.
absl::Status Validate(const MaskOptions& options, int num_patches);

// Patches hidden of n: n - int(n * (1 - gamma)), the same for every image, so that
// visible tokens of a batch stack into one tensor.
int NumMasked(int num_patches, double gamma);

// Which patches are hidden: true = masked, row-major.
struct PatchMask {
  std::vector<bool> masked;
  // Ids in ascending order.
  std::vector<int64_t> MaskedIds() const;
  std::vector<int64_t> VisibleIds() const;
};

// How many patches each region loses.
struct MaskPlan {
  // No structure to follow: the draw is over all patches.
  bool unstructured = false;
  std::vector<int> quotas;   // by region id; empty if unstructured
  std::vector<int> central;  // regions of the central set, most central first
};

// Decides which patches are masked. Immutable: one object serves all threads. A new
// strategy is a new class, its name in MaskKind and a case in MakeMaskStrategy.
class MaskStrategy {
 public:
  explicit MaskStrategy(const MaskOptions& options) : options_(options) {}
  virtual ~MaskStrategy() = default;

  // Quotas that add up to NumMasked, whatever the regions are.
  virtual MaskPlan Plan(const RegionMap& regions) const = 0;

  // Uniform numbers in [0, 1) that a draw takes: one a patch, and what chooses
  // rectangles or whole regions.
  virtual size_t NoiseSize(size_t num_patches) const;

  // Masks exactly NumMasked patches. Of each region's patches those with the largest
  // noise are masked, ties to the higher patch id; `noise` has NoiseSize values, the
  // patches' first. `progress` is the part of the run that is over, in [0, 1].
  PatchMask Draw(const RegionMap& regions, std::span<const double> noise,
                 double progress = 0.0) const;

  const MaskOptions& options() const { return options_; }

 private:
  // Patches with the largest values are masked first; as the noise where a strategy has
  // no other wish.
  virtual std::vector<double> Preferences(const PatchGrid& grid,
                                          std::span<const double> noise) const;

  MaskOptions options_;
};

// Error: InvalidArgument as Validate.
absl::StatusOr<std::unique_ptr<MaskStrategy>> MakeMaskStrategy(const MaskOptions& options,
                                                               int num_patches);

}  // namespace g2ll::mask

#endif  // WORKER_MASK_MASK_STRATEGY_H_
