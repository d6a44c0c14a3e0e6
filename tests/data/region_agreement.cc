#include "tests/data/region_agreement.h"

#include <algorithm>
#include <cstddef>

namespace g2ll::data::test {
namespace {

// Pixels whose right or lower neighbor has another label.
std::vector<bool> Borders(const LabelMap& map) {
  const auto width = static_cast<size_t>(map.width);
  std::vector<bool> borders(map.labels.size());
  for (size_t pixel = 0; pixel < map.labels.size(); ++pixel) {
    const uint16_t label = map.labels[pixel];
    borders[pixel] = (pixel % width + 1 < width && map.labels[pixel + 1] != label) ||
                     (pixel + width < map.labels.size() && map.labels[pixel + width] != label);
  }
  return borders;
}

}  // namespace

int NumRegions(const LabelMap& map) {
  return *std::max_element(map.labels.begin(), map.labels.end()) + 1;
}

std::vector<int> RegionCounts(const LabelMap& map) {
  std::vector<int> counts(static_cast<size_t>(NumRegions(map)), 0);
  for (const uint16_t label : map.labels) ++counts[label];
  return counts;
}

double BoundaryRecall(const LabelMap& map, const LabelMap& reference, int reach) {
  const std::vector<bool> ours = Borders(map);
  const std::vector<bool> theirs = Borders(reference);
  const auto is_near = [&](int row, int column) {
    for (int y = std::max(0, row - reach); y <= std::min(map.height - 1, row + reach); ++y) {
      for (int x = std::max(0, column - reach); x <= std::min(map.width - 1, column + reach); ++x) {
        if (ours[static_cast<size_t>(y * map.width + x)]) return true;
      }
    }
    return false;
  };
  int borders = 0;
  int found = 0;
  for (int pixel = 0; pixel < map.height * map.width; ++pixel) {
    if (!theirs[static_cast<size_t>(pixel)]) continue;
    ++borders;
    found += is_near(pixel / map.width, pixel % map.width) ? 1 : 0;
  }
  return borders == 0 ? 1.0 : static_cast<double>(found) / borders;
}

double RegionPurity(const LabelMap& map, const LabelMap& reference) {
  const auto columns = static_cast<size_t>(NumRegions(reference));
  std::vector<int> shared(static_cast<size_t>(NumRegions(map)) * columns, 0);
  for (size_t pixel = 0; pixel < map.labels.size(); ++pixel) {
    ++shared[map.labels[pixel] * columns + reference.labels[pixel]];
  }
  int pure = 0;
  for (auto row = shared.begin(); row != shared.end(); row += static_cast<ptrdiff_t>(columns)) {
    pure += *std::max_element(row, row + static_cast<ptrdiff_t>(columns));
  }
  return static_cast<double>(pure) / static_cast<double>(map.labels.size());
}

}  // namespace g2ll::data::test
