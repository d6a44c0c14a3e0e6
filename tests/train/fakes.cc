#include "tests/train/fakes.h"

#include <stdlib.h>
#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "worker/train/telemetry.h"

namespace g2ll::test {
namespace {

// Row `index` is a disc of its own.
torch::Tensor Discs(int64_t count, int size) {
  const torch::Tensor axis = torch::arange(size, torch::kFloat32);
  std::vector<torch::Tensor> rows;
  for (int64_t i = 0; i < count; ++i) {
    const double radius = size * (0.2 + 0.03 * static_cast<double>(i % 5));
    const torch::Tensor dx = axis - size * (0.35 + 0.05 * static_cast<double>(i % 7));
    const torch::Tensor dy = axis - size * (0.40 + 0.04 * static_cast<double>(i % 6));
    rows.push_back((dx.square().unsqueeze(0) + dy.square().unsqueeze(1)) < radius * radius);
  }
  return torch::stack(rows).unsqueeze(1);
}

int64_t StepsPerEpoch(const FakeBatches& batches) {
  return (batches.num_images + batches.global_batch - 1) / batches.global_batch;
}

class FakePretrain final : public data::PretrainLoader {
 public:
  explicit FakePretrain(const FakeBatches& batches)
      : batches_(batches),
        step_(batches.first_step),
        images_(DiscImages(batches.num_images, batches.image_size)) {}

  absl::StatusOr<data::PretrainBatch> Next() override {
    const std::vector<int64_t> indices = RankIndices(batches_, step_);
    const torch::Tensor u = images_.index_select(0, torch::tensor(indices));
    data::PretrainBatch batch;
    batch.num_images = static_cast<int64_t>(indices.size());
    batch.indices = indices;
    batch.epoch = EpochOf(batches_, step_++);
    batch.views = batches_.num_views == 1 ? u : torch::cat({u, u.flip(-1) * 0.9});
    // A quarter of the patches, another one for each image and view.
    const int64_t grid = batches_.image_size / batches_.patch;
    std::vector<torch::Tensor> visible, masked;
    for (int64_t view = 0; view < batches_.num_views; ++view) {
      for (const int64_t index : indices) {
        const torch::Tensor is_masked =
            torch::arange(grid * grid).add(index + 2 * view).remainder(4) == 0;
        masked.push_back(is_masked.nonzero().squeeze(1));
        visible.push_back(is_masked.logical_not().nonzero().squeeze(1));
      }
    }
    batch.visible_ids = torch::stack(visible);
    batch.masked_ids = torch::stack(masked);
    return batch;
  }

 private:
  FakeBatches batches_;
  int64_t step_;
  torch::Tensor images_;
};

class FakeSegmentation final : public data::SegmentationLoader {
 public:
  explicit FakeSegmentation(const FakeBatches& batches)
      : batches_(batches), step_(batches.first_step) {}

  absl::StatusOr<data::SegmentationBatch> Next() override {
    data::SegmentationBatch batch;
    batch.indices = RankIndices(batches_, step_++);
    const torch::Tensor rows = torch::tensor(batch.indices);
    batch.images = DiscImages(batches_.num_images, batches_.image_size).index_select(0, rows);
    batch.masks = DiscMasks(batches_.num_images, batches_.image_size).index_select(0, rows);
    return batch;
  }

