#include "worker/mask/region_map.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace g2ll::mask {
namespace {

// Whether the middle of the index-th of `count` cells lies in the central half.
bool IsInWindow(int index, int count) {
  return 4 * index + 2 >= count && 4 * index + 2 < 3 * count;
}

double ToNineDecimals(double value) { return std::round(value * 1e9); }

}  // namespace

std::vector<RegionTraits> PlacesOf(const PatchLabels& patches) {
  const PatchGrid& grid = patches.grid;
  const std::vector<int> sizes = RegionSizes(patches);
  const std::vector<double> distances = MeanCenterDistances(patches);
  std::vector<int> in_window(sizes.size(), 0);
  std::vector<RegionTraits> traits(sizes.size());
  for (int patch = 0; patch < grid.num_patches(); ++patch) {
    const auto region = static_cast<size_t>(patches.labels[static_cast<size_t>(patch)]);
    const int row = patch / grid.cols;
    const int col = patch % grid.cols;
    if (row == 0 || col == 0 || row + 1 == grid.rows || col + 1 == grid.cols) {
      traits[region].touches_border = true;
    }
    if (IsInWindow(row, grid.rows) && IsInWindow(col, grid.cols)) ++in_window[region];
  }
  for (size_t region = 0; region < sizes.size(); ++region) {
    traits[region].center_distance = distances[region];
    if (sizes[region] > 0) {
      traits[region].window_share = static_cast<double>(in_window[region]) / sizes[region];
    }
  }
  return traits;
}

RegionMap MakeRegionMap(PatchLabels patches) {
  RegionMap map;
  map.traits = PlacesOf(patches);
  map.patches = std::move(patches);
  return map;
}

double Saliency(const RegionTraits& traits, const PatchGrid& grid) {
  constexpr double kSpread = 5.0 / 16.0;  // of a side
  const double side = (grid.rows + grid.cols) / 2.0;
  const double distance = traits.center_distance / (kSpread * side);
  return traits.contrast * std::exp(-distance * distance / 2.0);
}

std::vector<int> CentralityOrder(const RegionMap& regions, CentralOrder order) {
  struct Place {
    int region;
    double saliency;
    double distance;
  };
  const std::vector<int> sizes = RegionSizes(regions.patches);
  std::vector<Place> places;
  for (size_t region = 0; region < sizes.size(); ++region) {
    if (sizes[region] == 0) continue;
    const RegionTraits& traits = regions.traits[region];
    const bool by_saliency = order == CentralOrder::kSaliency;
    places.push_back({static_cast<int>(region),
                      by_saliency ? ToNineDecimals(Saliency(traits, regions.patches.grid)) : 0.0,
                      ToNineDecimals(traits.center_distance)});
  }
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return a.saliency != b.saliency ? a.saliency > b.saliency : a.distance < b.distance;
  });
  std::vector<int> ids;
  ids.reserve(places.size());
  for (const Place& place : places) ids.push_back(place.region);
  return ids;
}

}  // namespace g2ll::mask
