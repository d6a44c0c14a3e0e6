#ifndef WORKER_JOB_JOB_REPORT_H_
#define WORKER_JOB_JOB_REPORT_H_

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "g2ll/v1/spec.pb.h"
#include "worker/data/dataset.h"
#include "worker/data/image.h"
#include "worker/data/pixel_scale.h"
#include "worker/data/sampler.h"
#include "worker/job/rank_context.h"
#include "worker/pretrain/preview.h"
#include "worker/report/training_report.h"
#include "worker/train/history.h"

namespace g2ll::job {

// Writes the report of a run that has ended well and tells of it; rank 0 only. The
// training counts without it, so a fault is only logged. `method` is the task's name.
void ReportTraining(const RankContext& context, const TrainingRun& run, const std::string& method,
                    const train::RunRecord& record);

// Every setting of a full spec, with what the recipe has for its kind and method.
std::vector<report::Setting> SettingsOf(const v1::JobSpec& spec);

// How the pixels of a preview are to be read.
struct PreviewInput {
  data::PixelScale scale;
  int patch = 16;
};

// Takes a few images of the last pass over the data, from `first_step` on; all
// schedules of the run are as long as `schedule_steps` of its steps.
struct PictureSampler {
  data::ShardSampler sampler;
  int64_t first_step = 0;
  int64_t schedule_steps = 1;
};
PictureSampler SamplerForPictures(const TrainingData& training, int64_t seed);

// [3,S,S] in the network's scale as 8-bit pixels, cut to what can be shown.
data::Image ImageOf(const torch::Tensor& pixels, const data::PixelScale& scale);

// [1,S,S] bool as a mask of 0 and 255.
data::LesionMask MaskOfPixels(const torch::Tensor& is_lesion);

// A preview as pictures of a report, an entry for each image.
std::vector<report::TrainingPicture> PicturesOf(const pretrain::StudentPreview& preview,
                                                const PreviewInput& input,
                                                const data::Dataset& dataset);

}  // namespace g2ll::job

#endif  // WORKER_JOB_JOB_REPORT_H_
