#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/job/export_config.h"
#include "worker/job/rank_context.h"
#include "worker/pretrain/pretrain_task.h"
#include "worker/train/failure.h"

namespace g2ll::job {

using train::FailureKind;
using train::WithFailure;

absl::Status RunPretrain(const RankContext& context) {
  const v1::PretrainSpec& spec = context.assignment.spec().pretrain();
  auto data = OpenTrainingData(context, spec.data(), spec.train(), spec.seed(),
                               /*needs_masks=*/false);
  if (!data.ok()) return WithFailure(data.status(), FailureKind::kData);

  pretrain::PretrainOptions options = PretrainOptionsOf(spec, data->length);
  options.images_per_step = data->images_per_step;
  options.device = context.device;
  if (!options.mim && !options.distill) {
    return WithFailure(
        absl::InvalidArgumentError("mim.lambda and distill.lambda: one must be above 0"),
        FailureKind::kConfig);
  }

  const int64_t num_patches = GridOf(options.encoder) * GridOf(options.encoder);
  const auto num_visible =
      static_cast<int64_t>(static_cast<double>(num_patches) * (1 - spec.mask().gamma()));
  if (options.mim && num_visible == num_patches) {
    return WithFailure(absl::InvalidArgumentError(absl::StrCat(
                           "mask.gamma ", spec.mask().gamma(), " masks none of ", num_patches,
                           " patches, so there is nothing to reconstruct; raise it or set "
                           "mim.lambda to 0")),
                       FailureKind::kConfig);
  }

  data::PretrainLoaderOptions loading;
  loading.input = InputOf(spec.model(), spec.data());
  loading.augmentation = ViewsOf(spec.aug());
  loading.mask = MaskOf(spec.mask());
  // A student that sees everything needs no regions; random masks cost nothing.
  if (!options.is_student_masked) loading.mask.kind = mask::MaskKind::kRandom;
  loading.num_views = spec.method() == v1::PretrainSpec::MAE ? 1 : 2;
  loading.seed = spec.seed();
  loading.threads = std::max(1, context.assignment.threads());
  loading.cache_dir = context.assignment.cache_dir();

  TrainingRun run{.kind = "PretrainJob",
                  .export_config_json = ExportConfigJson(options.encoder, loading.input, {}),
                  .train = spec.train(),
                  .optim = spec.optim(),
                  .policy = spec.policy(),
                  .seed = spec.seed(),
                  .length = data->length,
                  .ancestors = {}};
  for (int64_t i = 0; i < data->dataset->size(); ++i) {
    run.ancestors.pretrain_ids.push_back(data->dataset->id(i));
  }
  return Train(
      context, run, [&](int64_t first_step) -> absl::StatusOr<std::unique_ptr<train::TrainTask>> {
        auto loader =
            data::PretrainLoader::Create(*data->dataset, *data->sampler, loading, first_step);
        if (!loader.ok()) return WithFailure(loader.status(), FailureKind::kData);
        return std::make_unique<pretrain::PretrainTask>(options, *std::move(loader),
                                                        context.collective);
      });
}

}  // namespace g2ll::job
