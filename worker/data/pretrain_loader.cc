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
#include "worker/mask/attention_mask.h"
#include "worker/random/rng.h"

namespace g2ll::data {
namespace {

// A batch in the making: the images it is made from and where their parts go.
struct Work {
  std::vector<int64_t> indices;
  PretrainBatch batch;
};

RegionRequest RegionRequestOf(const PretrainLoaderOptions& options) {
  RegionRequest request;
  request.slic = options.slic;
  request.slic.regions = options.mask.regions;
  request.patch = options.input.patch;
  request.needs_pixels = options.augmentation.crop_min_scale < 1.0;
  request.needs_contrast = options.mask.order == mask::CentralOrder::kSaliency;
  return request;
}

absl::Status CheckSlic(const SlicOptions& slic) {
  if (slic.iterations < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("slic.iterations is ", slic.iterations, ": it must be 1 or more"));
  }
  // Written so that NaN fails too.
  if (!(slic.compactness > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("slic.compactness is ", slic.compactness, ": it must be above 0"));
  }
  if (slic.min_size_percent < 0 || slic.min_size_percent > 100) {
    return absl::InvalidArgumentError(absl::StrCat("slic.minSizePercent is ", slic.min_size_percent,
                                                   ": it must lie in [0, 100]"));
  }
  return absl::OkStatus();
}

// The mask as the frame shows it.
mask::PatchMask Mirrored(const mask::PatchMask& mask, const mask::PatchGrid& grid,
                         const Frame& frame) {
  mask::PatchLabels cells{grid, {mask.masked.begin(), mask.masked.end()}};
  if (frame.is_mirrored) cells = mask::FlipHorizontally(cells);
  if (frame.is_upside_down) cells = mask::FlipVertically(cells);
  return {{cells.labels.begin(), cells.labels.end()}};
}

class PretrainLoaderImpl final : public PretrainLoader {
 public:
  PretrainLoaderImpl(const Dataset& dataset, const ShardSampler& sampler,
                     const PretrainLoaderOptions& options,
                     std::unique_ptr<mask::MaskStrategy> strategy,
                     std::unique_ptr<SuperpixelCache> cache, int64_t first_step)
      : dataset_(dataset),
        sampler_(sampler),
        options_(options),
        norm_(MakeNormTable(options.input.scale)),
        regions_(RegionRequestOf(options)),
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
  bool follows_regions() const { return mask::FollowsRegions(options_.mask.kind); }
  // Whether one mask can be drawn for the image and follow both views.
  bool masks_in_image() const {
    return options_.mask.shared && options_.augmentation.crop_min_scale >= 1.0 &&
           !(follows_regions() && options_.regions_per_view);
  }
  // Of the run, in [0, 1]: 0 at the first step and 1 at the last.
  double progress(int64_t step) const {
    return static_cast<double>(step) /
           static_cast<double>(std::max<int64_t>(options_.schedule_steps - 1, 1));
  }

  absl::StatusOr<CleanImage> MakeClean(int64_t index) const {
    const int side = options_.input.image_size;
    G2LL_ASSIGN_OR_RETURN(const Image image, dataset_.LoadImageFor(index, side));
    CleanImage clean;
    clean.image = ResizeImage(image, side, side);
    if (!follows_regions() || options_.regions_per_view) return clean;
    G2LL_RETURN_IF_ERROR(MakeRegions(regions_, cache_.get(), clean));
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
    if (follows_regions()) {
      work.batch.regions = torch::zeros({rows, num_patches()}, torch::kInt64);
    }
    return num_images;
  }

  absl::Status Fill(int64_t step, int64_t item, Work& work) {
    const int64_t index = work.indices[static_cast<size_t>(item)];
    G2LL_ASSIGN_OR_RETURN(const std::shared_ptr<const CleanImage> clean, images_.Get(index));
    for (int view = 0; view < options_.num_views; ++view) {
      const random::Key key{.seed = static_cast<uint64_t>(options_.seed),
                            .epoch = static_cast<uint64_t>(sampler_.epoch(step)),
                            .sample = static_cast<uint64_t>(index),
                            .view = static_cast<uint32_t>(view)};
      G2LL_ASSIGN_OR_RETURN(View made,
                            MakeView(*clean, options_.augmentation, options_.input.patch, key));
      if (follows_regions() && options_.regions_per_view) {
        G2LL_ASSIGN_OR_RETURN(made.regions, CutRegions(regions_, made.image));
      }
      WriteRow(view * work.batch.num_images + item, made,
               DrawMask(*clean, made.regions, key, progress(step)), work.batch);
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

  // An image without regions is one region.
  mask::PatchMask DrawOn(const mask::RegionMap& regions, const random::Key& key,
                         double progress) const {
    const std::vector<double> noise =
        mask::MaskNoise(key, strategy_->NoiseSize(static_cast<size_t>(num_patches())));
    return strategy_->Draw(follows_regions() ? regions : OneRegion(), noise, progress);
  }

  mask::PatchMask DrawMask(const CleanImage& clean, const mask::RegionMap& view_regions,
                           const random::Key& view, double progress) const {
    random::Key key = view;
    if (options_.mask.shared) key.view = 0;
    if (!masks_in_image()) return DrawOn(view_regions, key, progress);
    const int side = options_.input.image_size;
    return Mirrored(DrawOn(clean.regions, key, progress), {grid(), grid()},
                    DrawFrame(options_.augmentation, side, side, view));
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
    const std::vector<int>& labels = view.regions.patches.labels;
    if (batch.regions.defined()) {
      std::copy(labels.begin(), labels.end(),
                batch.regions.data_ptr<int64_t>() + row * batch.regions.size(1));
    }
  }

  const Dataset& dataset_;
  const ShardSampler& sampler_;
  const PretrainLoaderOptions options_;
  const NormTable norm_;
  const RegionRequest regions_;
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
  G2LL_RETURN_IF_ERROR(CheckSlic(options.slic));
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
