#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "proto/common/log.h"
#include "proto/common/spec_access.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/dist/cuda_backend.h"
#include "worker/job/input_scale.h"
#include "worker/job/job_report.h"
#include "worker/job/rank_context.h"
#include "worker/train/checkpointer.h"
#include "worker/train/failure.h"
#include "worker/train/precision.h"
#include "worker/train/telemetry.h"
#include "worker/train/train_loop.h"

namespace g2ll::job {
namespace {

using train::FailureKind;
using train::WithFailure;

absl::Duration CheckpointInterval(const v1::PolicySpec& policy) {
  const absl::Duration every = absl::Seconds(policy.checkpoint_every().seconds()) +
                               absl::Nanoseconds(policy.checkpoint_every().nanos());
  return every > absl::ZeroDuration() ? every : absl::InfiniteDuration();
}

// Absolute directory to go on from; empty: start.
std::string ResumeDirectory(const trainer::v1::Assignment& assignment) {
  if (assignment.resume_path().empty()) return "";
  return (std::filesystem::path(assignment.storage_root()) / assignment.resume_path()).string();
}

train::Checkpointer::Options CheckpointerOptions(const RankContext& context, const TrainingRun& run,
                                                 const train::TrainTask& task) {
  const trainer::v1::Assignment& assignment = context.assignment;
  train::Checkpointer::Options options;
  options.storage_root = assignment.storage_root();
  options.parent = assignment.checkpoint_parent();
  options.manifest.job = assignment.job();
  options.manifest.job_uid = assignment.job_uid();
  options.manifest.kind = std::string(spec::KindName(assignment.spec()));
  options.manifest.epoch = assignment.epoch();
  options.manifest.config_digest = ConfigDigest(assignment);
  options.config_json = ConfigJson(assignment);
  options.export_config_json = run.export_config_json;
  options.training_ids = run.training_ids;
  options.every = CheckpointInterval(spec::Policy(assignment.spec()));
  options.selection_score = task.SelectionScore();
  return options;
}

// Logs the choice, because speed and last digits depend on it.
absl::StatusOr<bool> ChoosePrecision(v1::TrainSpec::Precision precision, torch::Device device) {
  const bool has_bf16 = device.is_cuda() ? dist::CudaHasBf16() : train::CpuHasBf16();
  G2LL_ASSIGN_OR_RETURN(const bool is_bf16,
                        ChooseBf16(precision, {.is_cuda = device.is_cuda(), .has_bf16 = has_bf16}));
  log::Info("precision", {{"precision", is_bf16 ? "bf16" : "fp32"},
                          {"device", device.str()},
                          {"hardware_bf16", has_bf16}});
  return is_bf16;
}

}  // namespace

absl::StatusOr<TrainingData> OpenTrainingData(const RankContext& context, bool needs_masks) {
  absl::StatusOr<data::DatasetOptions> options = DatasetOf(spec::Data(context.assignment.spec()));
  if (!options.ok()) return WithFailure(options.status(), FailureKind::kConfig);
  options->needs_masks = needs_masks;
  return OpenTrainingData(context, *options);
}

absl::StatusOr<TrainingData> OpenTrainingData(const RankContext& context,
                                              const data::DatasetOptions& options) {
  absl::StatusOr<std::unique_ptr<data::Dataset>> dataset = data::Dataset::Open(options);
  if (!dataset.ok()) return WithFailure(dataset.status(), FailureKind::kData);
  TrainingData training;
  training.options = options;
  training.dataset = *std::move(dataset);

  const v1::TrainSpec& train = spec::Train(context.assignment.spec());
  const int world_size = context.collective.world_size();
  const int64_t num_images = training.dataset->size();
  if (train.global_batch() % world_size != 0) {
    return WithFailure(
        absl::InvalidArgumentError(absl::StrCat("train.globalBatch ", train.global_batch(),
                                                " is no multiple of ", world_size, " ranks")),
        FailureKind::kConfig);
  }
  if (num_images < world_size) {
    return WithFailure(absl::FailedPreconditionError(
                           absl::StrCat(options.source, ": ", num_images, " images cannot feed ",
                                        world_size, " ranks; use fewer ranks")),
                       FailureKind::kData);
  }
  data::ShardSampler::Options sampler;
  sampler.num_images = num_images;
  sampler.global_batch = train.global_batch();
  sampler.seed = spec::SeedOf(context.assignment.spec());
  sampler.rank = context.collective.rank();
  sampler.world_size = world_size;
  sampler.drop_last = !train.has_drop_last() || train.drop_last();
  training.sampler = std::make_unique<data::ShardSampler>(sampler);
  training.length = RunLengthOf(train, training.sampler->steps_per_epoch());
  training.length.images_per_step = std::min<int64_t>(train.global_batch(), num_images);
  training.length.images_in_last_step = training.sampler->last_batch();
  if (training.length.images_in_last_step < world_size) {
    return WithFailure(absl::InvalidArgumentError(absl::StrCat(
                           "train.dropLast false: the last ", training.length.images_in_last_step,
                           " of ", num_images, " images cannot feed ", world_size,
                           " ranks; use true, fewer ranks or another train.globalBatch")),
                       FailureKind::kConfig);
  }
  log::Info("data", {{"source", options.source},
                     {"images", num_images},
                     {"steps_per_epoch", training.length.steps_per_epoch},
                     {"steps", training.length.last_step}});
  return training;
}

absl::StatusOr<data::InputOptions> OpenInput(const RankContext& context,
                                             const data::Dataset& images,
                                             const std::string& source_config) {
  const v1::ModelSpec& model = spec::Model(context.assignment.spec());
  const auto scale = InputScaleOf({.norm = spec::Data(context.assignment.spec()).norm(),
                                   .image_size = model.image_size(),
                                   .threads = context.threads(),
                                   .source_config = source_config},
                                  images);
  if (!scale.ok()) return WithFailure(scale.status(), FailureKind::kData);
  return InputOf(model, *scale);
}

std::vector<std::string> IdsOf(const data::Dataset& dataset) {
  std::vector<std::string> ids;
  for (int64_t i = 0; i < dataset.size(); ++i) ids.push_back(dataset.id(i));
  return ids;
}

absl::Status Train(const RankContext& context, const TrainingRun& run, const MakeTask& make_task) {
  const v1::TrainSpec& train = spec::Train(context.assignment.spec());
  const v1::OptimSpec& optim = spec::Optim(context.assignment.spec());
  const absl::StatusOr<bool> is_bf16 = ChoosePrecision(train.precision(), context.device);
  if (!is_bf16.ok()) return WithFailure(is_bf16.status(), FailureKind::kConfig);
  const std::string resume = ResumeDirectory(context.assignment);
  int64_t first_step = 0;
  if (!resume.empty()) {
    const auto manifest = checkpoint::ReadManifest(resume);
    if (!manifest.ok()) return WithFailure(manifest.status(), FailureKind::kStorage);
    first_step = manifest->step;
  }
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<train::TrainTask> task, make_task(first_step));
  train::AdamW optimizer(task->Parameters(), AdamOf(optim));

