#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "tests/train/fakes.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/dist/collective.h"
#include "worker/metric/overlap.h"
#include "worker/train/failure.h"

namespace g2ll {
namespace {

using test::FakeBatches;
using test::LoopRun;
using test::Recorder;
using test::TempDirectory;
using ::testing::HasSubstr;
using train::FailureKind;

std::map<std::string, torch::Tensor> Values(train::TrainTask& task) {
  std::map<std::string, torch::Tensor> values;
  for (const auto& [name, tensor] : task.Parameters()) values[name] = tensor.detach().clone();
  return values;
}

TEST(PretrainTaskTest, LearnsEightImages) {
  dist::LocalCollective alone;
  pretrain::PretrainTask task(test::TinyPretrainOptions(200), test::FakePretrainLoader({}), alone);
  Recorder recorder;
  TempDirectory storage;
  LoopRun run{.last_step = 200, .storage = storage.path()};

  ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());

  const auto mim = recorder.Values("loss/mim");
  ASSERT_FALSE(mim.empty());
  EXPECT_LT(mim.back(), 0.5 * mim.front());
  const double entropy = recorder.Values("teacher_entropy").back();
  EXPECT_GT(entropy, 0.05);
  EXPECT_LT(entropy, 0.99 * std::log(64));
  EXPECT_EQ(recorder.progress.back().step, 200);
  EXPECT_EQ(recorder.checkpoints.back().path, "checkpoints/job/e1/s200");
}

TEST(PretrainTaskTest, FrozenLastLayerStaysDuringTheFirstEpochs) {
  dist::LocalCollective alone;
  pretrain::PretrainOptions options = test::TinyPretrainOptions(4);
  options.distill->freeze_epochs = 2;
  pretrain::PretrainTask task(options, test::FakePretrainLoader({}), alone);
  const torch::Tensor before = Values(task).at("head.last_layer.weight_v");
  Recorder recorder;
  TempDirectory storage;
  LoopRun two{.last_step = 2, .storage = storage.path()};

  ASSERT_TRUE(test::RunLoop(task, alone, recorder, two).ok());
  EXPECT_TRUE(torch::equal(Values(task).at("head.last_layer.weight_v"), before));
  LoopRun more{.first_step = 2, .last_step = 3, .storage = storage.path()};
  ASSERT_TRUE(test::RunLoop(task, alone, recorder, more).ok());
  EXPECT_FALSE(torch::equal(Values(task).at("head.last_layer.weight_v"), before));
}

TEST(PretrainTaskTest, MaeAndDinoAreSettingsOfIt) {
  dist::LocalCollective alone;
  pretrain::PretrainOptions mae = test::TinyPretrainOptions(2);
  mae.distill.reset();
  pretrain::PretrainTask without_teacher(mae, test::FakePretrainLoader({}), alone);
  EXPECT_FALSE(Values(without_teacher).contains("head.last_layer.weight_v"));

  pretrain::PretrainOptions dino = test::TinyPretrainOptions(2);
  dino.mim.reset();
  dino.is_student_masked = false;
  dino.encoder.learned_pos = true;
  dino.distill->pairs = loss::Pairs::kCross;
  pretrain::PretrainTask without_decoder(dino, test::FakePretrainLoader({}), alone);
  EXPECT_FALSE(Values(without_decoder).contains("mask_token"));
  EXPECT_TRUE(Values(without_decoder).contains("pos_embed"));

  Recorder recorder;
  TempDirectory storage;
  for (train::TrainTask* task : {static_cast<train::TrainTask*>(&without_teacher),
                                 static_cast<train::TrainTask*>(&without_decoder)}) {
    LoopRun run{.last_step = 2, .storage = storage.path(), .parent = "c/" + task->name()};
    if (task == &without_decoder) run.parent += "-dino";
    ASSERT_TRUE(test::RunLoop(*task, alone, recorder, run).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(storage.path() + "/c/g2ll/s2/teacher_head.safetensors"));
}

TEST(PretrainTaskTest, ResumedRunIsBitwiseTheUninterruptedOne) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  pretrain::PretrainTask whole(test::TinyPretrainOptions(6), test::FakePretrainLoader({}), alone);
  LoopRun all{.last_step = 6, .storage = storage.path(), .parent = "whole"};
  ASSERT_TRUE(test::RunLoop(whole, alone, recorder, all).ok());

  pretrain::PretrainTask first(test::TinyPretrainOptions(6), test::FakePretrainLoader({}), alone);
  LoopRun half{.last_step = 3, .storage = storage.path(), .parent = "first"};
  ASSERT_TRUE(test::RunLoop(first, alone, recorder, half).ok());
  FakeBatches later;
  later.first_step = 3;
  pretrain::PretrainTask second(test::TinyPretrainOptions(6), test::FakePretrainLoader(later),
                                alone);
  LoopRun rest{.first_step = 3,
               .last_step = 6,
               .storage = storage.path(),
               .resume = storage.path() + "/first/s3",
               .parent = "second"};
  ASSERT_TRUE(test::RunLoop(second, alone, recorder, rest).ok());

  for (const char* file :
       {"encoder", "decoder", "head", "teacher_encoder", "teacher_head", "optimizer"}) {
    const std::string name = std::string("/s6/") + file + ".safetensors";
    auto expected = checkpoint::LoadTensors(storage.path() + "/whole" + name);
    auto actual = checkpoint::LoadTensors(storage.path() + "/second" + name);
    ASSERT_TRUE(expected.ok() && actual.ok()) << name;
    ASSERT_EQ(expected->size(), actual->size());
    for (const auto& [tensor, value] : *expected) {
      EXPECT_TRUE(torch::equal(value, actual->at(tensor))) << file << " " << tensor;
    }
  }
  EXPECT_EQ(rest.history.runs.back().images, 48);
}

TEST(SegmentationTaskTest, LearnsTheMasksOfEightImages) {
  dist::LocalCollective alone;
  finetune::SegmentationTaskOptions options = test::TinySegmentationOptions(300);
  finetune::SegmentationTask task(options, test::FakeSegmentationLoader({}), nullptr, alone);
  Recorder recorder;
  TempDirectory storage;
  LoopRun run{.last_step = 300, .storage = storage.path(), .clip = 0};

  ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());

