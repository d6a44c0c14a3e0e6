#include "worker/data/clean_image.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "proto/common/status_macros.h"

namespace g2ll::data {
namespace {

// Mean distance of each region's pixels to the center of the picture, in patches.
std::vector<double> PixelDistances(const LabelMap& pixels, int patch, size_t num_regions) {
  std::vector<double> sums(num_regions, 0.0);
  std::vector<int64_t> counts(num_regions, 0);
  const double center_y = (pixels.height - 1) / 2.0;
  const double center_x = (pixels.width - 1) / 2.0;
  for (size_t i = 0; i < pixels.labels.size(); ++i) {
    const auto width = static_cast<size_t>(pixels.width);
    const double dy = static_cast<double>(i / width) - center_y;
    const double dx = static_cast<double>(i % width) - center_x;
    sums[pixels.labels[i]] += std::sqrt(dy * dy + dx * dx) / patch;
    ++counts[pixels.labels[i]];
  }
  for (size_t region = 0; region < num_regions; ++region) {
    sums[region] /= static_cast<double>(std::max<int64_t>(counts[region], 1));
  }
  return sums;
}

}  // namespace

int64_t CleanImage::bytes() const {
  return static_cast<int64_t>(sizeof(CleanImage) + image.pixels.size() + mask.pixels.size() +
                              pixel_regions.labels.size() * sizeof(uint16_t) +
                              regions.patches.labels.size() * sizeof(int) +
                              regions.center_distances.size() * sizeof(double));
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
  regions.center_distances.resize(num_regions, -1.0);
  const std::vector<double> by_pixels = PixelDistances(pixels, patch, num_regions);
  for (size_t region = 0; region < num_regions; ++region) {
    if (regions.center_distances[region] < 0) regions.center_distances[region] = by_pixels[region];
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
  G2LL_ASSIGN_OR_RETURN(clean.regions, RegionsOfPatches(*pixels, request.patch));
  if (request.needs_pixels) clean.pixel_regions = *std::move(pixels);
  return absl::OkStatus();
}

}  // namespace g2ll::data
