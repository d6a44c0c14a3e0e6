#ifndef WORKER_DATA_CLASSIFICATION_LOADER_H_
#define WORKER_DATA_CLASSIFICATION_LOADER_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/augmentation.h"
#include "worker/data/dataset.h"
#include "worker/data/loader.h"
#include "worker/data/sampler.h"

namespace g2ll::data {

// One rank's share of a step of learning diagnoses.
struct ClassificationBatch {
  // Normalised pixels, [B, 3, S, S] float32.
  torch::Tensor images;
  // Class of each image, [B] int64.
  torch::Tensor classes;
  // Images of each class in the global batch of all ranks, [C] int64: what a weighted
  // mean over that batch divides by, known to every rank without asking the others.
  std::vector<int64_t> global_class_counts;
  // Data set index of each image, and the pass over the data (from 0) of this step.
  std::vector<int64_t> indices;
  int64_t epoch = 0;
};

// Settings of the classification loader.
struct ClassificationLoaderOptions {
  InputOptions input;
  // Random changes, those of a first view.
  ViewOptions augmentation;
  int64_t seed = 0;
  int threads = 1;
  int prefetch = 2;
  // As in PretrainLoaderOptions.
  int64_t memory_cache_bytes = int64_t{1} << 30;
};

// PretrainLoader's sibling for images with diagnoses: one view each, no masks, the same
// keys of everything random. `dataset` was opened with `needs_classes`.
class ClassificationLoader {
 public:
  // `dataset` and `sampler` must outlive the loader. Error: InvalidArgument (options
  // that do not fit together, a data set without classes).
  static absl::StatusOr<std::unique_ptr<ClassificationLoader>> Create(
      const Dataset& dataset, const ShardSampler& sampler,
      const ClassificationLoaderOptions& options, int64_t first_step);
  virtual ~ClassificationLoader() = default;

  // The next step's batch; waits until it is ready. Errors: DataLoss (an image cannot be
  // read; names it). One caller at a time.
  virtual absl::StatusOr<ClassificationBatch> Next() = 0;
};

// Reads and resizes the given images in order, without random change; their own classes
// are counted. For validation. Errors: as Create and Next.
absl::StatusOr<ClassificationBatch> LoadClassificationBatch(const Dataset& dataset,
                                                            const std::vector<int64_t>& indices,
                                                            const InputOptions& input);

}  // namespace g2ll::data

#endif  // WORKER_DATA_CLASSIFICATION_LOADER_H_
