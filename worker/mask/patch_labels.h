#ifndef WORKER_MASK_PATCH_LABELS_H_
#define WORKER_MASK_PATCH_LABELS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace g2ll::mask {

// How an image is cut into patches, row-major.
struct PatchGrid {
  int rows = 0;
  int cols = 0;
  int num_patches() const { return rows * cols; }
};

// Region of each patch, row-major, size rows * cols; ids are 0 or more. An id
// without patches is allowed.
struct PatchLabels {
  PatchGrid grid;
  std::vector<int> labels;
};

// The label that most pixels of each patch hold; ties go to the lower label.
// `pixel_labels` is row-major [height, width]; both sides are multiples of `patch`.
// Errors: InvalidArgument (sizes that do not fit).
absl::StatusOr<PatchLabels> MajorityLabels(std::span<const uint16_t> pixel_labels, int height,
                                           int width, int patch);

// Patches of each region id, 0 .. largest id.
std::vector<int> RegionSizes(const PatchLabels& labels);

// Mean Euclidean distance of each region's patch centers to the center of the
// grid, in patches; -1 for an id without patches.
std::vector<double> MeanCenterDistances(const PatchLabels& labels);

// Mirror images, so that labels follow a flipped picture exactly.
PatchLabels FlipHorizontally(const PatchLabels& labels);
PatchLabels FlipVertically(const PatchLabels& labels);

}  // namespace g2ll::mask

#endif  // WORKER_MASK_PATCH_LABELS_H_
