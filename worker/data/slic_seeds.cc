#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "worker/data/slic.h"

namespace g2ll::data {
namespace {

// A regular arrangement: rows `step` apart that start at `offset`.
int CountFrom(int offset, int length, int step) {
  return offset >= length ? 0 : (length - offset - 1) / step + 1;
}

// OpenCV's strips: as many as fit when half a step counts as one.
int Strips(int length, int step) {
  return std::max(1, static_cast<int>(std::lround(static_cast<double>(length) / step)));
}

// How many seeds SeedsAtStep places.
int CountSeeds(int height, int width, int step, SlicLayout layout) {
  if (layout == SlicLayout::kGrid) return Strips(height, step) * Strips(width, step);
  const int offset = step / 2;
  const int rows = CountFrom(offset, height, step);
  const int odd_rows = rows / 2;
  const int count = (rows - odd_rows) * CountFrom(offset, width, step) +
                    odd_rows * CountFrom(2 * offset, width, step);
  return std::max(count, 1);
}

// Odd rows are shifted by half a step.
std::vector<SlicSeed> HexagonalSeeds(int height, int width, int step) {
  std::vector<SlicSeed> seeds;
  const int offset = step / 2;
  for (int row = 0; row * step + offset < height; ++row) {
    const int first = row % 2 == 0 ? offset : 2 * offset;
    for (int x = first; x < width; x += step) seeds.push_back({row * step + offset, x});
  }
  if (seeds.empty()) seeds.push_back({height / 2, width / 2});
  return seeds;
}

// In the middle of equal cells.
std::vector<SlicSeed> GridSeeds(int height, int width, int step) {
  std::vector<SlicSeed> seeds;
  const int rows = Strips(height, step);
  const int columns = Strips(width, step);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      seeds.push_back(
          {(2 * row + 1) * height / (2 * rows), (2 * column + 1) * width / (2 * columns)});
    }
  }
  return seeds;
}

}  // namespace

SlicSeeds SeedsAtStep(int height, int width, int step, SlicLayout layout) {
  return {step, layout == SlicLayout::kHex ? HexagonalSeeds(height, width, step)
                                           : GridSeeds(height, width, step)};
}

SlicSeeds PlaceSeeds(int height, int width, int regions, SlicLayout layout) {
  const double ideal = std::sqrt(static_cast<double>(height) * width / std::max(regions, 1));
  const int middle = std::max(1, static_cast<int>(std::lround(ideal)));
  int best = middle;
  int best_miss = std::numeric_limits<int>::max();
  // Outwards from the ideal step, so that among equals the nearest wins.
  for (int distance = 0; distance <= middle && best_miss > 0; ++distance) {
    for (const int step : {middle - distance, middle + distance}) {
      if (step < 1) continue;
      const int miss = std::abs(CountSeeds(height, width, step, layout) - regions);
      if (miss < best_miss) {
        best_miss = miss;
        best = step;
      }
    }
  }
  return SeedsAtStep(height, width, best, layout);
}

}  // namespace g2ll::data
