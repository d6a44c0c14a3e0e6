#ifndef WORKER_PRETRAIN_PRETRAIN_TASK_H_
#define WORKER_PRETRAIN_PRETRAIN_TASK_H_

#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/checkpoint/tensor_file.h"
#include "worker/data/batch.h"
#include "worker/data/loader.h"
#include "worker/dist/collective.h"
#include "worker/pretrain/ema_teacher.h"
#include "worker/pretrain/pretrain_options.h"
#include "worker/pretrain/preview.h"
#include "worker/train/train_task.h"

namespace g2ll::pretrain {

// Student, teacher and their losses: the G2LL step of method section 3.3.
//
// A share of a batch may come in parts: its pixels go to the device together and the
// teacher sees all of them first, so that masks from its attention, Sinkhorn-Knopp and
// the centre do not depend on parts and ranks. KoLeo's neighbours are those of the
// global batch; with more than one part the student's features of the others cost one
// forward pass more.
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
  absl::StatusOr<int64_t> LoadBatch(const train::StepContext& context) override;
  // Values: `loss`; the parts that are on of `loss/mim`, `loss/distill`, `loss/ibot`,
  // `loss/koleo`, before their weights; `feature_std` (of the student's L2-normalised
  // class features within a part, healthy about 1/sqrt(D)); with a teacher
  // `teacher_entropy` (nats, after centring and sharpening; ln K is a collapse, 0 may be
  // one) and `teacher_student_kl` (nats); with a centre of class logits `center_norm`.
  // Once an epoch, but at most every fiftieth step, `grad_norm/NAME` for each part: the
  // norm over the encoder of the gradient of the weighted loss, mean over parts and ranks.
  train::StepResult ComputeLoss(const train::StepContext& context,
                                const train::MicroBatch& part) override;
  std::string NonFiniteInput() const override;
  void AfterStep(const train::StepContext& context, const train::Scores& values) override;
  absl::StatusOr<train::Scores> Validate() override { return train::Scores{}; }
  std::string SelectionScore() const override { return ""; }
  absl::Status SaveState(checkpoint::CheckpointWriter& writer) const override;
  absl::Status LoadState(const std::string& directory) override;

  // What the student makes of a batch, which takes the place of the last step's share:
  // for after the last step. Nothing is learned from it.
  StudentPreview Preview(data::PretrainBatch batch);

  const EmaTeacher* teacher() const { return teacher_ ? &*teacher_ : nullptr; }
  // Centres of class and patch logits; null where there is none.
  const Center* center() const { return center_ ? &*center_ : nullptr; }
  const Center* patch_center() const { return patch_center_ ? &*patch_center_ : nullptr; }

 private:
  // Rows of a part on the device, all of the first view, then all of the second.
  struct Rows {
    torch::Tensor views, visible_ids, masked_ids, keep_scales;
  };
  // What the teacher says of the whole share.
  struct Targets {
    torch::Tensor class_probabilities;  // [V*B,K]
    torch::Tensor patch_tokens;         // of masked patches, [V*B,m,D]; only for ibot
  };
  // One loss: a scalar with a graph, before its weight.
  struct Part {
    std::string name;
    double lambda = 1;
    torch::Tensor loss;
  };

  // The value that tells of a collapse.
  static constexpr char kEntropy[] = "teacher_entropy";

  using StateFile = std::pair<std::string, checkpoint::NamedTensors>;

  int64_t num_views() const { return batch_.views.size(0) / batch_.num_images; }
  // Steps between two looks that cost a backward pass for each loss.
  int64_t notable_steps() const { return std::max<int64_t>(options_.steps_per_epoch, 50); }
  // [R,m,D]: the rows' tokens of the patches `ids` [R,m], out of those of all [R,n,D].
  static torch::Tensor TokensAt(const torch::Tensor& tokens, const torch::Tensor& ids);
  Rows RowsOf(const train::MicroBatch& part) const;
  // The part's rows of a tensor [V*B,...].
  torch::Tensor Take(const torch::Tensor& rows, const train::MicroBatch& part) const;

  // Before a share's first part, in chunks of `chunk` images.
  void PrepareShare(const train::StepContext& context, int64_t chunk);
  void AskTeacher(const train::StepContext& context, int64_t chunk);
  void MaskByAttention(const torch::Tensor& attention, int64_t first_row);
  void GatherFeatures(int64_t chunk);
  void WarnOfCollapse(int64_t step, const train::Scores& values);

  torch::Tensor Encode(const Rows& rows);
  torch::Tensor DecodedTokens(const torch::Tensor& latent, const Rows& rows);
  torch::Tensor MimLoss(const torch::Tensor& decoded, const Rows& rows);
  torch::Tensor DistillLoss(const torch::Tensor& features, const train::MicroBatch& part);
  torch::Tensor IbotLoss(const torch::Tensor& student_tokens, const Rows& rows,
                         const train::MicroBatch& part, int64_t epoch);
  torch::Tensor KoLeoLoss(const torch::Tensor& features, const train::MicroBatch& part,
                          double weight);
  std::vector<Part> Losses(const train::StepContext& context, const train::MicroBatch& part,
                           const Rows& rows, const torch::Tensor& latent);
  torch::Tensor EncoderGradientNorm(const torch::Tensor& loss);
  // Every file of a checkpoint with the tensors that it holds, shared with the networks.
  std::vector<StateFile> StateFiles() const;

  PretrainOptions options_;
  std::unique_ptr<data::PretrainLoader> loader_;
  dist::Collective& collective_;

  model::VitEncoder encoder_{nullptr};
  torch::Tensor mask_token_;             // [1,1,D], only for StudentInput::kMaskToken
  model::MaeDecoder decoder_{nullptr};   // empty without `mim`
  model::ProjectionHead head_{nullptr};  // empty without `distill`
  std::optional<EmaTeacher> teacher_;
  std::optional<Center> center_;        // only for Centering::kMean
  std::optional<Center> patch_center_;  // only for ibot

  // The share of the current step. Its views are on the device from PrepareShare on.
  data::PretrainBatch batch_;
  torch::Tensor keep_scales_;
  Targets targets_;
  dist::GatheredRows features_;  // of all ranks, [V,G,D]; only for KoLeo
  int64_t next_warning_ = 0;     // step from which a collapse is told again
};

}  // namespace g2ll::pretrain

#endif  // WORKER_PRETRAIN_PRETRAIN_TASK_H_
