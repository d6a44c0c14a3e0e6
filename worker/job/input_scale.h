#ifndef WORKER_JOB_INPUT_SCALE_H_
#define WORKER_JOB_INPUT_SCALE_H_

#include <string>

#include "absl/status/statusor.h"
#include "g2ll/v1/spec.pb.h"
#include "worker/data/dataset.h"
#include "worker/data/pixel_scale.h"

namespace g2ll::job {

// What a training job's pixel scaling depends on.
struct InputScaleRequest {
  v1::DataSpec::Norm norm = v1::DataSpec::IMAGENET;
  int image_size = 256;
  int threads = 1;
  // `export_config.json` or `config.json` of the model that the job starts from; empty:
  // it starts from none, or from one that says nothing about itself.
  std::string source_config;
};

// The job's pixel scaling. For `data.norm: dataset` that is the source's, else the
// statistics of the training images at network size (at most 2,000 of them).
// Errors: DataLoss (an unreadable image).
absl::StatusOr<data::PixelScale> InputScaleOf(const InputScaleRequest& request,
                                              const data::Dataset& images);

}  // namespace g2ll::job

#endif  // WORKER_JOB_INPUT_SCALE_H_
