#ifndef TESTS_TRAIN_SCRIPTED_TASK_H_
#define TESTS_TRAIN_SCRIPTED_TASK_H_

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "worker/train/train_task.h"

namespace g2ll::test {

// A step whose loss is what the test says, of one parameter.
class ScriptedTask final : public train::TrainTask {
 public:
  std::function<double(int64_t step)> loss_at = [](int64_t) { return 1.0; };
  std::function<double(int64_t num_steps)> score_at = [](int64_t) { return 0.0; };
  std::string selection;
  absl::Status accumulation;
  int64_t bad_gradient_step = -1;
  std::vector<train::MicroBatch> parts;  // all that were asked for
  std::vector<int64_t> global_batches;   // images of each step

  std::string name() const override { return "scripted"; }
  std::vector<train::NamedParameter> Parameters() override { return {{"w", w_}}; }
  int64_t steps_per_epoch() const override { return 2; }
  train::StepPlan PlanStep(const train::StepContext&) const override { return {0.1, 0, {}}; }
  absl::Status CheckAccumulation() const override { return accumulation; }
  absl::StatusOr<int64_t> LoadBatch(const train::StepContext& context) override {
    global_batches.push_back(context.num_images);
    return 4;
  }
  train::StepResult ComputeLoss(const train::StepContext& context,
                                const train::MicroBatch& part) override {
    parts.push_back(part);
    torch::Tensor loss = w_.sum() * loss_at(context.step);
    // The root of 0 has the value 0 and an infinite slope.
    if (context.step == bad_gradient_step) loss = loss + (w_ * 0).sqrt().sum();
    return {loss, {{"loss", loss.detach()}, {"loss/part", loss.detach()}}, part.size()};
  }
  void AfterStep(const train::StepContext& context, const train::Scores&) override {
    num_steps_ = context.step + 1;
  }
  absl::StatusOr<train::Scores> Validate() override {
    return train::Scores{{"val/dice", score_at(num_steps_)}};
  }
  std::string SelectionScore() const override { return selection; }
  absl::Status SaveState(checkpoint::CheckpointWriter&) const override { return absl::OkStatus(); }
  absl::Status LoadState(const std::string&) override { return absl::OkStatus(); }

 private:
  int64_t num_steps_ = 0;
  torch::Tensor w_ = torch::ones({2}, torch::requires_grad());
};

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_SCRIPTED_TASK_H_
