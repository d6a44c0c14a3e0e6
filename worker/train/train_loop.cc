#include "worker/train/train_loop.h"

#include <torch/torch.h>

#include <algorithm>
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

// Adds a part's numbers to those of the parts before it.
void Add(StepResult part, StepResult& total) {
  total.num_images += part.num_images;
  if (total.values.empty()) {
    total.values = std::move(part.values);
    total.is_notable = part.is_notable;
    return;
  }
  TORCH_CHECK(part.values.size() == total.values.size(), "the parts of a share show other values");
  for (size_t i = 0; i < total.values.size(); ++i) {
    total.values[i].second = total.values[i].second + part.values[i].second;
  }
}

// The values of a step, at least one, [n] float64 on the CPU: one wait for the device,
// not one for each.
torch::Tensor ValuesOf(const StepResult& result) {
  const torch::Device device = result.values.front().second.device();
  std::vector<torch::Tensor> values;
  for (const auto& [name, value] : result.values) {
    values.push_back(value.to(device, torch::kFloat64));
  }
  return torch::stack(values).cpu();
}

// From 1 the place of the first gradient that is not finite; 0: none.
int64_t FirstNonFinite(const std::vector<torch::Tensor>& gradients) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined() && !at::isfinite(gradients[i]).all().item<bool>()) {
      return static_cast<int64_t>(i) + 1;
    }
  }
  return 0;
}

}  // namespace

std::vector<MicroBatch> SplitShare(int64_t num_images, int64_t accumulate) {
  const int64_t size = (num_images + accumulate - 1) / accumulate;
  std::vector<MicroBatch> parts;
  for (int64_t begin = 0; begin < num_images; begin += size) {
    parts.push_back({begin, std::min(begin + size, num_images)});
  }
  return parts;
}

TrainLoop::TrainLoop(const TrainLoopOptions& options, TrainTask& task, AdamW& optimizer,
                     dist::Collective& collective, Telemetry& telemetry, Checkpointer& checkpointer)
    : options_(options),
      task_(task),
      optimizer_(optimizer),
      collective_(collective),
      telemetry_(telemetry),
      checkpointer_(checkpointer) {}

