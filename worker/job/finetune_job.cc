#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/finetune/segmentation_task.h"
#include "worker/job/encoder_source.h"
#include "worker/job/export_config.h"
#include "worker/job/job_report.h"
#include "worker/job/rank_context.h"
#include "worker/metric/overlap.h"
#include "worker/train/failure.h"

namespace g2ll::job {
namespace {

using train::FailureKind;
using train::WithFailure;

// Validation images in the report.
constexpr int64_t kPicturedImages = 8;

// The validation split; null if there is none and none is needed.
absl::StatusOr<std::unique_ptr<data::Dataset>> OpenValidation(const v1::FinetuneSpec& spec) {
  data::DatasetOptions options;
  options.source = spec.data().source();
  options.split = data::Split::kValidation;
  options.needs_masks = true;
  options.max_images = spec.data().max_validation_images();
  options.subset_seed = spec.data().subset_seed();
  auto dataset = data::Dataset::Open(options);
  if (dataset.ok()) return dataset;
  if (spec.seg().select() != v1::SegmentationSpec::LAST) {
    return WithFailure(dataset.status(), FailureKind::kData);
  }
  log::Warning("no validation scores", {{"reason", std::string(dataset.status().message())}});
  return std::unique_ptr<data::Dataset>();
}

data::SegmentationLoaderOptions LoadingOf(const RankContext& context,
                                          const data::InputOptions& input) {
  const v1::FinetuneSpec& spec = context.assignment.spec().finetune();
  data::SegmentationLoaderOptions loading;
  loading.input = input;
  loading.augmentation = SegmentationAugmentOf(spec.aug());
  loading.cutmix = spec.aug().cutmix();
  loading.seed = spec.seed();
  loading.threads = context.threads();
  return loading;
}

// The first validation images with what the trained network makes of them, all at the
// network's size.
absl::StatusOr<std::vector<report::Overlay>> PictureValidation(finetune::SegmentationTask& task,
                                                               const data::Dataset& validation,
                                                               const data::InputOptions& input) {
  std::vector<int64_t> indices(
      static_cast<size_t>(std::min<int64_t>(kPicturedImages, validation.size())));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  G2LL_ASSIGN_OR_RETURN(const data::SegmentationBatch batch,
                        data::LoadSegmentationBatch(validation, indices, input));
  const torch::Tensor truth = batch.masks > 0.5;
  const torch::Tensor predicted = task.Predict(batch.images);
  const std::vector<metric::OverlapCounts> counts = metric::CountOverlap(predicted, truth);
  std::vector<report::Overlay> overlays;
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    report::Overlay overlay;
    overlay.score.id = validation.id(indices[i]);
    overlay.score.dice = metric::Dice(counts[i]);
    overlay.score.iou = metric::IoU(counts[i]);
    overlay.image = ImageOf(batch.images[row], input.scale);
    overlay.truth = MaskOfPixels(truth[row]);
    overlay.prediction = MaskOfPixels(predicted[row]);
    overlays.push_back(std::move(overlay));
  }
  return overlays;
}

}  // namespace

absl::Status RunFinetune(const RankContext& context) {
  const v1::FinetuneSpec& spec = context.assignment.spec().finetune();
  G2LL_ASSIGN_OR_RETURN(const EncoderSource source, OpenEncoderSource(context.assignment));
  G2LL_ASSIGN_OR_RETURN(const TrainingData data, OpenTrainingData(context, /*needs_masks=*/true));
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<data::Dataset> validation, OpenValidation(spec));

  finetune::SegmentationTaskOptions options =
      SegmentationTaskOf(spec, data.length, source.has_learned_positions);
  G2LL_ASSIGN_OR_RETURN(options.input, OpenInput(context, *data.dataset, source.config));
  options.device = context.device;
  options.image_id = [&dataset = *data.dataset](int64_t index) { return dataset.id(index); };
  const data::SegmentationLoaderOptions loading = LoadingOf(context, options.input);

  TrainingRun run{.export_config_json = ExportConfigJson(options.network, options.input),
                  .length = data.length,
                  .ancestors = source.history,
                  .training_ids = IdsOf(*data.dataset),
                  .images = data.options};
  finetune::SegmentationTask* trained = nullptr;  // lives until Train returns
  run.add_pictures = [&](report::TrainingReport& report) -> absl::Status {
    if (validation == nullptr) return absl::OkStatus();
    G2LL_ASSIGN_OR_RETURN(report.overlays, PictureValidation(*trained, *validation, options.input));
    return absl::OkStatus();
  };
  return Train(context, run, [&](int64_t first_step) -> MadeTask {
    auto loader =
        data::SegmentationLoader::Create(*data.dataset, *data.sampler, loading, first_step);
    if (!loader.ok()) return WithFailure(loader.status(), FailureKind::kData);
    auto task = std::make_unique<finetune::SegmentationTask>(options, *std::move(loader),
                                                             validation.get(), context.collective);
    if (!source.file.empty()) {
      const absl::Status loaded = task->LoadEncoder(source.file);
      if (!loaded.ok()) return WithFailure(loaded, FailureKind::kConfig);
    }
    trained = task.get();
    return task;
  });
}

}  // namespace g2ll::job