  train::History history = run.ancestors;
  train::RunRecord record;
  record.job = ShortJobName(context.assignment);
  record.kind = std::string(spec::KindName(context.assignment.spec()));
  history.runs.push_back(std::move(record));
  train::Checkpointer checkpointer(CheckpointerOptions(context, run, *task), context.events,
                                   history);
  if (!resume.empty()) {
    const auto step = checkpointer.Restore(resume, *task, optimizer);
    if (!step.ok()) return WithFailure(step.status(), FailureKind::kStorage);
    log::Info("resumed", {{"checkpoint", context.assignment.resume_path()}, {"step", *step}});
  }

  train::Telemetry telemetry({.first_step = first_step,
                              .total_steps = run.length.last_step,
                              .is_silent = context.collective.rank() != 0},
                             context.events, history.runs.back());
  train::TrainLoopOptions options;
  options.first_step = first_step;
  options.last_step = run.length.last_step;
  options.images_per_step = run.length.images_per_step;
  options.images_in_last_step = run.length.images_in_last_step;
  options.accumulate = std::max(1, train.accumulate());
  options.clip = optim.clip();
  options.clip_mode = ClipModeOf(optim);
  options.validate_every = train.validate_every();
  options.is_bf16 = *is_bf16;
  options.device = context.device;
  train::TrainLoop loop(options, *task, optimizer, context.collective, telemetry, checkpointer);
  G2LL_RETURN_IF_ERROR(loop.Run(context.stop));
  if (context.collective.rank() == 0) {
    ReportTraining(context, run, task->name(), history.runs.back());
  }
  // Nobody leaves before the last checkpoint counts.
  context.collective.Barrier();
  return absl::OkStatus();
}

}  // namespace g2ll::job
