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
#include "worker/data/sampler.h"
#include "worker/mask/mask_strategy.h"

namespace g2ll::data {

// How images become the network's input.
struct InputOptions {
  int image_size = 256;
  int patch = 16;
  bool imagenet_norm = true;  // false: x/255
};

// Settings of the pre-training loader.
struct PretrainLoaderOptions {
  InputOptions input;
  ViewOptions augmentation;
  mask::MaskOptions mask;
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
// image by area/cubic, mask by nearest. For validation and test.
absl::StatusOr<SegmentationBatch> LoadSegmentationBatch(const Dataset& dataset,
                                                        const std::vector<int64_t>& indices,
                                                        const InputOptions& input);

}  // namespace g2ll::data

#endif  // WORKER_DATA_LOADER_H_