  // loss/dice is 1 - Dice of probabilities; a Dice above 0.95 leaves less than 0.05.
  EXPECT_LT(recorder.Values("loss/dice").back(), 0.05);
  EXPECT_TRUE(std::filesystem::exists(storage.path() +
                                      "/checkpoints/job/e1/s300/segmentation.safetensors"));
}

TEST(SegmentationTaskTest, TakesTheEncoderOfAPretrainedCheckpointAndNamesWhatDoesNotFit) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  pretrain::PretrainTask source(test::TinyPretrainOptions(1), test::FakePretrainLoader({}), alone);
  LoopRun run{.last_step = 1, .storage = storage.path(), .parent = "p"};
  ASSERT_TRUE(test::RunLoop(source, alone, recorder, run).ok());
  const std::string file = storage.path() + "/p/s1/encoder.safetensors";

  finetune::SegmentationTask task(test::TinySegmentationOptions(1),
                                  test::FakeSegmentationLoader({}), nullptr, alone);
  ASSERT_TRUE(task.LoadEncoder(file).ok());
  EXPECT_TRUE(torch::equal(Values(task).at("blocks.1.mlp.fc1.weight"),
                           Values(source).at("blocks.1.mlp.fc1.weight")));

  finetune::SegmentationTaskOptions wider = test::TinySegmentationOptions(1);
  wider.network.vit.dim = 64;
  finetune::SegmentationTask other(wider, test::FakeSegmentationLoader({}), nullptr, alone);
  const absl::Status status = other.LoadEncoder(file);
  EXPECT_THAT(std::string(status.message()), HasSubstr("encoder.safetensors"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("cls_token"));
}

// A step whose loss is what the test says, of one parameter.
class ScriptedTask final : public train::TrainTask {
 public:
  std::function<double(int64_t step)> loss_at = [](int64_t) { return 1.0; };
  std::function<double(int64_t num_steps)> score_at = [](int64_t) { return 0.0; };
  std::string selection;

