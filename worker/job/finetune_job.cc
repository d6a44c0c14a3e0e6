#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/finetune/segmentation_task.h"
#include "worker/job/export_config.h"
#include "worker/job/rank_context.h"
#include "worker/train/failure.h"

namespace g2ll::job {
namespace {

using train::FailureKind;
using train::WithFailure;

// The encoder that fine-tuning starts from.
struct Source {
  std::filesystem::path encoder;  // empty: none, train from scratch
  bool has_learned_positions = false;
  train::History history;
};

std::string ReadIfThere(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Reads what the source says about itself. A checkpoint is verified whole; an
// exported encoder is only its weights and `config.json`.
absl::StatusOr<Source> OpenSource(const trainer::v1::Assignment& assignment, bool is_teacher) {
  Source source;
  if (assignment.source_path().empty()) return source;
  const std::filesystem::path path =
      std::filesystem::path(assignment.storage_root()) / assignment.source_path();
  const bool is_checkpoint = std::filesystem::exists(path / checkpoint::kManifestName);
  std::string shape;
  if (is_checkpoint) {
    G2LL_RETURN_IF_ERROR(checkpoint::VerifyCheckpoint(path));
    source.encoder = path / (is_teacher ? "teacher_encoder.safetensors" : "encoder.safetensors");
    if (!std::filesystem::exists(source.encoder)) {
      return absl::NotFoundError(absl::StrCat(source.encoder.string(),
                                              ": no such network in this checkpoint; use "
                                              "seg.encoder student or another init.from"));
    }
    shape = ReadIfThere(path / "export_config.json");
    G2LL_ASSIGN_OR_RETURN(source.history, train::ParseHistory(ReadIfThere(path / "history.json")));
  } else if (std::filesystem::is_directory(path)) {
    source.encoder = path / "model.safetensors";
    shape = ReadIfThere(path / "config.json");
  } else {
    source.encoder = path;
  }
  const nlohmann::json config = nlohmann::json::parse(shape, nullptr, /*allow_exceptions=*/false);
  source.has_learned_positions =
      config.is_object() && config.value("positions", "sincos2d") == std::string("learned");
  return source;
}

// The validation split; null if there is none and none is needed.
absl::StatusOr<std::unique_ptr<data::Dataset>> OpenValidation(const v1::FinetuneSpec& spec) {
  data::DatasetOptions options;
  options.source = spec.data().source();
  options.split = data::Split::kValidation;
  options.needs_masks = true;
  options.max_images = spec.data().max_validation_images();
  options.subset_seed = spec.data().subset_seed();
  auto dataset = data::Dataset::Open(options);
  if (!dataset.ok() && spec.seg().select() != v1::SegmentationSpec::BEST) {
    log::Warning("no validation scores", {{"reason", std::string(dataset.status().message())}});
    return std::unique_ptr<data::Dataset>();
  }
  return dataset;
}

}  // namespace

absl::Status RunFinetune(const RankContext& context) {
  const v1::FinetuneSpec& spec = context.assignment.spec().finetune();
  auto source =
      OpenSource(context.assignment, spec.seg().encoder() == v1::SegmentationSpec::TEACHER);
  if (!source.ok()) return WithFailure(source.status(), FailureKind::kStorage);
  auto data = OpenTrainingData(context, spec.data(), spec.train(), spec.seed(),
                               /*needs_masks=*/true);
  if (!data.ok()) return WithFailure(data.status(), FailureKind::kData);
  auto validation = OpenValidation(spec);
  if (!validation.ok()) return WithFailure(validation.status(), FailureKind::kData);

  finetune::SegmentationTaskOptions options;
  options.network = SegmentationOf(spec.model(), source->has_learned_positions);
  options.is_encoder_frozen = spec.seg().freeze_encoder();
  options.lr = LearningRateOf(spec.optim(), data->length);
  options.weight_decay = WeightDecayOf(spec.optim(), data->length);
  options.steps_per_epoch = data->length.steps_per_epoch;
  options.images_per_step = data->images_per_step;
  options.validate_every = spec.train().validate_every();
  options.is_best_kept = spec.seg().select() == v1::SegmentationSpec::BEST;
  options.input = InputOf(spec.model(), spec.data());
  options.seed = spec.seed();
  options.device = context.device;

  data::SegmentationLoaderOptions loading;
  loading.input = options.input;
  loading.augmentation = SegmentationAugmentOf(spec.aug());
  loading.seed = spec.seed();
  loading.threads = std::max(1, context.assignment.threads());

  TrainingRun run{.kind = "FinetuneJob",
                  .export_config_json = ExportConfigJson(options.network.vit, options.input,
                                                         options.network.channels),
                  .train = spec.train(),
                  .optim = spec.optim(),
                  .policy = spec.policy(),
                  .seed = spec.seed(),
                  .length = data->length,
                  .ancestors = source->history};
  return Train(
      context, run, [&](int64_t first_step) -> absl::StatusOr<std::unique_ptr<train::TrainTask>> {
        auto loader =
            data::SegmentationLoader::Create(*data->dataset, *data->sampler, loading, first_step);
        if (!loader.ok()) return WithFailure(loader.status(), FailureKind::kData);
        auto task = std::make_unique<finetune::SegmentationTask>(
            options, *std::move(loader), validation->get(), context.collective);
        if (!source->encoder.empty()) {
          const absl::Status loaded = task->LoadEncoder(source->encoder.string());
          if (!loaded.ok()) return WithFailure(loaded, FailureKind::kConfig);
        }
        return task;
      });
}

}  // namespace g2ll::job
