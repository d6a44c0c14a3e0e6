#ifndef WORKER_EVALUATE_EVALUATION_H_
#define WORKER_EVALUATE_EVALUATION_H_

#include <cstdint>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "worker/data/dataset.h"
#include "worker/evaluate/protocol.h"
#include "worker/run/run_events.h"

namespace g2ll::evaluate {

// What is measured, on what, and where the report goes.
struct EvaluationOptions {
  std::string job;  // short name, for the report
  // Images; `needs_masks` is taken as set.
  data::DatasetOptions data;
  // Absolute path of a checkpoint directory of a FinetuneJob, of an exported segmenter, or of
  // the `model.safetensors` in that.
  std::string checkpoint;
  bool is_path_given = false;  // by a user: what is wrong with `checkpoint` is a setting
  std::string storage_root;    // absolute
  std::string report_path;     // relative to `storage_root`; must not exist yet
  Protocol protocol;           // how masks come from images; stands in the report
  int64_t batch = 16;          // images in one forward pass, at least 1
  int threads = 1;             // images read at the same time, ahead of their use
  std::string device = "cpu";  // as torch writes it, for example `cuda:0`
  uint64_t seed = 0;           // of the bootstrap
};

// Measures a segmentation network on a split: Dice and IoU of every image at the
// network's size (truth resized to the nearest pixel) and at the image's own size
// (logits resized bilinearly), probability above 0.5 is lesion (method section 4.3);
// beside them threshold Jaccard, HD95 at the image's own size and pooled scores. Means
// are over images, intervals are bootstraps over images.
//
// Verifies the checkpoint first and takes sizes and normalisation from it. Writes
// the report directory so that it is there completely or not at all, then calls
// OnMetric (`test/dice`, `test/iou`, `test/dice_native`, `test/iou_native`) and
// OnReport; OnProgress counts images while it runs. OnJoined is the caller's.
// Runs on one rank; uses torch's own threads for the forward pass.
//
// Errors carry a train::FailureKind: kConfig (the checkpoint is no segmentation
// model, or the path that a user gave holds no good one), kStorage (a damaged
// checkpoint of a job, a report that cannot be written), kData
// (an unreadable image), kNonFinite (a prediction that is not a number, naming
// the image), kPreempted (`stop` was asked for).
absl::Status RunEvaluation(const EvaluationOptions& options, run::RunEvents& events,
                           std::stop_token stop);

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_EVALUATION_H_
