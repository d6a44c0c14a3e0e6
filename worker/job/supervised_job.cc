#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/classification_loader.h"
#include "worker/job/export_config.h"
#include "worker/job/job_report.h"
#include "worker/job/rank_context.h"
#include "worker/pretrain/classification_task.h"
#include "worker/train/failure.h"

namespace g2ll::job {
namespace {

using train::FailureKind;
using train::WithFailure;

absl::StatusOr<data::DatasetOptions> DiagnosesOf(const v1::DataSpec& spec) {
  G2LL_ASSIGN_OR_RETURN(data::DatasetOptions options, DatasetOf(spec));
  options.needs_classes = true;
  options.class_file = spec.class_file();
  return options;
}

// The source's validation images with a diagnosis, of the same classes as all of its
// images; null if there are none. Nothing is excluded from them: they are looked at and
// not learned from.
std::unique_ptr<data::Dataset> OpenValidation(data::DatasetOptions options) {
  options.split = data::Split::kValidation;
  options.exclude_ids.clear();
  options.fraction = 1;
  options.max_images = 0;
  absl::StatusOr<std::unique_ptr<data::Dataset>> dataset = data::Dataset::Open(options);
  if (!dataset.ok()) {
    log::Warning("no validation scores", {{"reason", std::string(dataset.status().message())}});
    return nullptr;
  }
  return *std::move(dataset);
}

// Weights of the classes from the training images' counts, which are logged.
std::vector<double> WeightsOf(const v1::SupervisedSpec& spec, const data::ClassLabels& labels) {
  const std::vector<int64_t> counts = labels.Counts();
  double exponent = 0.5;
  if (spec.class_weights() == v1::SupervisedSpec::INVERSE) exponent = 1;
  if (spec.class_weights() == v1::SupervisedSpec::EQUAL) exponent = 0;
  const std::vector<double> weights = loss::ClassWeights(counts, exponent);
  std::string shown;
  for (size_t i = 0; i < counts.size(); ++i) {
    absl::StrAppend(&shown, i == 0 ? "" : ", ", labels.names[i], " ", counts[i], " x ", weights[i]);
  }
  log::Info("classes", {{"images_and_weights", shown}});
  return weights;
}

// The encoder's description with the names of the classes that its head tells apart.
std::string WithClasses(const std::string& export_config, const std::vector<std::string>& names) {
  nlohmann::ordered_json config = nlohmann::ordered_json::parse(export_config);
  config["classes"] = names;
  return config.dump(2);
}

pretrain::ClassificationTaskOptions TaskOptions(const RankContext& context,
                                                const TrainingData& data,
                                                const data::InputOptions& input) {
  const v1::PretrainSpec& spec = context.assignment.spec().pretrain();
  const data::ClassLabels& labels = data.dataset->classes();
  pretrain::ClassificationTaskOptions options;
  options.network.vit = EncoderOf(spec.model(), spec.model().positions() == v1::ModelSpec::LEARNED);
  options.network.num_classes = static_cast<int64_t>(labels.names.size());
  options.loss.class_weights = WeightsOf(spec.supervised(), labels);
  options.loss.label_smoothing = spec.supervised().label_smoothing();
  options.lr = LearningRateOf(spec.optim(), data.length);
  options.weight_decay = WeightDecayOf(spec.optim(), data.length);
  options.steps_per_epoch = data.length.steps_per_epoch;
  options.input = input;
  options.seed = spec.seed();
  options.device = context.device;
  options.image_id = [&dataset = *data.dataset](int64_t index) { return dataset.id(index); };
  return options;
}

// A few training images after their random changes, with their diagnoses.
absl::StatusOr<std::vector<report::TrainingPicture>> LoadPictures(
    const TrainingData& training, data::ClassificationLoaderOptions loading) {
  const PictureSampler chosen = SamplerForPictures(training, loading.seed);
  loading.threads = 1;
  loading.prefetch = 1;
  G2LL_ASSIGN_OR_RETURN(const auto loader,
                        data::ClassificationLoader::Create(*training.dataset, chosen.sampler,
                                                           loading, chosen.first_step));
  G2LL_ASSIGN_OR_RETURN(const data::ClassificationBatch batch, loader->Next());
  const data::ClassLabels& labels = training.dataset->classes();
  std::vector<report::TrainingPicture> pictures;
  for (size_t i = 0; i < batch.indices.size(); ++i) {
    const int64_t index = batch.indices[i];
    const int64_t label = labels.of_image[static_cast<size_t>(index)];
    report::StudentView view{
        ImageOf(batch.images[static_cast<int64_t>(i)], loading.input.scale), {}, {}};
    pictures.push_back(
        {training.dataset->id(index), labels.names[static_cast<size_t>(label)], {std::move(view)}});
  }
  return pictures;
}

}  // namespace

absl::Status RunSupervised(const RankContext& context) {
  const v1::PretrainSpec& spec = context.assignment.spec().pretrain();
  const auto diagnoses = DiagnosesOf(spec.data());
  if (!diagnoses.ok()) return WithFailure(diagnoses.status(), FailureKind::kConfig);
  G2LL_ASSIGN_OR_RETURN(const TrainingData data, OpenTrainingData(context, *diagnoses));
  const std::unique_ptr<data::Dataset> validation = OpenValidation(*diagnoses);
  G2LL_ASSIGN_OR_RETURN(const data::InputOptions input, OpenInput(context, *data.dataset));
  const pretrain::ClassificationTaskOptions options = TaskOptions(context, data, input);

  data::ClassificationLoaderOptions loading;
  loading.input = input;
  loading.augmentation = ViewsOf(spec.aug());
  loading.seed = spec.seed();
  loading.threads = context.threads();

  TrainingRun run{.export_config_json = WithClasses(ExportConfigJson(options.network.vit, input),
                                                    data.dataset->classes().names),
                  .length = data.length,
                  .ancestors = {},
                  .training_ids = IdsOf(*data.dataset),
                  .images = data.options};
  run.ancestors.pretrain_ids = run.training_ids;
  run.add_pictures = [&](report::TrainingReport& report) -> absl::Status {
    G2LL_ASSIGN_OR_RETURN(report.pictures, LoadPictures(data, loading));
    return absl::OkStatus();
  };
  return Train(context, run, [&](int64_t first_step) -> MadeTask {
    auto loader =
        data::ClassificationLoader::Create(*data.dataset, *data.sampler, loading, first_step);
    if (!loader.ok()) return WithFailure(loader.status(), FailureKind::kData);
    return std::make_unique<pretrain::ClassificationTask>(options, *std::move(loader),
                                                          validation.get(), context.collective);
  });
}

}  // namespace g2ll::job
