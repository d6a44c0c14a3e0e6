#ifndef WORKER_PRETRAIN_PRETRAIN_OPTIONS_H_
#define WORKER_PRETRAIN_PRETRAIN_OPTIONS_H_

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "worker/loss/distillation_loss.h"
#include "worker/loss/reconstruction_loss.h"
#include "worker/mask/mask_strategy.h"
#include "worker/model/mae_decoder.h"
#include "worker/model/projection_head.h"
#include "worker/model/vit_encoder.h"
#include "worker/schedule/schedule.h"
#include "worker/train/non_finite_images.h"

namespace g2ll::pretrain {

// Masked image modelling: the decoder rebuilds hidden patches (paper Eq. 3).
struct MimOptions {
  double lambda = 1;
  bool norm_pix = false;
  model::MaeDecoderOptions decoder;
  loss::Distance distance = loss::Distance::kSquared;
};

// What keeps the teacher from one output for everything. Of class logits: those of
// patches always have a moving average (IbotOptions).
enum class Centering {
  kMean,      // a moving average of its logits is subtracted (DINO)
  kSinkhorn,  // Sinkhorn-Knopp over the global batch (DINOv2)
};

// Self-distillation from the moving average (paper Eq. 5-7).
struct DistillOptions {
  double lambda = 1;
  model::ProjectionHeadOptions head;
  loss::Pairs pairs = loss::Pairs::kSame;
  double student_temp = 0.1;
  schedule::TeacherTemperature teacher_temp;
  double center_momentum = 0.9;
  schedule::CosineBetween ema_momentum;
  // Passes over the data during which the head's last layer is frozen.
  double freeze_epochs = 1;
  Centering centering = Centering::kMean;
};

// Self-distillation of masked patches within a view, through the same head and
// with a centre of its own (iBOT; method section 6.3). Needs DistillOptions.
struct IbotOptions {
  // Where the student's features of masked patches come from.
  enum class Source {
    kDecoder,  // tokens of the reconstruction decoder after its norm; needs MimOptions
    kEncoder,  // the encoder; needs StudentInput::kMaskToken
  };
  double lambda = 1;
  Source source = Source::kDecoder;
  schedule::TeacherTemperature teacher_temp{0.04, 0.07, 30};
};

// What the student's encoder gets.
enum class StudentInput {
  kAll,        // every patch (DINO)
  kVisible,    // the patches that are not masked (paper 2.1, MAE)
  kMaskToken,  // every patch, a trained token in place of the masked ones (SimMIM)
};

// One pre-training method. The three of method section 5 are settings of it:
// G2LL has both losses on masked views, MAE only `mim` with one view, DINO only
// `distill` on unmasked views with crossed pairs.
struct PretrainOptions {
  std::string method = "g2ll";
  model::VitOptions encoder;
  StudentInput student_input = StudentInput::kVisible;
  std::optional<MimOptions> mim;
  std::optional<DistillOptions> distill;
  std::optional<IbotOptions> ibot;
  // Weight of KoLeo on the student's class features; 0: none.
  double koleo_lambda = 0;
  // Losses are sums over views and pairs instead of means (method section 3.3).
  bool is_summed = false;
  // Masks from the teacher's attention (kind kAttention): how they are drawn. Other
  // kinds come ready from the loader. Needs `distill`.
  std::optional<mask::MaskOptions> attention_mask;
  schedule::LearningRate lr;
  schedule::CosineBetween weight_decay;
  int64_t steps_per_epoch = 1;
  int64_t seed = 0;
  torch::Device device = torch::kCPU;
  // float64 is for tests that compare runs.
  torch::Dtype dtype = torch::kFloat32;
  // Names training images in messages.
  train::ImageName image_id;
};

}  // namespace g2ll::pretrain

#endif  // WORKER_PRETRAIN_PRETRAIN_OPTIONS_H_