 private:
  FakeBatches batches_;
  int64_t step_;
};

}  // namespace

std::vector<double> Recorder::Values(const std::string& name) const {
  std::vector<double> values;
  for (const run::MetricSample& sample : metrics) {
    if (sample.name == name) values.push_back(sample.value);
  }
  return values;
}

TempDirectory::TempDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "g2ll-train-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

TempDirectory::~TempDirectory() { std::filesystem::remove_all(path_); }

int64_t EpochOf(const FakeBatches& batches, int64_t step) { return step / StepsPerEpoch(batches); }

std::vector<int64_t> GlobalIndices(const FakeBatches& batches, int64_t step) {
  const int64_t begin = step % StepsPerEpoch(batches) * batches.global_batch;
  const int64_t end = std::min(begin + batches.global_batch, batches.num_images);
  std::vector<int64_t> indices(static_cast<size_t>(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return indices;
}

std::vector<int64_t> RankIndices(const FakeBatches& batches, int64_t step) {
  const std::vector<int64_t> all = GlobalIndices(batches, step);
  const auto bound = [&](int64_t rank) {
    return all.begin() + rank * static_cast<int64_t>(all.size()) / batches.world_size;
  };
  return {bound(batches.rank), bound(batches.rank + 1)};
}

torch::Tensor DiscImages(int64_t count, int size) {
  const torch::Tensor ramp = torch::linspace(-0.5, 0.5, size).expand({count, 3, size, size});
  const torch::Tensor color = torch::tensor({1.0, 0.6, -0.8}).view({1, 3, 1, 1});
  return ramp + Discs(count, size).to(torch::kFloat32) * color;
}

torch::Tensor DiscMasks(int64_t count, int size) { return Discs(count, size).to(torch::kFloat32); }

std::unique_ptr<data::PretrainLoader> FakePretrainLoader(const FakeBatches& batches) {
  return std::make_unique<FakePretrain>(batches);
}

std::unique_ptr<data::SegmentationLoader> FakeSegmentationLoader(const FakeBatches& batches) {
  return std::make_unique<FakeSegmentation>(batches);
}

pretrain::PretrainOptions TinyPretrainOptions(int64_t total_steps) {
  pretrain::PretrainOptions options;
  options.encoder.image_size = 16;
  options.encoder.patch = 4;
  options.encoder.dim = 32;
  options.encoder.depth = 2;
  options.encoder.heads = 2;
  options.mim.emplace();
  options.mim->decoder = {4, 4, 32, 32, 1, 2};
  options.distill.emplace();
  options.distill->head = {32, 32, 16, 64};
  options.distill->ema_momentum = {0.99, 1, total_steps};
  options.distill->freeze_epochs = 1;
  options.lr = {1e-3, 1e-3, 0, total_steps};
  options.weight_decay = {0.05, 0.05, total_steps};
  options.steps_per_epoch = 1;
  options.seed = 3;
  return options;
}

finetune::SegmentationTaskOptions TinySegmentationOptions(int64_t total_steps) {
  finetune::SegmentationTaskOptions options;
  options.network.vit.image_size = 16;
  options.network.vit.patch = 4;
  options.network.vit.dim = 32;
  options.network.vit.depth = 2;
  options.network.vit.heads = 2;
  options.network.channels = {16, 16, 8};
  options.lr = {3e-3, 3e-3, 0, total_steps};
  options.weight_decay = {0, 0, total_steps};
  options.seed = 3;
  return options;
}

std::map<std::string, torch::Tensor> ParametersOf(train::TrainTask& task) {
  std::map<std::string, torch::Tensor> values;
  for (const train::NamedParameter& parameter : task.Parameters()) {
    values[parameter.name] = parameter.tensor.detach().clone();
  }
  return values;
}

absl::Status RunLoop(train::TrainTask& task, dist::Collective& collective, Recorder& recorder,
                     LoopRun& run) {
  // Networks of this size lose more than they gain by a second thread.
  at::set_num_threads(1);
  train::AdamW optimizer(task.Parameters(), {});
  if (run.history.runs.empty()) run.history.runs.emplace_back();
  train::Checkpointer::Options saving;
  saving.storage_root = run.storage;
  saving.parent = run.parent;
  saving.manifest.job = "projects/default/jobs/tiny";
  saving.manifest.job_uid = "job";
  saving.manifest.kind = "PretrainJob";
  saving.manifest.epoch = 1;
  saving.config_json = "{}";
  saving.export_config_json = "{}";
  saving.selection_score = task.SelectionScore();
  train::Checkpointer checkpointer(saving, recorder, run.history);
  if (!run.resume.empty()) {
    const auto step = checkpointer.Restore(run.resume, task, optimizer);
    if (!step.ok()) return step.status();
    if (*step != run.first_step) return absl::InternalError("another step");
  }
  train::Telemetry telemetry({run.first_step, run.last_step, collective.rank() != 0}, recorder,
                             run.history.runs.back());
  train::TrainLoopOptions options;
  options.first_step = run.first_step;
  options.last_step = run.last_step;
  options.images_per_step = run.images_per_step;
  options.images_in_last_step =
      run.images_in_last_step > 0 ? run.images_in_last_step : run.images_per_step;
  options.accumulate = run.accumulate;
  options.clip = run.clip;
  options.validate_every = run.validate_every;
  train::TrainLoop loop(options, task, optimizer, collective, telemetry, checkpointer);
  return loop.Run(run.stop);
}

}  // namespace g2ll::test
