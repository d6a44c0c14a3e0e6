#ifndef WORKER_JOB_RANK_CONTEXT_H_
#define WORKER_JOB_RANK_CONTEXT_H_

#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "g2ll/trainer/v1/trainer.pb.h"
#include "worker/data/dataset.h"
#include "worker/data/sampler.h"
#include "worker/dist/collective.h"
#include "worker/job/spec_options.h"
#include "worker/report/training_report.h"
#include "worker/run/run_events.h"
#include "worker/train/history.h"
#include "worker/train/train_task.h"

namespace g2ll::job {

// What every kind of job needs of the rank it runs on. Private to this folder.
struct RankContext {
  const trainer::v1::Assignment& assignment;
  run::RunEvents& events;
  std::stop_token stop;
  torch::Device device;
  dist::Collective& collective;

  // Threads that read images, at least 1.
  int threads() const { return std::max(1, assignment.threads()); }
};

// The images of a training job and the order in which they are seen.
struct TrainingData {
  data::DatasetOptions options;  // that the set was opened with
  std::unique_ptr<data::Dataset> dataset;
  std::unique_ptr<data::ShardSampler> sampler;
  RunLength length;
};

// Opens the data set `options` for the job. Errors, with a FailureKind: those of
// Dataset::Open; InvalidArgument (a batch that the ranks cannot share),
// FailedPrecondition (fewer images than ranks).
absl::StatusOr<TrainingData> OpenTrainingData(const RankContext& context,
                                              const data::DatasetOptions& options);

// The same for the data set of the job's spec, with lesion masks or without.
absl::StatusOr<TrainingData> OpenTrainingData(const RankContext& context, bool needs_masks);

// How the job's network reads images: its sizes and the pixel scaling. `source_config` as
// in InputScaleRequest. Error, with a FailureKind: DataLoss (an unreadable image).
absl::StatusOr<data::InputOptions> OpenInput(const RankContext& context,
                                             const data::Dataset& images,
                                             const std::string& source_config = "");

// The ids of the images, in the order of the set.
std::vector<std::string> IdsOf(const data::Dataset& dataset);

// What a checkpoint of this job says about itself and its ancestors, beside its spec.
struct TrainingRun {
  std::string export_config_json;
  RunLength length;
  train::History ancestors;                    // runs and images that this job builds on
  std::vector<std::string> training_ids = {};  // images that it learns from
  data::DatasetOptions images = {};            // how those were opened
  // Adds the pictures of the finished run to its report, on rank 0; may be empty.
  std::function<absl::Status(report::TrainingReport& report)> add_pictures = {};
};

// Makes the task once the first step is known: a loader starts there.
using MadeTask = absl::StatusOr<std::unique_ptr<train::TrainTask>>;
using MakeTask = std::function<MadeTask(int64_t first_step)>;

// Trains: optimiser, resume, loop, checkpoints.
absl::Status Train(const RankContext& context, const TrainingRun& run, const MakeTask& make_task);

// One function per kind of job.
absl::Status RunPretrain(const RankContext& context);
absl::Status RunSupervised(const RankContext& context);  // a PretrainJob on diagnoses
absl::Status RunFinetune(const RankContext& context);
absl::Status RunEvaluate(const RankContext& context);

// `skin` of `projects/default/jobs/skin`: how reports and curves name a job.
std::string ShortJobName(const trainer::v1::Assignment& assignment);

// The spec as JSON, as stored in checkpoints, and its SHA-256.
std::string ConfigJson(const trainer::v1::Assignment& assignment);
std::string ConfigDigest(const trainer::v1::Assignment& assignment);

}  // namespace g2ll::job

#endif  // WORKER_JOB_RANK_CONTEXT_H_
