#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/clean_image.h"
#include "worker/data/input_checks.h"
#include "worker/data/loader.h"
#include "worker/data/pixel_tensor.h"
#include "worker/data/resize.h"
#include "worker/data/step_pipeline.h"
#include "worker/data/superpixel_cache.h"
#include "worker/data/view_augmentation.h"
#include "worker/random/rng.h"

namespace g2ll::data {
namespace {

// A batch in the making: the images it is made from and where their parts go.
struct Work {
  std::vector<int64_t> indices;
  PretrainBatch batch;
};

class PretrainLoaderImpl final : public PretrainLoader {
 public:
  PretrainLoaderImpl(const Dataset& dataset, const ShardSampler& sampler,
                     const PretrainLoaderOptions& options,
                     std::unique_ptr<mask::MaskStrategy> strategy,
                     std::unique_ptr<SuperpixelCache> cache, int64_t first_step)
      : dataset_(dataset),
        sampler_(sampler),
        options_(options),
        norm_(MakeNormTable(options.input.imagenet_norm)),
        strategy_(std::move(strategy)),
        cache_(std::move(cache)),
        images_([this](int64_t index) { return MakeClean(index); }, options.memory_cache_bytes),
        pipeline_([this](int64_t step, Work& work) { return Begin(step, work); },
                  [this](int64_t step, int64_t item, Work& work) { return Fill(step, item, work); },
                  first_step, options.threads, options.prefetch) {}

  absl::StatusOr<PretrainBatch> Next() override {
    G2LL_ASSIGN_OR_RETURN(Work work, pipeline_.Next());
    return std::move(work.batch);
  }

 private:
  int grid() const { return options_.input.image_size / options_.input.patch; }
  int num_patches() const { return grid() * grid(); }

  absl::StatusOr<CleanImage> MakeClean(int64_t index) const {
    const int side = options_.input.image_size;
    G2LL_ASSIGN_OR_RETURN(const Image image, dataset_.LoadImageFor(index, side));
    CleanImage clean;
    clean.image = ResizeImage(image, side, side);
    if (options_.mask.kind == mask::MaskKind::kRandom) return clean;
    RegionRequest request;
    request.slic.regions = options_.mask.regions;
    request.patch = options_.input.patch;
    request.needs_pixels = options_.augmentation.crop_min_scale < 1.0;
    G2LL_RETURN_IF_ERROR(MakeRegions(request, cache_.get(), clean));
    return clean;
  }

  int64_t Begin(int64_t step, Work& work) const {
    work.indices = sampler_.Indices(step);
    const auto num_images = static_cast<int64_t>(work.indices.size());
    const int64_t rows = num_images * options_.num_views;
    const int64_t side = options_.input.image_size;
    const int64_t num_masked = mask::NumMasked(num_patches(), options_.mask.gamma);
    work.batch.num_images = num_images;
    work.batch.indices = work.indices;
    work.batch.epoch = sampler_.epoch(step);
    work.batch.views = torch::empty({rows, 3, side, side}, torch::kFloat32);
    work.batch.visible_ids = torch::empty({rows, num_patches() - num_masked}, torch::kInt64);
    work.batch.masked_ids = torch::empty({rows, num_masked}, torch::kInt64);
    return num_images;
  }

  absl::Status Fill(int64_t step, int64_t item, Work& work) {
    const int64_t index = work.indices[static_cast<size_t>(item)];
    G2LL_ASSIGN_OR_RETURN(const std::shared_ptr<const CleanImage> clean, images_.Get(index));
    for (int view = 0; view < options_.num_views; ++view) {
      random::Key key{.seed = static_cast<uint64_t>(options_.seed),
                      .epoch = static_cast<uint64_t>(sampler_.epoch(step)),
                      .sample = static_cast<uint64_t>(index),
                      .view = static_cast<uint32_t>(view),
                      .purpose = random::Purpose::kView};
      random::Rng changes(key);
      G2LL_ASSIGN_OR_RETURN(View made, MakeView(*clean, options_.augmentation, options_.input.patch,
                                                view == 1, changes));
      if (made.regions.patches.labels.empty()) made.regions = OneRegion();
      key.purpose = random::Purpose::kMask;
      WriteRow(view * work.batch.num_images + item, made, DrawMask(made, key), work.batch);
    }
    return absl::OkStatus();
  }

  // All patches in one region: what the unstructured mask sees.
  mask::RegionMap OneRegion() const {
    mask::PatchLabels labels;
    labels.grid = {grid(), grid()};
    labels.labels.assign(static_cast<size_t>(num_patches()), 0);
    return mask::MakeRegionMap(std::move(labels));
  }

  mask::PatchMask DrawMask(const View& view, const random::Key& key) const {
    random::Rng rng(key);
    std::vector<double> noise(static_cast<size_t>(num_patches()));
    for (double& value : noise) value = rng.Uniform();
    return strategy_->Draw(view.regions, noise);
  }

  void WriteRow(int64_t row, const View& view, const mask::PatchMask& mask,
                PretrainBatch& batch) const {
    const int64_t side = options_.input.image_size;
    WritePixels(view.image, norm_, batch.views.data_ptr<float>() + row * 3 * side * side);
    const auto copy_ids = [row](const std::vector<int64_t>& ids, torch::Tensor& target) {
      std::copy(ids.begin(), ids.end(), target.data_ptr<int64_t>() + row * target.size(1));
    };
    copy_ids(mask.VisibleIds(), batch.visible_ids);
    copy_ids(mask.MaskedIds(), batch.masked_ids);
  }

  const Dataset& dataset_;
  const ShardSampler& sampler_;
  const PretrainLoaderOptions options_;
  const NormTable norm_;
  const std::unique_ptr<mask::MaskStrategy> strategy_;
  const std::unique_ptr<SuperpixelCache> cache_;
  CleanImageStore images_;
  StepPipeline<Work> pipeline_;  // last: its threads use everything above
};

}  // namespace

absl::StatusOr<std::unique_ptr<PretrainLoader>> PretrainLoader::Create(
    const Dataset& dataset, const ShardSampler& sampler, const PretrainLoaderOptions& options,
    int64_t first_step) {
  G2LL_RETURN_IF_ERROR(internal::CheckInput(options.input, options.threads, options.prefetch));
  if (options.num_views != 1 && options.num_views != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("a pre-training step has 1 or 2 views, not ", options.num_views));
  }
  const double scale = options.augmentation.crop_min_scale;
  if (!(scale > 0.0 && scale <= 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("augmentation.cropMinScale is ", scale, ": it must lie in (0, 1]"));
  }
  const int grid = options.input.image_size / options.input.patch;
  G2LL_ASSIGN_OR_RETURN(std::unique_ptr<mask::MaskStrategy> strategy,
                        mask::MakeMaskStrategy(options.mask, grid * grid));
  std::unique_ptr<SuperpixelCache> cache;
  if (!options.cache_dir.empty()) {
    G2LL_ASSIGN_OR_RETURN(cache, SuperpixelCache::Open(options.cache_dir));
  }
  internal::UseNoOpenCvThreads();
  return std::make_unique<PretrainLoaderImpl>(dataset, sampler, options, std::move(strategy),
                                              std::move(cache), first_step);
}

}  // namespace g2ll::data
