#include "worker/mask/block_mask.h"

#include <algorithm>
#include <cmath>

namespace g2ll::mask {
namespace {

constexpr size_t kMaxRectangles = 64;
constexpr size_t kNoisePerRectangle = 4;

struct Rectangle {
  int top = 0;
  int left = 0;
  int rows = 0;
  int cols = 0;
};

// Of `area` patches as far as rounding allows, anywhere in the grid; `noise` holds
// the numbers for the ratio of the sides and the place. No rows if it does not fit.
Rectangle Place(const PatchGrid& grid, double area, std::span<const double> noise) {
  static const double kLogRatio = std::log(1.0 / 0.3);
  const double ratio = std::exp(kLogRatio * (2.0 * noise[0] - 1.0));
  Rectangle box;
  box.rows = std::max(1, static_cast<int>(std::lround(std::sqrt(area * ratio))));
  box.cols = std::max(1, static_cast<int>(std::lround(std::sqrt(area / ratio))));
  if (box.rows > grid.rows || box.cols > grid.cols) return {};
  box.top = static_cast<int>(noise[1] * (grid.rows - box.rows + 1));
  box.left = static_cast<int>(noise[2] * (grid.cols - box.cols + 1));
  return box;
}

// Marks patches of the rectangle row by row while `left` is above 0.
void Mark(const PatchGrid& grid, const Rectangle& box, std::vector<bool>& marked, int& left) {
  for (int row = box.top; row < box.top + box.rows; ++row) {
    for (int col = box.left; col < box.left + box.cols && left > 0; ++col) {
      const auto patch = static_cast<size_t>(row * grid.cols + col);
      if (marked[patch]) continue;
      marked[patch] = true;
      --left;
    }
  }
}

}  // namespace

MaskPlan BlockMask::Plan(const RegionMap&) const {
  MaskPlan plan;
  plan.unstructured = true;
  return plan;
}

size_t BlockMask::NoiseSize(size_t num_patches) const {
  return num_patches + kMaxRectangles * kNoisePerRectangle;
}

std::vector<double> BlockMask::Preferences(const PatchGrid& grid,
                                           std::span<const double> noise) const {
  const auto num_patches = static_cast<size_t>(grid.num_patches());
  const double smallest = std::max(1.0, grid.num_patches() * 16.0 / 256.0);
  std::vector<bool> marked(num_patches, false);
  int left = NumMasked(grid.num_patches(), options().gamma);
  for (size_t i = 0; i < kMaxRectangles && left > 0; ++i) {
    const std::span<const double> draw =
        noise.subspan(num_patches + i * kNoisePerRectangle, kNoisePerRectangle);
    const double largest = std::max(smallest, static_cast<double>(left));
    const double area = smallest + (largest - smallest) * draw[3];
    Mark(grid, Place(grid, area, draw), marked, left);
  }
  // Noise is below 1, so the patches of rectangles come first.
  std::vector<double> preferences(noise.begin(),
                                  noise.begin() + static_cast<ptrdiff_t>(num_patches));
  for (size_t patch = 0; patch < num_patches; ++patch) {
    if (marked[patch]) preferences[patch] += 1.0;
  }
  return preferences;
}

}  // namespace g2ll::mask
