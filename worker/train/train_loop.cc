#include "worker/train/train_loop.h"

#include <torch/torch.h>

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/train/failure.h"
#include "worker/train/precision.h"

namespace g2ll::train {
namespace {

std::vector<torch::Tensor> TensorsOf(const std::vector<NamedParameter>& parameters) {
  std::vector<torch::Tensor> tensors;
  for (const NamedParameter& parameter : parameters) tensors.push_back(parameter.tensor);
  return tensors;
}

// Seed of the numbers that networks draw in a step: any mixing will do that
// keeps (seed, step, rank) apart.
uint64_t StepSeed(int64_t seed, int64_t step, int rank) {
  uint64_t x = static_cast<uint64_t>(seed) * 0x9e3779b97f4a7c15u +
               static_cast<uint64_t>(step) * 0xbf58476d1ce4e5b9u + static_cast<uint64_t>(rank);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

TrainLoop::TrainLoop(const TrainLoopOptions& options, TrainTask& task, AdamW& optimizer,
                     dist::Collective& collective, Telemetry& telemetry, Checkpointer& checkpointer)
    : options_(options),
      task_(task),
      optimizer_(optimizer),
      collective_(collective),
      telemetry_(telemetry),
      checkpointer_(checkpointer) {}

absl::Status TrainLoop::Run(std::stop_token stop) {
  auto reducer = collective_.MakeGradientReducer(TensorsOf(optimizer_.parameters()));
  for (int64_t step = options_.first_step; step < options_.last_step; ++step) {
    const StepContext context = ContextOf(step);
    const StepContext finished = ContextOf(step + 1);
    const StepPlan plan = task_.PlanStep(context);
    const double seconds_before = timer_.total_seconds();

    timer_.Enter(Phase::kData);
    G2LL_RETURN_IF_ERROR(WithFailure(task_.LoadBatch(context), FailureKind::kData));

    timer_.Enter(Phase::kModel);
    reducer->ZeroGradients();
    const StepResult result = ComputeLoss(context);
    reducer->Backward(result.loss);

    timer_.Enter(Phase::kCollective);
    G2LL_ASSIGN_OR_RETURN(const Agreement agreed, Agree(result, context, stop.stop_requested()));

    timer_.Enter(Phase::kOptimizer);
    const double grad_norm = ClipGradients(optimizer_.parameters(), options_.clip);
    if (!std::isfinite(grad_norm)) {
      return WithFailure(
          absl::InternalError(absl::StrCat("update ", step + 1,
                                           ": the gradient is not finite though every loss "
                                           "is; lower optim.lr or use train.precision fp32")),
          FailureKind::kNonFinite);
    }
    optimizer_.Step(plan.lr, plan.weight_decay, plan.frozen);
    task_.AfterStep(context);

    timer_.Enter(Phase::kOther);
    StepRecord record{finished.step,
                      finished.epoch,
                      agreed.values,
                      plan.lr,
                      grad_norm,
                      agreed.num_images,
                      timer_.total_seconds() - seconds_before};
    telemetry_.OnStep(record);
    timer_.Pause();

    G2LL_RETURN_IF_ERROR(ValidateAndSave(finished));
    if (agreed.is_stop && finished.step < options_.last_step) {
      return WithFailure(absl::CancelledError(absl::StrCat("stopped after update ", step + 1)),
                         FailureKind::kPreempted);
    }
  }
  LogTimeSplit();
  return absl::OkStatus();
}

StepContext TrainLoop::ContextOf(int64_t step) const {
  return {step, static_cast<double>(step) / static_cast<double>(task_.steps_per_epoch())};
}

StepResult TrainLoop::ComputeLoss(const StepContext& context) {
  torch::manual_seed(StepSeed(options_.seed, context.step, collective_.rank()));
  const Bf16Scope bf16(options_.is_bf16, options_.device.type());
  return task_.ComputeLoss(context);
}

absl::StatusOr<TrainLoop::Agreement> TrainLoop::Agree(const StepResult& result,
                                                      const StepContext& context, bool is_stop) {
  // One small sum: the values, the images, the wish to stop, and for each rank
  // which of its values is not finite (from 1; 0: all are).
  const auto num_values = static_cast<int64_t>(result.values.size());
  const int world_size = collective_.world_size();
  torch::Tensor shared = torch::zeros({num_values + 2 + world_size}, torch::kFloat64);
  double* entry = shared.mutable_data_ptr<double>();
  for (int64_t i = 0; i < num_values; ++i) {
    const auto value = result.values[static_cast<size_t>(i)].second.item<double>();
    double& fault = entry[num_values + 2 + collective_.rank()];
    if (std::isfinite(value)) {
      entry[i] = value / world_size;
    } else if (fault <= 1) {
      // The total (the first) is not finite because a part is not: name the part.
      fault = static_cast<double>(i + 1);
    }
  }
  entry[num_values] = static_cast<double>(result.num_images);
  entry[num_values + 1] = is_stop ? 1 : 0;
  collective_.AllReduceSum(shared);

  for (int rank = 0; rank < world_size; ++rank) {
    const auto fault = static_cast<size_t>(entry[num_values + 2 + rank]);
    if (fault == 0) continue;
    return WithFailure(
        absl::InternalError(absl::StrCat("update ", context.step + 1, ", rank ", rank, ": ",
                                         result.values[fault - 1].first,
                                         " is not finite; lower optim.lr, or look at the images "
                                         "of this step")),
        FailureKind::kNonFinite);
  }
  Agreement agreement;
  for (int64_t i = 0; i < num_values; ++i) {
    agreement.values.emplace_back(result.values[static_cast<size_t>(i)].first, entry[i]);
  }
  agreement.num_images = static_cast<int64_t>(entry[num_values]);
  agreement.is_stop = entry[num_values + 1] > 0;
  return agreement;
}

absl::Status TrainLoop::ValidateAndSave(const StepContext& finished) {
  const bool is_last = finished.step == options_.last_step;
  if (is_last || task_.IsValidationDue(finished.step)) {
    absl::StatusOr<Scores> scores = task_.Validate();
    if (!scores.ok()) return WithFailure(scores.status(), FailureKind::kData);
    telemetry_.OnScores(*scores, finished.step, finished.epoch);
    checkpointer_.OnScores(*scores, finished.step);
  }
  // The state is the same on every rank, so one of them writes it.
  if (collective_.rank() != 0 || !checkpointer_.IsDue(is_last)) return absl::OkStatus();
  return checkpointer_.Save(finished, is_last, task_, optimizer_, telemetry_.latest());
}

void TrainLoop::LogTimeSplit() const {
  const auto percent = [this](Phase phase) {
    return absl::StrFormat("%.2f", timer_.Percent(phase));
  };
  log::Info(absl::StrFormat("outside the model, loader and collectives: %.2f %%",
                            timer_.Percent(Phase::kOther)),
            {{"task", task_.name()},
             {"rank", collective_.rank()},
             {"seconds", absl::StrFormat("%.1f", timer_.total_seconds())},
             {"forward_backward_percent", percent(Phase::kModel)},
             {"data_wait_percent", percent(Phase::kData)},
             {"collectives_percent", percent(Phase::kCollective)},
             {"optimizer_percent", percent(Phase::kOptimizer)}});
}

}  // namespace g2ll::train
