#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "proto/common/status_macros.h"
#include "worker/data/clean_image.h"
#include "worker/data/cutmix.h"
#include "worker/data/input_checks.h"
#include "worker/data/loader.h"
#include "worker/data/parallel_for.h"
#include "worker/data/pixel_tensor.h"
#include "worker/data/resize.h"
#include "worker/data/step_pipeline.h"
#include "worker/data/view_augmentation.h"
#include "worker/random/rng.h"

namespace g2ll::data {
namespace {

absl::StatusOr<CleanImage> LoadPair(const Dataset& dataset, int64_t index, int side) {
  G2LL_ASSIGN_OR_RETURN(const Image image, dataset.LoadImageFor(index, side));
  G2LL_ASSIGN_OR_RETURN(const LesionMask mask, dataset.LoadMask(index));
  CleanImage clean;
  clean.image = ResizeImage(image, side, side);
  clean.mask = ResizeMask(mask, side, side);
  return clean;
}

SegmentationBatch EmptyBatch(std::vector<int64_t> indices, int64_t side) {
  const auto rows = static_cast<int64_t>(indices.size());
  SegmentationBatch batch;
  batch.images = torch::empty({rows, 3, side, side}, torch::kFloat32);
  batch.masks = torch::empty({rows, 1, side, side}, torch::kFloat32);
  batch.indices = std::move(indices);
  return batch;
}

void WriteRow(int64_t row, const Image& image, const LesionMask& mask, const NormTable& norm,
              SegmentationBatch& batch) {
  const int64_t num_pixels = int64_t{image.height} * image.width;
  WritePixels(image, norm, batch.images.data_ptr<float>() + row * 3 * num_pixels);
  WriteMask(mask, batch.masks.data_ptr<float>() + row * num_pixels);
}

// Without random change; `native_mask` becomes the mask at its own size.
absl::Status LoadRow(const Dataset& dataset, int64_t row, const NormTable& norm,
                     SegmentationBatch& batch, LesionMask& native_mask) {
  const int64_t index = batch.indices[static_cast<size_t>(row)];
  const auto side = static_cast<int>(batch.images.size(3));
  G2LL_ASSIGN_OR_RETURN(const Image image, dataset.LoadImageFor(index, side));
  G2LL_ASSIGN_OR_RETURN(native_mask, dataset.LoadMask(index));
  WriteRow(row, ResizeImage(image, side, side), ResizeMask(native_mask, side, side), norm, batch);
  return absl::OkStatus();
}

class SegmentationLoaderImpl final : public SegmentationLoader {
 public:
  SegmentationLoaderImpl(const Dataset& dataset, const ShardSampler& sampler,
                         const SegmentationLoaderOptions& options, int64_t first_step)
      : sampler_(sampler),
        options_(options),
        norm_(MakeNormTable(options.input.scale)),
        images_([&dataset, side = options.input.image_size](
                    int64_t index) { return LoadPair(dataset, index, side); },
                options.memory_cache_bytes),
        pipeline_(
            [this](int64_t step, SegmentationBatch& batch) {
              batch = EmptyBatch(sampler_.Indices(step), options_.input.image_size);
              return static_cast<int64_t>(batch.indices.size());
            },
            [this](int64_t step, int64_t item, SegmentationBatch& batch) {
              return Fill(step, item, batch);
            },
            first_step, options.threads, options.prefetch) {}

  absl::StatusOr<SegmentationBatch> Next() override { return pipeline_.Next(); }

 private:
  absl::Status Fill(int64_t step, int64_t item, SegmentationBatch& batch) {
    const int64_t index = batch.indices[static_cast<size_t>(item)];
    if (!options_.augmentation) {
      G2LL_ASSIGN_OR_RETURN(const std::shared_ptr<const CleanImage> clean, images_.Get(index));
      WriteRow(item, clean->image, clean->mask, norm_, batch);
      return absl::OkStatus();
    }
    const random::Key key = KeyOf(step, index);
    G2LL_ASSIGN_OR_RETURN(Pair pair, Augmented(key));
    const std::optional<CutMix> mix =
        options_.cutmix > 0 ? DrawCutMix(key, options_.cutmix, sampler_.GlobalIndices(step),
                                         pair.image.height, pair.image.width)
                            : std::nullopt;
    if (mix) {
      G2LL_ASSIGN_OR_RETURN(const Pair partner, Augmented(KeyOf(step, mix->partner)));
      Paste(mix->box, partner.image, pair.image);
      Paste(mix->box, partner.mask, pair.mask);
    }
    WriteRow(item, pair.image, pair.mask, norm_, batch);
    return absl::OkStatus();
  }

  random::Key KeyOf(int64_t step, int64_t index) const {
    return {.seed = static_cast<uint64_t>(options_.seed),
            .epoch = static_cast<uint64_t>(sampler_.epoch(step)),
            .sample = static_cast<uint64_t>(index)};
  }

  struct Pair {
    Image image;
    LesionMask mask;
  };

  // The image that the key names, changed at random.
  absl::StatusOr<Pair> Augmented(const random::Key& key) {
    G2LL_ASSIGN_OR_RETURN(const std::shared_ptr<const CleanImage> clean,
                          images_.Get(static_cast<int64_t>(key.sample)));
    Pair pair{clean->image, clean->mask};
    AugmentForSegmentation(*options_.augmentation, key, pair.image, pair.mask);
    return pair;
  }

  const ShardSampler& sampler_;
  const SegmentationLoaderOptions options_;
  const NormTable norm_;
  CleanImageStore images_;
  StepPipeline<SegmentationBatch> pipeline_;  // last: its threads use everything above
};

}  // namespace

absl::StatusOr<std::unique_ptr<SegmentationLoader>> SegmentationLoader::Create(
    const Dataset& dataset, const ShardSampler& sampler, const SegmentationLoaderOptions& options,
    int64_t first_step) {
  G2LL_RETURN_IF_ERROR(internal::CheckInput(options.input, options.threads, options.prefetch));
  internal::UseNoOpenCvThreads();
  return std::make_unique<SegmentationLoaderImpl>(dataset, sampler, options, first_step);
}

absl::StatusOr<SegmentationBatch> LoadSegmentationBatch(const Dataset& dataset,
                                                        const std::vector<int64_t>& indices,
                                                        const InputOptions& input, int threads,
                                                        std::vector<LesionMask>* native_masks) {
  G2LL_RETURN_IF_ERROR(internal::CheckInput(input, threads, 1));
  const NormTable norm = MakeNormTable(input.scale);
  SegmentationBatch batch = EmptyBatch(indices, input.image_size);
  if (native_masks != nullptr) native_masks->assign(indices.size(), LesionMask{});
  std::vector<absl::Status> faults(indices.size());
  ParallelFor(indices.size(), threads, [&](size_t row) {
    LesionMask unwanted;
    faults[row] = LoadRow(dataset, static_cast<int64_t>(row), norm, batch,
                          native_masks != nullptr ? (*native_masks)[row] : unwanted);
  });
  for (const absl::Status& fault : faults) G2LL_RETURN_IF_ERROR(fault);
  return batch;
}

}  // namespace g2ll::data
