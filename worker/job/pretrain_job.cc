#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/job/export_config.h"
#include "worker/job/job_report.h"
#include "worker/job/rank_context.h"
#include "worker/pretrain/pretrain_task.h"
#include "worker/train/failure.h"

namespace g2ll::job {

using train::FailureKind;
using train::WithFailure;

namespace {

// A few images as the student got them in the last pass over the data.
absl::StatusOr<data::PretrainBatch> LoadForPictures(const TrainingData& training,
                                                    data::PretrainLoaderOptions loading) {
  const PictureSampler pictures = SamplerForPictures(training, loading.seed);
  loading.schedule_steps = pictures.schedule_steps;
  loading.threads = 1;
  loading.prefetch = 1;
  G2LL_ASSIGN_OR_RETURN(const auto loader,
                        data::PretrainLoader::Create(*training.dataset, pictures.sampler, loading,
                                                     pictures.first_step));
  return loader->Next();
}

// Whether the losses that are asked for have something to work on.
absl::Status CheckLosses(const pretrain::PretrainOptions& options, double gamma) {
  if (!options.mim && !options.distill) {
    return absl::InvalidArgumentError("mim.lambda and distill.lambda: one must be above 0");
  }
  if ((options.mim || options.ibot) && options.student_input == pretrain::StudentInput::kAll) {
    const int grid = GridOf(options.encoder);
    return absl::InvalidArgumentError(
        absl::StrCat("mask.gamma ", gamma, " masks none of ", grid * grid,
                     " patches, so there is nothing to reconstruct; raise it or set mim.lambda "
                     "and ibot.lambda to 0"));
  }
  return absl::OkStatus();
}

data::PretrainLoaderOptions LoadingOf(const RankContext& context,
                                      pretrain::StudentInput student_input,
                                      const data::InputOptions& input, int64_t schedule_steps) {
  const v1::PretrainSpec& spec = context.assignment.spec().pretrain();
  data::PretrainLoaderOptions loading;
  loading.input = input;
  loading.augmentation = ViewsOf(spec.aug());
  loading.mask = MaskOf(spec.mask());
  // A student that sees everything needs no regions; random masks cost nothing.
  if (student_input == pretrain::StudentInput::kAll) {
    loading.mask = {.kind = mask::MaskKind::kRandom,
                    .gamma = loading.mask.gamma,
                    .regions = loading.mask.regions};
  }
  loading.slic = SlicOf(spec.slic(), loading.mask.regions);
  loading.regions_per_view = spec.slic().source() == v1::SlicSpec::VIEW;
  loading.schedule_steps = schedule_steps;
  loading.num_views = spec.method() == v1::PretrainSpec::MAE ? 1 : 2;
  loading.seed = spec.seed();
  loading.threads = context.threads();
  loading.cache_dir = context.assignment.cache_dir();
  return loading;
}

}  // namespace

absl::Status RunPretrain(const RankContext& context) {
  const v1::PretrainSpec& spec = context.assignment.spec().pretrain();
  if (spec.method() == v1::PretrainSpec::SUPERVISED) return RunSupervised(context);
  G2LL_ASSIGN_OR_RETURN(const TrainingData data, OpenTrainingData(context, /*needs_masks=*/false));

  pretrain::PretrainOptions options = PretrainOptionsOf(spec, data.length);
  options.image_id = [&dataset = *data.dataset](int64_t index) { return dataset.id(index); };
  options.device = context.device;
  const absl::Status has_work = CheckLosses(options, spec.mask().gamma());
  if (!has_work.ok()) return WithFailure(has_work, FailureKind::kConfig);

  G2LL_ASSIGN_OR_RETURN(const data::InputOptions input, OpenInput(context, *data.dataset));
  const data::PretrainLoaderOptions loading =
      LoadingOf(context, options.student_input, input, data.length.schedule_steps);

  TrainingRun run{.export_config_json = ExportConfigJson(options.encoder, input),
                  .length = data.length,
                  .ancestors = {},
                  .training_ids = IdsOf(*data.dataset),
                  .images = data.options};
  run.ancestors.pretrain_ids = run.training_ids;
  pretrain::PretrainTask* trained = nullptr;  // lives until Train returns
  run.add_pictures = [&](report::TrainingReport& report) -> absl::Status {
    G2LL_ASSIGN_OR_RETURN(data::PretrainBatch batch, LoadForPictures(data, loading));
    report.pictures =
        PicturesOf(trained->Preview(std::move(batch)), {input.scale, input.patch}, *data.dataset);
    return absl::OkStatus();
  };
  return Train(context, run, [&](int64_t first_step) -> MadeTask {
    auto loader = data::PretrainLoader::Create(*data.dataset, *data.sampler, loading, first_step);
    if (!loader.ok()) return WithFailure(loader.status(), FailureKind::kData);
    auto task =
        std::make_unique<pretrain::PretrainTask>(options, *std::move(loader), context.collective);
    trained = task.get();
    return task;
  });
}

}  // namespace g2ll::job
