#include "worker/mask/patch_labels.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/status/status.h"

namespace g2ll::mask {
namespace {

int NumRegions(const PatchLabels& labels) {
  const auto largest = std::max_element(labels.labels.begin(), labels.labels.end());
  return largest == labels.labels.end() ? 0 : *largest + 1;
}

}  // namespace

absl::StatusOr<PatchLabels> MajorityLabels(std::span<const uint16_t> pixel_labels, int height,
                                           int width, int patch) {
  if (patch < 1 || height < patch || width < patch || height % patch != 0 || width % patch != 0 ||
      pixel_labels.size() != static_cast<size_t>(height) * static_cast<size_t>(width)) {
    return absl::InvalidArgumentError("the label map is not a whole number of patches");
  }
  const uint16_t largest = *std::max_element(pixel_labels.begin(), pixel_labels.end());
  PatchLabels result;
  result.grid = {height / patch, width / patch};
  result.labels.reserve(static_cast<size_t>(result.grid.num_patches()));
  std::vector<int> votes(size_t{largest} + 1);
  for (int row = 0; row < result.grid.rows; ++row) {
    for (int col = 0; col < result.grid.cols; ++col) {
      std::fill(votes.begin(), votes.end(), 0);
      for (int y = row * patch; y < (row + 1) * patch; ++y) {
        const uint16_t* line = pixel_labels.data() + static_cast<size_t>(y) * width + col * patch;
        for (int x = 0; x < patch; ++x) ++votes[line[x]];
      }
      // max_element returns the first of equals: the lower label.
      const auto winner = std::max_element(votes.begin(), votes.end());
      result.labels.push_back(static_cast<int>(winner - votes.begin()));
    }
  }
  return result;
}

std::vector<int> RegionSizes(const PatchLabels& labels) {
  std::vector<int> sizes(static_cast<size_t>(NumRegions(labels)), 0);
  for (const int label : labels.labels) ++sizes[static_cast<size_t>(label)];
  return sizes;
}

std::vector<double> MeanCenterDistances(const PatchLabels& labels) {
  const std::vector<int> sizes = RegionSizes(labels);
  std::vector<double> distances(sizes.size(), 0.0);
  const double center_row = (labels.grid.rows - 1) / 2.0;
  const double center_col = (labels.grid.cols - 1) / 2.0;
  for (int patch = 0; patch < labels.grid.num_patches(); ++patch) {
    const double dy = patch / labels.grid.cols - center_row;
    const double dx = patch % labels.grid.cols - center_col;
    const auto region = static_cast<size_t>(labels.labels[static_cast<size_t>(patch)]);
    distances[region] += std::sqrt(dy * dy + dx * dx);
  }
  for (size_t region = 0; region < sizes.size(); ++region) {
    distances[region] = sizes[region] == 0 ? -1.0 : distances[region] / sizes[region];
  }
  return distances;
}

PatchLabels FlipHorizontally(const PatchLabels& labels) {
  PatchLabels flipped = labels;
  for (int row = 0; row < labels.grid.rows; ++row) {
    const auto begin = flipped.labels.begin() + static_cast<ptrdiff_t>(row) * labels.grid.cols;
    std::reverse(begin, begin + labels.grid.cols);
  }
  return flipped;
}

PatchLabels FlipVertically(const PatchLabels& labels) {
  PatchLabels flipped = labels;
  for (int row = 0; row < labels.grid.rows / 2; ++row) {
    const auto top = flipped.labels.begin() + static_cast<ptrdiff_t>(row) * labels.grid.cols;
    const auto bottom = flipped.labels.begin() +
                        static_cast<ptrdiff_t>(labels.grid.rows - 1 - row) * labels.grid.cols;
    std::swap_ranges(top, top + labels.grid.cols, bottom);
  }
  return flipped;
}

}  // namespace g2ll::mask
