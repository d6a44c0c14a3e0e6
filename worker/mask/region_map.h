#ifndef WORKER_MASK_REGION_MAP_H_
#define WORKER_MASK_REGION_MAP_H_

#include <vector>

#include "worker/mask/patch_labels.h"

namespace g2ll::mask {

// From the most central region to the least.
enum class CentralOrder {
  kDistance,  // by mean distance to the center
  kSaliency,  // by contrast to the border, weighted by closeness to the center
};

// Where a region lies in the whole image and how it looks. A view cropped from the
// image keeps this (method 2.2, row 10).
struct RegionTraits {
  // Mean distance of its patches to the center, in patches; -1 where nothing is known.
  double center_distance = -1.0;
  // One of its patches lies at the border.
  bool touches_border = false;
  // Share of its patches in the central half of each side, in [0, 1].
  double window_share = 0.0;
  // Mean Lab distance of its patches to the median color of the border's patches
  // (method 2.5), at least 0; 0 where it was not measured.
  double contrast = 0.0;

  bool operator==(const RegionTraits&) const = default;
};

// The regions of an image as masks see them.
struct RegionMap {
  PatchLabels patches;
  std::vector<RegionTraits> traits;  // at least one entry for each region id
};

// What the patches alone tell; an id without patches keeps the initial values.
std::vector<RegionTraits> PlacesOf(const PatchLabels& patches);

// A map with the places of its own patches.
RegionMap MakeRegionMap(PatchLabels patches);

// Contrast times exp(-d^2 / (2 * 5^2)), d being the distance in patches of a grid of 16;
// on another grid distances are scaled, so that the prior covers the same part of the
// picture.
double Saliency(const RegionTraits& traits, const PatchGrid& grid);

// Non-empty regions, most central first. Distances, or saliencies, that agree to nine
// decimals are ties (mirrored regions differ by rounding only): equal saliency goes to
// the smaller distance, and then the lower id is more central.
std::vector<int> CentralityOrder(const RegionMap& regions,
                                 CentralOrder order = CentralOrder::kDistance);

}  // namespace g2ll::mask

#endif  // WORKER_MASK_REGION_MAP_H_
