#include "worker/data/classification_loader.h"

#include <cstddef>
#include <utility>

#include "proto/common/status_macros.h"
#include "worker/data/clean_image.h"
#include "worker/data/input_checks.h"
#include "worker/data/pixel_tensor.h"
#include "worker/data/resize.h"
#include "worker/data/step_pipeline.h"
#include "worker/data/view_augmentation.h"
#include "worker/random/rng.h"

namespace g2ll::data {
namespace {

absl::StatusOr<CleanImage> LoadClean(const Dataset& dataset, int64_t index, int side) {
  G2LL_ASSIGN_OR_RETURN(const Image image, dataset.LoadImageFor(index, side));
  CleanImage clean;
  clean.image = ResizeImage(image, side, side);
  return clean;
}

// Everything but the pixels.
ClassificationBatch EmptyBatch(const ClassLabels& labels, std::vector<int64_t> indices,
                               const std::vector<int64_t>& global_indices, int64_t side) {
  const auto rows = static_cast<int64_t>(indices.size());
  ClassificationBatch batch;
  batch.images = torch::empty({rows, 3, side, side}, torch::kFloat32);
  batch.classes = torch::empty({rows}, torch::kInt64);
  auto* const classes = batch.classes.data_ptr<int64_t>();
  for (size_t row = 0; row < indices.size(); ++row) {
    classes[row] = labels.of_image[static_cast<size_t>(indices[row])];
  }
  batch.global_class_counts.assign(labels.names.size(), 0);
  for (const int64_t index : global_indices) {
    ++batch.global_class_counts[static_cast<size_t>(labels.of_image[static_cast<size_t>(index)])];
  }
  batch.indices = std::move(indices);
  return batch;
}

void WriteRow(int64_t row, const Image& image, const NormTable& norm, ClassificationBatch& batch) {
  const int64_t num_pixels = int64_t{image.height} * image.width;
  WritePixels(image, norm, batch.images.data_ptr<float>() + row * 3 * num_pixels);
}

class ClassificationLoaderImpl final : public ClassificationLoader {
 public:
  ClassificationLoaderImpl(const Dataset& dataset, const ShardSampler& sampler,
                           const ClassificationLoaderOptions& options, int64_t first_step)
      : sampler_(sampler),
        options_(options),
        norm_(MakeNormTable(options.input.scale)),
        images_([&dataset, side = options.input.image_size](
                    int64_t index) { return LoadClean(dataset, index, side); },
                options.memory_cache_bytes),
        pipeline_(
            [this, &dataset](int64_t step, ClassificationBatch& batch) {
              batch = EmptyBatch(dataset.classes(), sampler_.Indices(step),
                                 sampler_.GlobalIndices(step), options_.input.image_size);
              batch.epoch = sampler_.epoch(step);
              return static_cast<int64_t>(batch.indices.size());
            },
            [this](int64_t, int64_t item, ClassificationBatch& batch) { return Fill(item, batch); },
            first_step, options.threads, options.prefetch) {}

  absl::StatusOr<ClassificationBatch> Next() override { return pipeline_.Next(); }

 private:
  absl::Status Fill(int64_t item, ClassificationBatch& batch) {
    const int64_t index = batch.indices[static_cast<size_t>(item)];
    G2LL_ASSIGN_OR_RETURN(const std::shared_ptr<const CleanImage> clean, images_.Get(index));
    const random::Key key{.seed = static_cast<uint64_t>(options_.seed),
                          .epoch = static_cast<uint64_t>(batch.epoch),
                          .sample = static_cast<uint64_t>(index)};
    G2LL_ASSIGN_OR_RETURN(const View view,
                          MakeView(*clean, options_.augmentation, options_.input.patch, key));
    WriteRow(item, view.image, norm_, batch);
    return absl::OkStatus();
  }

  const ShardSampler& sampler_;
  const ClassificationLoaderOptions options_;
  const NormTable norm_;
  CleanImageStore images_;
  StepPipeline<ClassificationBatch> pipeline_;  // last: its threads use everything above
};

absl::Status CheckClasses(const Dataset& dataset) {
  if (dataset.classes().names.size() >= 2) return absl::OkStatus();
  return absl::InvalidArgumentError("the data set was opened without its diagnoses");
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClassificationLoader>> ClassificationLoader::Create(
    const Dataset& dataset, const ShardSampler& sampler, const ClassificationLoaderOptions& options,
    int64_t first_step) {
  G2LL_RETURN_IF_ERROR(internal::CheckInput(options.input, options.threads, options.prefetch));
  G2LL_RETURN_IF_ERROR(CheckClasses(dataset));
  internal::UseNoOpenCvThreads();
  return std::make_unique<ClassificationLoaderImpl>(dataset, sampler, options, first_step);
}

absl::StatusOr<ClassificationBatch> LoadClassificationBatch(const Dataset& dataset,
                                                            const std::vector<int64_t>& indices,
                                                            const InputOptions& input) {
  G2LL_RETURN_IF_ERROR(internal::CheckInput(input, 1, 1));
  G2LL_RETURN_IF_ERROR(CheckClasses(dataset));
  const NormTable norm = MakeNormTable(input.scale);
  ClassificationBatch batch = EmptyBatch(dataset.classes(), indices, indices, input.image_size);
  for (size_t row = 0; row < indices.size(); ++row) {
    G2LL_ASSIGN_OR_RETURN(const CleanImage clean,
                          LoadClean(dataset, indices[row], input.image_size));
    WriteRow(static_cast<int64_t>(row), clean.image, norm, batch);
  }
  return batch;
}

}  // namespace g2ll::data
