#ifndef WORKER_PRETRAIN_PRETRAIN_TASK_H_
#define WORKER_PRETRAIN_PRETRAIN_TASK_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/data/batch.h"
#include "worker/data/loader.h"
#include "worker/dist/collective.h"
#include "worker/loss/distillation_loss.h"
#include "worker/model/mae_decoder.h"
#include "worker/model/projection_head.h"
#include "worker/model/vit_encoder.h"
#include "worker/pretrain/ema_teacher.h"
#include "worker/schedule/schedule.h"
#include "worker/train/train_task.h"

namespace g2ll::pretrain {

// Masked image modelling: the decoder rebuilds hidden patches (paper Eq. 3).
struct MimOptions {
  double lambda = 1;
  bool norm_pix = false;
  model::MaeDecoderOptions decoder;
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
};

// One pre-training method. The three of method section 5 are settings of it:
// G2LL has both losses on masked views, MAE only `mim` with one view, DINO only
// `distill` on unmasked views with crossed pairs.
struct PretrainOptions {
  std::string method = "g2ll";
  model::VitOptions encoder;
  // False: the student sees all patches (DINO).
  bool is_student_masked = true;
  std::optional<MimOptions> mim;
  std::optional<DistillOptions> distill;
  schedule::CosineWithWarmup lr;
  schedule::CosineBetween weight_decay;
  int64_t steps_per_epoch = 1;
  // Images of the global batch.
  int64_t images_per_step = 1;
  int64_t seed = 0;
  torch::Device device = torch::kCPU;
  // float64 is for tests that compare runs.
  torch::Dtype dtype = torch::kFloat32;
};

// Student, teacher and their losses: the G2LL step of method section 3.3.
class PretrainTask final : public train::TrainTask {
 public:
  // Initialises the networks from the seed, the same on every rank. `collective`
  // must outlive the task. At least one of `mim` and `distill` is set.
  PretrainTask(const PretrainOptions& options, std::unique_ptr<data::PretrainLoader> loader,
               dist::Collective& collective);

  std::string name() const override { return options_.method; }
  std::vector<train::NamedParameter> Parameters() override;
  int64_t steps_per_epoch() const override { return options_.steps_per_epoch; }
  train::StepPlan PlanStep(const train::StepContext& context) const override;
  absl::Status LoadBatch(const train::StepContext& context) override;
  // Values: `loss`, `loss/mim`, `loss/distill`, `teacher_entropy` (nats, of the
  // centred and sharpened teacher; 0 or ln K is a collapse).
  train::StepResult ComputeLoss(const train::StepContext& context) override;
  void AfterStep(const train::StepContext& context) override;
  bool IsValidationDue(int64_t) const override { return false; }
  absl::StatusOr<train::Scores> Validate() override { return train::Scores{}; }
  std::string SelectionScore() const override { return ""; }
  absl::Status SaveState(checkpoint::CheckpointWriter& writer) const override;
  absl::Status LoadState(const std::string& directory) override;

 private:
  torch::Tensor MimLoss(const torch::Tensor& latent, const torch::Tensor& views,
                        const torch::Tensor& visible_ids);
  torch::Tensor DistillLoss(const torch::Tensor& student_logits,
                            const torch::Tensor& teacher_logits, double epoch) const;

  PretrainOptions options_;
  std::unique_ptr<data::PretrainLoader> loader_;
  dist::Collective& collective_;
  data::PretrainBatch batch_;

  model::VitEncoder encoder_{nullptr};
  model::MaeDecoder decoder_{nullptr};   // empty without `mim`
  model::ProjectionHead head_{nullptr};  // empty without `distill`
  std::optional<EmaTeacher> teacher_;
  std::optional<Center> center_;
};

}  // namespace g2ll::pretrain

#endif  // WORKER_PRETRAIN_PRETRAIN_TASK_H_
