#ifndef WORKER_DATA_LOADER_H_
#define WORKER_DATA_LOADER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/augmentation.h"
#include "worker/data/batch.h"
#include "worker/data/dataset.h"
#include "worker/data/pixel_scale.h"
#include "worker/data/sampler.h"
#include "worker/data/slic.h"
#include "worker/mask/mask_strategy.h"

namespace g2ll::data {

// How images become the network's input.
struct InputOptions {
  int image_size = 256;
  int patch = 16;
  PixelScale scale = kImagenetScale;
};

// Settings of the pre-training loader.
struct PretrainLoaderOptions {
  InputOptions input;
  ViewOptions augmentation;
  mask::MaskOptions mask;
  SlicOptions slic;  // with as many regions as `mask` says
  // Every view is cut into regions anew; places are those in the view. Else the clean
  // image is cut once and its regions follow the view.
  bool regions_per_view = false;
  // Updates of the whole run, at least 1: the length of a curriculum of masks.
  int64_t schedule_steps = 1;
  int num_views = 2;
  int64_t seed = 0;
  // Decode, augment and mask in so many threads of its own, at least 1.
  int threads = 1;
  // Batches made ahead, at least 1: the bound of its memory.
  int prefetch = 2;
  // Folder of the superpixel cache; empty: no cache on disk.
  std::string cache_dir;
  // Decoded and resized images kept in memory, at most so many bytes.
  int64_t memory_cache_bytes = int64_t{1} << 30;
};

// Makes the batches of one rank in step order, ahead of their use.
//
// Everything random is keyed by (seed, epoch, data set index, view), so a batch
// depends on neither the number of ranks and threads nor on where the run began.
//
// With mask.shared both views draw with the first view's numbers. Where views differ
// from the image by flips at most and share its regions, the mask is drawn once in the
// image's frame and flipped with each view, so that both hide the same parts of the
// picture. Where they are cropped or cut into regions of their own, the same numbers
// are used on each view's own patches.
class PretrainLoader {
 public:
  // Starts the threads; the first batch is that of `first_step`. `dataset` and
  // `sampler` must outlive the loader. Keeps OpenCV from starting threads of its own
  // in this process. Errors: InvalidArgument (options that do not fit together, named),
  // Unavailable (the cache folder cannot be written).
  static absl::StatusOr<std::unique_ptr<PretrainLoader>> Create(
      const Dataset& dataset, const ShardSampler& sampler, const PretrainLoaderOptions& options,
      int64_t first_step);
  virtual ~PretrainLoader() = default;

  // The next step's batch; waits until it is ready. Errors: DataLoss (an image
  // cannot be read; names it). One caller at a time.
  virtual absl::StatusOr<PretrainBatch> Next() = 0;
};

// Settings of the segmentation loader.
struct SegmentationLoaderOptions {
  InputOptions input;
  // Absent: no random change, as in validation and test.
  std::optional<SegmentationAugmentOptions> augmentation;
  // Probability that a rectangle of another image of the same global batch is pasted
  // over an image and its mask (CutMix): the place it covers, as that image is seen in
  // this batch. Its area is uniform in [0.02, 0.4] of the image, its aspect ratio
  // log-uniform in [0.3, 1/0.3]. Only with `augmentation`.
  double cutmix = 0;
  int64_t seed = 0;
  int threads = 1;
  int prefetch = 2;
  // As in PretrainLoaderOptions.
  int64_t memory_cache_bytes = int64_t{1} << 30;
};

// The same for images with masks; `dataset` was opened with `needs_masks`.
class SegmentationLoader {
 public:
  static absl::StatusOr<std::unique_ptr<SegmentationLoader>> Create(
      const Dataset& dataset, const ShardSampler& sampler, const SegmentationLoaderOptions& options,
      int64_t first_step);
  virtual ~SegmentationLoader() = default;
  virtual absl::StatusOr<SegmentationBatch> Next() = 0;
};

// Reads and resizes the given images in order, without random change:
// image by area/cubic, mask by nearest. For validation and test. Reads `threads` images at
// the same time. `native_masks`, where it is given, becomes the masks at their own size.
absl::StatusOr<SegmentationBatch> LoadSegmentationBatch(
    const Dataset& dataset, const std::vector<int64_t>& indices, const InputOptions& input,
    int threads = 1, std::vector<LesionMask>* native_masks = nullptr);

}  // namespace g2ll::data

#endif  // WORKER_DATA_LOADER_H_
