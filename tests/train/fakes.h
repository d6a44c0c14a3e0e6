#ifndef TESTS_TRAIN_FAKES_H_
#define TESTS_TRAIN_FAKES_H_

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/data/loader.h"
#include "worker/dist/collective.h"
#include "worker/finetune/segmentation_task.h"
#include "worker/pretrain/pretrain_task.h"
#include "worker/run/run_events.h"
#include "worker/train/checkpointer.h"
#include "worker/train/train_loop.h"

namespace g2ll::test {

// Keeps what a run tells; answers every checkpoint with `verdict`.
class Recorder final : public run::RunEvents {
 public:
  void OnJoined() override { has_joined = true; }
  void OnMetric(const run::MetricSample& sample) override { metrics.push_back(sample); }
  void OnProgress(const run::Progress& progress) override { this->progress.push_back(progress); }
  absl::Status OnCheckpoint(const run::WrittenCheckpoint& checkpoint) override {
    checkpoints.push_back(checkpoint);
    return verdict;
  }
  void OnReport(const std::string& path) override { report = path; }

  // Values of one metric in order.
  std::vector<double> Values(const std::string& name) const;

  bool has_joined = false;
  std::vector<run::MetricSample> metrics;
  std::vector<run::Progress> progress;
  std::vector<run::WrittenCheckpoint> checkpoints;
  std::string report;
  absl::Status verdict;
};

// A folder that goes away with the object.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// Pictures of a bright disc whose place and size depend on the index, with masks:
// images [N,3,S,S], masks [N,1,S,S].
torch::Tensor DiscImages(int64_t count, int size);
torch::Tensor DiscMasks(int64_t count, int size);

// Batches of the given global batch in a fixed order, the last one of an epoch smaller
// where that does not divide the images; a rank takes its share.
struct FakeBatches {
  int64_t num_images = 8;
  int64_t global_batch = 8;
  int image_size = 16;
  int patch = 4;
  int rank = 0;
  int world_size = 1;
  int64_t first_step = 0;
  int num_views = 2;  // pre-training only
};

// Passes over the data finished before a step, and the images of its global batch in order.
int64_t EpochOf(const FakeBatches& batches, int64_t step);
std::vector<int64_t> GlobalIndices(const FakeBatches& batches, int64_t step);

// The rank's share of them, cut as data::ShardSampler does.
std::vector<int64_t> RankIndices(const FakeBatches& batches, int64_t step);

std::unique_ptr<data::PretrainLoader> FakePretrainLoader(const FakeBatches& batches);
std::unique_ptr<data::SegmentationLoader> FakeSegmentationLoader(const FakeBatches& batches);

// A G2LL of a few thousand weights on 16-pixel images.
pretrain::PretrainOptions TinyPretrainOptions(int64_t total_steps);
finetune::SegmentationTaskOptions TinySegmentationOptions(int64_t total_steps);

// Copies of a task's parameters by name.
std::map<std::string, torch::Tensor> ParametersOf(train::TrainTask& task);

// Trains `task` from `first_step` to `last_step`; with `storage`, checkpoints go
// below it and, with `resume` (absolute), the run goes on from there.
struct LoopRun {
  int64_t first_step = 0;
  int64_t last_step = 1;
  std::string storage = {};
  std::string resume = {};
  std::string parent = "checkpoints/job/e1";
  double clip = 3;
  int64_t images_per_step = 8;
  int64_t images_in_last_step = 0;  // 0: as many
  int64_t accumulate = 1;
  int64_t validate_every = 0;
  std::stop_token stop = {};
  train::History history = {};
};
absl::Status RunLoop(train::TrainTask& task, dist::Collective& collective, Recorder& recorder,
                     LoopRun& run);

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_FAKES_H_
