#include "worker/data/clean_image.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "proto/common/status_macros.h"
#include "worker/data/region_contrast.h"

namespace g2ll::data {
namespace {

// Where each region lies by its pixels: as mask::RegionTraits, with pixels for patches.
std::vector<mask::RegionTraits> PlacesOfPixels(const LabelMap& pixels, int patch,
                                               size_t num_regions) {
  std::vector<mask::RegionTraits> places(num_regions, {.center_distance = 0.0});
  std::vector<int64_t> counts(num_regions, 0);
  const double center_y = (pixels.height - 1) / 2.0;
  const double center_x = (pixels.width - 1) / 2.0;
  for (int y = 0; y < pixels.height; ++y) {
    for (int x = 0; x < pixels.width; ++x) {
      const auto width = static_cast<size_t>(pixels.width);
      const size_t region = pixels.labels[static_cast<size_t>(y) * width + static_cast<size_t>(x)];
      const double dy = y - center_y;
      const double dx = x - center_x;
      mask::RegionTraits& place = places[region];
      place.center_distance += std::sqrt(dy * dy + dx * dx) / patch;
      place.touches_border |=
          y < patch || x < patch || y >= pixels.height - patch || x >= pixels.width - patch;
      const bool is_in_window =
          std::abs(dy) < pixels.height / 4.0 && std::abs(dx) < pixels.width / 4.0;
      place.window_share += is_in_window ? 1.0 : 0.0;
      ++counts[region];
    }
  }
  for (size_t region = 0; region < num_regions; ++region) {
    const auto count = static_cast<double>(std::max<int64_t>(counts[region], 1));
    places[region].center_distance /= count;
    places[region].window_share /= count;
  }
  return places;
}

absl::StatusOr<mask::RegionMap> RegionsOfPicture(const RegionRequest& request, const Image& image,
                                                 const LabelMap& pixels) {
  G2LL_ASSIGN_OR_RETURN(mask::RegionMap regions, RegionsOfPatches(pixels, request.patch));
  if (request.needs_contrast) MeasureContrast(image, pixels, request.patch, regions);
  return regions;
}

}  // namespace

int64_t CleanImage::bytes() const {
  return static_cast<int64_t>(sizeof(CleanImage) + image.pixels.size() + mask.pixels.size() +
                              pixel_regions.labels.size() * sizeof(uint16_t) +
                              regions.patches.labels.size() * sizeof(int) +
                              regions.traits.size() * sizeof(mask::RegionTraits));
}

absl::StatusOr<std::shared_ptr<const CleanImage>> CleanImageStore::Get(int64_t index) {
  {
    absl::MutexLock lock(&mutex_);
    if (const auto kept = images_.find(index); kept != images_.end()) return kept->second;
  }
  // Two threads may make the same image; both results are equal and one is kept.
  G2LL_ASSIGN_OR_RETURN(CleanImage made, maker_(index));
  auto clean = std::make_shared<const CleanImage>(std::move(made));
  absl::MutexLock lock(&mutex_);
  if (bytes_ + clean->bytes() <= max_bytes_ && images_.emplace(index, clean).second) {
    bytes_ += clean->bytes();
  }
  return clean;
}

absl::StatusOr<mask::RegionMap> RegionsOfPatches(const LabelMap& pixels, int patch) {
  G2LL_ASSIGN_OR_RETURN(mask::PatchLabels labels,
                        mask::MajorityLabels(pixels.labels, pixels.height, pixels.width, patch));
  mask::RegionMap regions = mask::MakeRegionMap(std::move(labels));
  const size_t num_regions =
      size_t{*std::max_element(pixels.labels.begin(), pixels.labels.end())} + 1;
  regions.traits.resize(num_regions);
  std::vector<int> sizes = mask::RegionSizes(regions.patches);
  sizes.resize(num_regions, 0);
  if (std::find(sizes.begin(), sizes.end(), 0) == sizes.end()) return regions;
  const std::vector<mask::RegionTraits> by_pixels = PlacesOfPixels(pixels, patch, num_regions);
  for (size_t region = 0; region < num_regions; ++region) {
    if (sizes[region] == 0) regions.traits[region] = by_pixels[region];
  }
  return regions;
}

absl::Status MakeRegions(const RegionRequest& request, SuperpixelCache* cache, CleanImage& clean) {
  std::optional<LabelMap> pixels;
  std::string key;
  if (cache != nullptr) {
    key = SuperpixelCache::KeyOf(clean.image, request.slic);
    pixels = cache->Find(key);
    if (pixels && (pixels->height != clean.image.height || pixels->width != clean.image.width)) {
      pixels.reset();
    }
  }
  if (!pixels) {
    pixels = SlicRegions(clean.image, request.slic);
    if (cache != nullptr) cache->Store(key, *pixels);
  }
  G2LL_ASSIGN_OR_RETURN(clean.regions, RegionsOfPicture(request, clean.image, *pixels));
  if (request.needs_pixels) clean.pixel_regions = *std::move(pixels);
  return absl::OkStatus();
}

absl::StatusOr<mask::RegionMap> CutRegions(const RegionRequest& request, const Image& image) {
  return RegionsOfPicture(request, image, SlicRegions(image, request.slic));
}

}  // namespace g2ll::data