  std::string name() const override { return "scripted"; }
  std::vector<train::NamedParameter> Parameters() override { return {{"w", w_}}; }
  int64_t steps_per_epoch() const override { return 2; }
  train::StepPlan PlanStep(const train::StepContext&) const override { return {0.1, 0, {}}; }
  absl::Status LoadBatch(const train::StepContext&) override { return absl::OkStatus(); }
  train::StepResult ComputeLoss(const train::StepContext& context) override {
    const torch::Tensor part = w_.sum() * loss_at(context.step);
    return {part, {{"loss", part.detach()}, {"loss/part", part.detach()}}, 4};
  }
  void AfterStep(const train::StepContext&) override {}
  bool IsValidationDue(int64_t num_steps) const override {
    num_steps_ = num_steps;
    return !selection.empty();
  }
  absl::StatusOr<train::Scores> Validate() override {
    return train::Scores{{"val/dice", score_at(num_steps_)}};
  }
  std::string SelectionScore() const override { return selection; }
  absl::Status SaveState(checkpoint::CheckpointWriter&) const override { return absl::OkStatus(); }
  absl::Status LoadState(const std::string&) override { return absl::OkStatus(); }

 private:
  mutable int64_t num_steps_ = 0;
  torch::Tensor w_ = torch::ones({2}, torch::requires_grad());
};

TEST(TrainLoopTest, ALossThatIsNotFiniteEndsTheRunAndIsNamed) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  ScriptedTask task;
  task.loss_at = [](int64_t step) {
    return step == 3 ? std::numeric_limits<double>::quiet_NaN() : 1.0;
  };
  LoopRun run{.last_step = 9, .storage = storage.path()};

  const absl::Status status = test::RunLoop(task, alone, recorder, run);

  EXPECT_EQ(train::FailureOf(status), FailureKind::kNonFinite);
  EXPECT_THAT(std::string(status.message()), HasSubstr("update 4, rank 0: loss/part"));
  EXPECT_TRUE(recorder.checkpoints.empty());
}

TEST(TrainLoopTest, EndsAtTheNextStepWhenAskedToStop) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  ScriptedTask task;
  std::stop_source stop;
  task.loss_at = [&](int64_t step) {
    if (step == 2) stop.request_stop();
    return 1.0;
  };
  LoopRun run{.last_step = 9, .storage = storage.path(), .stop = stop.get_token()};

  const absl::Status status = test::RunLoop(task, alone, recorder, run);

  EXPECT_EQ(train::FailureOf(status), FailureKind::kPreempted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("after update 3"));
  EXPECT_TRUE(recorder.checkpoints.empty());
}

TEST(TrainLoopTest, KeepsTheBestScoreAndTheLastState) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  ScriptedTask task;
  task.selection = "val/dice";
  task.score_at = [](int64_t num_steps) { return num_steps == 2 ? 0.9 : 0.1; };
  LoopRun run{.last_step = 4, .storage = storage.path()};

  ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());

  ASSERT_EQ(recorder.checkpoints.size(), 3u);  // first score, best score, end
  EXPECT_TRUE(recorder.checkpoints[1].best);
  EXPECT_EQ(recorder.checkpoints[1].step, 2);
  EXPECT_DOUBLE_EQ(recorder.checkpoints[1].metrics.at("val/dice"), 0.9);
  EXPECT_FALSE(recorder.checkpoints[2].best);
  EXPECT_EQ(recorder.checkpoints[2].step, 4);
}

TEST(TrainLoopTest, AFencedCheckpointEndsTheRunAtOnce) {
  dist::LocalCollective alone;
  Recorder recorder;
  recorder.verdict = absl::AbortedError("a newer attempt runs");
  TempDirectory storage;
  ScriptedTask task;
  LoopRun run{.last_step = 2, .storage = storage.path()};

  EXPECT_EQ(train::FailureOf(test::RunLoop(task, alone, recorder, run)), FailureKind::kFenced);
}

TEST(TrainLoopTest, ALastCheckpointThatCannotBeWrittenIsAStorageFailure) {
  dist::LocalCollective alone;
  Recorder recorder;
  ScriptedTask task;
  LoopRun run{.last_step = 1, .storage = "/proc/no-such-place"};

  EXPECT_EQ(train::FailureOf(test::RunLoop(task, alone, recorder, run)), FailureKind::kStorage);
}

}  // namespace
}  // namespace g2ll
