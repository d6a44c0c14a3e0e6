#ifndef WORKER_JOB_SPEC_OPTIONS_H_
#define WORKER_JOB_SPEC_OPTIONS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "g2ll/v1/spec.pb.h"
#include "worker/data/augmentation.h"
#include "worker/data/dataset.h"
#include "worker/data/loader.h"
#include "worker/data/slic.h"
#include "worker/finetune/segmentation_task.h"
#include "worker/mask/mask_strategy.h"
#include "worker/model/segmentation_network.h"
#include "worker/model/vit_encoder.h"
#include "worker/pretrain/pretrain_task.h"
#include "worker/schedule/schedule.h"
#include "worker/train/adamw.h"

namespace g2ll::job {

// From a spec's messages, with all defaults filled in, to the options of the
// parts. Pure functions.

// How long a run is, in updates.
struct RunLength {
  int64_t steps_per_epoch = 1;
  int64_t schedule_steps = 1;  // length of all schedules
  int64_t last_step = 1;       // where it ends: maxSteps may cut it
  // Images of a global batch, and of the last one of every epoch.
  int64_t images_per_step = 1;
  int64_t images_in_last_step = 1;
};

// The images are those of the spec's batch, which a data set may be too small for.
RunLength RunLengthOf(const v1::TrainSpec& train, int64_t steps_per_epoch);

// What a device can do for `train.precision`.
struct DevicePrecision {
  bool is_cuda = false;
  bool has_bf16 = false;  // multiplies it in hardware
};

// Whether matrix products run in bf16. Error: FailedPrecondition (bf16 asked for
// on a device that has none).
absl::StatusOr<bool> ChooseBf16(v1::TrainSpec::Precision precision, const DevicePrecision& device);

// Error: InvalidArgument (an unknown split).
absl::StatusOr<data::Split> SplitOf(const v1::DataSpec& spec);

// Source, split, subset and excluded ids; what is needed of the images is left open.
// Error: as SplitOf.
absl::StatusOr<data::DatasetOptions> DatasetOf(const v1::DataSpec& spec);

data::InputOptions InputOf(const v1::ModelSpec& model, const data::PixelScale& scale);
data::ViewOptions ViewsOf(const v1::AugmentSpec& spec);
data::SegmentationAugmentOptions SegmentationAugmentOf(const v1::AugmentSpec& spec);
mask::MaskOptions MaskOf(const v1::MaskSpec& spec);
// `regions`: how many superpixels to ask for, mask.regions.
data::SlicOptions SlicOf(const v1::SlicSpec& spec, int regions);

// `learned_pos`: DINO's positions, else the fixed table.
model::VitOptions EncoderOf(const v1::ModelSpec& spec, bool learned_pos);
model::SegmentationOptions SegmentationOf(const v1::FinetuneSpec& spec, bool learned_pos);

// `lrScale: linear256` multiplies both ends by the images of a global batch / 256.
schedule::LearningRate LearningRateOf(const v1::OptimSpec& spec, const RunLength& length);
schedule::CosineBetween WeightDecayOf(const v1::OptimSpec& spec, const RunLength& length);
train::AdamW::Options AdamOf(const v1::OptimSpec& spec);
train::ClipMode ClipModeOf(const v1::OptimSpec& spec);

// Network, loss, schedules and selection of a fine-tuning, without data and device.
finetune::SegmentationTaskOptions SegmentationTaskOf(const v1::FinetuneSpec& spec,
                                                     const RunLength& length, bool learned_pos);

// Networks, losses and schedules of a pre-training method, without data and device.
pretrain::PretrainOptions PretrainOptionsOf(const v1::PretrainSpec& spec, const RunLength& length);

}  // namespace g2ll::job

#endif  // WORKER_JOB_SPEC_OPTIONS_H_