absl::Status TrainLoop::Run(std::stop_token stop) {
  if (options_.accumulate > 1) {
    G2LL_RETURN_IF_ERROR(WithFailure(task_.CheckAccumulation(), FailureKind::kConfig));
  }
  auto reducer = collective_.MakeGradientReducer(TensorsOf(optimizer_.parameters()));
  for (int64_t step = options_.first_step; step < options_.last_step; ++step) {
    const StepContext context = ContextOf(step);
    const StepContext finished = ContextOf(step + 1);
    const StepPlan plan = task_.PlanStep(context);
    const double seconds_before = timer_.total_seconds();

    timer_.Enter(Phase::kData);
    const absl::StatusOr<int64_t> num_images = task_.LoadBatch(context);
    if (!num_images.ok()) return WithFailure(num_images.status(), FailureKind::kData);

    timer_.Enter(Phase::kModel);
    const std::vector<MicroBatch> parts = SplitShare(*num_images, options_.accumulate);
    const StepResult result = ComputeGradients(context, parts, *reducer);

    timer_.Enter(Phase::kCollective);
    G2LL_ASSIGN_OR_RETURN(const Agreement agreed, Agree(result, context, stop.stop_requested()));

    timer_.Enter(Phase::kOptimizer);
    const double grad_norm =
        ClipGradients(optimizer_.parameters(), options_.clip, options_.clip_mode);
    if (!std::isfinite(grad_norm)) return NonFiniteGradient(context, parts);
    optimizer_.Step(plan.lr, plan.weight_decay, plan.frozen);
    task_.AfterStep(context, agreed.values);

    timer_.Enter(Phase::kOther);
    StepRecord record{finished.step,
                      finished.epoch,
                      agreed.values,
                      plan.lr,
                      grad_norm,
                      agreed.num_images,
                      timer_.total_seconds() - seconds_before,
                      result.is_notable};
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
  const int64_t steps = task_.steps_per_epoch();
  const bool is_last = step % steps == steps - 1;
  return {step, static_cast<double>(step) / static_cast<double>(steps),
          is_last ? options_.images_in_last_step : options_.images_per_step};
}

StepResult TrainLoop::ComputeLoss(const StepContext& context, const MicroBatch& part) {
  const Bf16Scope bf16(options_.is_bf16, options_.device.type());
  return task_.ComputeLoss(context, part);
}

StepResult TrainLoop::ComputeGradients(const StepContext& context,
                                       const std::vector<MicroBatch>& parts,
                                       dist::GradientReducer& reducer) {
  reducer.ZeroGradients();
  StepResult total;
  for (const MicroBatch& part : parts) {
    StepResult result = ComputeLoss(context, part);
    reducer.Backward(result.loss, /*is_last=*/part.end == parts.back().end);
    Add(std::move(result), total);
  }
  return total;
}

absl::StatusOr<TrainLoop::Agreement> TrainLoop::Agree(const StepResult& result,
                                                      const StepContext& context, bool is_stop) {
  // One small sum: the values, the images, the wish to stop, and for each rank
  // which of its values is not finite (from 1; 0: all are).
  const auto num_values = static_cast<int64_t>(result.values.size());
  const int world_size = collective_.world_size();
  torch::Tensor shared = torch::zeros({num_values + 2 + world_size}, torch::kFloat64);
  double* entry = shared.mutable_data_ptr<double>();
  const torch::Tensor values = ValuesOf(result);
  for (int64_t i = 0; i < num_values; ++i) {
    const double value = values.const_data_ptr<double>()[i];
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

  const std::span<const double> faults(entry + num_values + 2, static_cast<size_t>(world_size));
  if (std::ranges::any_of(faults, [](double fault) { return fault > 0; })) {
    return NonFiniteValue(context, result, faults);
  }
  Agreement agreement;
  for (int64_t i = 0; i < num_values; ++i) {
    agreement.values.emplace_back(result.values[static_cast<size_t>(i)].first, entry[i]);
  }
  agreement.num_images = static_cast<int64_t>(entry[num_values]);
  agreement.is_stop = entry[num_values + 1] > 0;
  return agreement;
}

absl::Status TrainLoop::NonFiniteValue(const StepContext& context, const StepResult& result,
                                       std::span<const double> faults) {
  // All ranks are here, so they can ask each other what they were given.
  const std::vector<std::string> inputs = collective_.AllGather(task_.NonFiniteInput());
  // What is taken over the global batch carries one rank's image into the losses of all.
  size_t rank = 0;
  while (faults[rank] == 0) ++rank;
  for (size_t i = rank; i < faults.size() && inputs[rank].empty(); ++i) {
    if (faults[i] > 0 && !inputs[i].empty()) rank = i;
  }
  const std::string& input = inputs[rank];
  const std::string& name = result.values[static_cast<size_t>(faults[rank]) - 1].first;
  return WithFailure(
      absl::InternalError(absl::StrCat(
          "update ", context.step + 1, ", rank ", rank, ": ", name, " is not finite; ",
          input.empty() ? "lower optim.lr, or look at the images of this step"
                        : absl::StrCat("the pixels of ", input, " are not; look at that image"))),
      FailureKind::kNonFinite);
}

absl::Status TrainLoop::NonFiniteGradient(const StepContext& context,
                                          const std::vector<MicroBatch>& parts) {
  // The sum over the ranks has hidden where it comes from: each looks for itself.
  const std::vector<torch::Tensor> parameters = TensorsOf(optimizer_.parameters());
  const int world_size = collective_.world_size();
  torch::Tensor faults = torch::zeros({world_size}, torch::kInt64);
  for (const MicroBatch& part : parts) {
    const StepResult result = ComputeLoss(context, part);
    const auto gradients = torch::autograd::grad({result.loss}, parameters, {},
                                                 /*retain_graph=*/false, /*create_graph=*/false,
                                                 /*allow_unused=*/true);
    if (faults[collective_.rank()].item<int64_t>() == 0) {
      faults[collective_.rank()] = FirstNonFinite(gradients);
    }
  }
  collective_.AllReduceSum(faults);
  std::string where = "the sum over ranks and parts of the gradients";
  for (int rank = 0; rank < world_size; ++rank) {
    const auto fault = faults[rank].item<int64_t>();
    if (fault == 0) continue;
    where = absl::StrCat("rank ", rank, ": the gradient of ",
                         optimizer_.parameters()[static_cast<size_t>(fault - 1)].name);
    break;
  }
  return WithFailure(
      absl::InternalError(absl::StrCat("update ", context.step + 1, ", ", where,
                                       " is not finite though every loss is; lower optim.lr or "
                                       "use train.precision fp32")),
      FailureKind::kNonFinite);
}

absl::Status TrainLoop::ValidateAndSave(const StepContext& finished) {
  const bool is_last = finished.step == options_.last_step;
  const int64_t every =
      options_.validate_every > 0 ? options_.validate_every : task_.steps_per_epoch();
  if (is_last || finished.step % every == 0) {
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
