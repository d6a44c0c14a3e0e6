#ifndef WORKER_DATA_CLEAN_IMAGE_H_
#define WORKER_DATA_CLEAN_IMAGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "worker/data/dataset.h"
#include "worker/data/image.h"
#include "worker/data/resize.h"
#include "worker/data/slic.h"
#include "worker/data/superpixel_cache.h"
#include "worker/mask/mask_strategy.h"

namespace g2ll::data {

// An image at the network's size, before any random change, and what was derived
// from it once: its regions or its lesion mask.
struct CleanImage {
  Image image;
  // Regions of the patches, with their places in this image; empty where masks follow
  // none, or those of each view.
  mask::RegionMap regions;
  // Regions of the pixels; empty unless views are cropped.
  LabelMap pixel_regions;
  // Empty unless the image was loaded with its mask.
  LesionMask mask;

  int64_t bytes() const;
};

// Keeps clean images in memory up to a bound, so that a file is decoded once and not
// once an epoch. Images are kept first come: with every epoch in a new order, which
// ones makes no difference. Safe for use from many threads.
class CleanImageStore {
 public:
  using Maker = std::function<absl::StatusOr<CleanImage>(int64_t index)>;

  CleanImageStore(Maker maker, int64_t max_bytes)
      : maker_(std::move(maker)), max_bytes_(max_bytes) {}

  // The image with this data set index; made where it is not kept. Errors: as `maker`.
  absl::StatusOr<std::shared_ptr<const CleanImage>> Get(int64_t index);

 private:
  const Maker maker_;
  const int64_t max_bytes_;
  absl::Mutex mutex_;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<int64_t, std::shared_ptr<const CleanImage>> images_ ABSL_GUARDED_BY(mutex_);
};

// How a picture becomes regions.
struct RegionRequest {
  SlicOptions slic;
  int patch = 16;
  bool needs_pixels = false;    // views are cropped
  bool needs_contrast = false;  // regions are ordered by saliency
};

// Cuts `clean.image` into regions, or takes them from `cache` (may be null).
// Errors: InvalidArgument (a size that is not a whole number of patches).
absl::Status MakeRegions(const RegionRequest& request, SuperpixelCache* cache, CleanImage& clean);

// Cuts a picture into regions and keeps nothing: for views that are cut anew. Errors: as
// MakeRegions.
absl::StatusOr<mask::RegionMap> CutRegions(const RegionRequest& request, const Image& image);

// Region map of a picture whose pixel regions are known: majority labels of the patches;
// the place of a region without a patch is that of its pixels.
absl::StatusOr<mask::RegionMap> RegionsOfPatches(const LabelMap& pixels, int patch);

}  // namespace g2ll::data

#endif  // WORKER_DATA_CLEAN_IMAGE_H_
