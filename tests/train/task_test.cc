#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <memory>

#include "tests/train/fakes.h"
#include "tests/train/resumed_run.h"
#include "tests/train/scripted_task.h"
#include "tests/train/spoiled_loader.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/dist/collective.h"
#include "worker/metric/overlap.h"
#include "worker/train/failure.h"

namespace g2ll {
namespace {

using test::FakeBatches;
using test::LoopRun;
using test::ParametersOf;
using test::Recorder;
using test::TempDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using train::FailureKind;

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

// Neither moments nor decay may act on what is frozen, lengths included.
TEST(PretrainTaskTest, FrozenLastLayerAndItsMomentsStayBitwiseDuringTheFirstEpochs) {
  dist::LocalCollective alone;
  pretrain::PretrainOptions options = test::TinyPretrainOptions(4);
  options.distill->freeze_epochs = 2;
  options.distill->head.norm_last_layer = false;
  options.weight_decay = {0.5, 0.5, 4};
  pretrain::PretrainTask task(options, test::FakePretrainLoader({}), alone);
  const auto before = ParametersOf(task);
  Recorder recorder;
  TempDirectory storage;
  LoopRun two{.last_step = 2, .storage = storage.path(), .parent = "two"};
  ASSERT_TRUE(test::RunLoop(task, alone, recorder, two).ok());

  const auto moments = checkpoint::LoadTensors(storage.path() + "/two/s2/optimizer.safetensors");
  ASSERT_TRUE(moments.ok());
  for (const std::string name : {"head.last_layer.weight_v", "head.last_layer.weight_g"}) {
    EXPECT_TRUE(torch::equal(ParametersOf(task).at(name), before.at(name))) << name;
    for (const char* moment : {".exp_avg", ".exp_avg_sq", ".step"}) {
      EXPECT_EQ(moments->at(name + moment).count_nonzero().item<int64_t>(), 0) << name << moment;
    }
  }
  EXPECT_FALSE(
      torch::equal(ParametersOf(task).at("head.mlp.0.weight"), before.at("head.mlp.0.weight")));

  LoopRun more{.first_step = 2, .last_step = 3, .storage = storage.path(), .parent = "more"};
  ASSERT_TRUE(test::RunLoop(task, alone, recorder, more).ok());
  for (const std::string name : {"head.last_layer.weight_v", "head.last_layer.weight_g"}) {
    EXPECT_FALSE(torch::equal(ParametersOf(task).at(name), before.at(name))) << name;
  }
}

TEST(PretrainTaskTest, MaeAndDinoAreSettingsOfIt) {
  dist::LocalCollective alone;
  pretrain::PretrainOptions mae = test::TinyPretrainOptions(2);
  mae.distill.reset();
  pretrain::PretrainTask without_teacher(mae, test::FakePretrainLoader({}), alone);
  EXPECT_FALSE(ParametersOf(without_teacher).contains("head.last_layer.weight_v"));

  pretrain::PretrainOptions dino = test::TinyPretrainOptions(2);
  dino.mim.reset();
  dino.student_input = pretrain::StudentInput::kAll;
  dino.encoder.learned_pos = true;
  dino.distill->pairs = loss::Pairs::kCross;
  pretrain::PretrainTask without_decoder(dino, test::FakePretrainLoader({}), alone);
  EXPECT_FALSE(ParametersOf(without_decoder).contains("mask_token"));
  EXPECT_TRUE(ParametersOf(without_decoder).contains("pos_embed"));

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

// With everything that a checkpoint or a key must carry over: stochastic depth, both
// centres, the encoder's mask token, trained lengths.
pretrain::PretrainOptions EverythingOn(int64_t total_steps) {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(total_steps);
  options.encoder.drop_path = 0.3;
  options.student_input = pretrain::StudentInput::kMaskToken;
  options.ibot.emplace();
  options.koleo_lambda = 0.1;
  options.distill->head.norm_last_layer = false;
  return options;
}

TEST(PretrainTaskTest, ResumedRunIsBitwiseTheUninterruptedOne) {
  test::ExpectAResumedRunIsTheWhole(
      [](const FakeBatches& batches, dist::Collective& alone) {
        return std::make_unique<pretrain::PretrainTask>(EverythingOn(6),
                                                        test::FakePretrainLoader(batches), alone);
      },
      {"encoder", "encoder_mask_token", "decoder", "head", "teacher_encoder", "teacher_head",
       "optimizer"});
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
  EXPECT_TRUE(torch::equal(ParametersOf(task).at("blocks.1.mlp.fc1.weight"),
                           ParametersOf(source).at("blocks.1.mlp.fc1.weight")));

  finetune::SegmentationTaskOptions wider = test::TinySegmentationOptions(1);
  wider.network.vit.dim = 64;
  finetune::SegmentationTask other(wider, test::FakeSegmentationLoader({}), nullptr, alone);
  const absl::Status status = other.LoadEncoder(file);
  EXPECT_THAT(std::string(status.message()), HasSubstr("encoder.safetensors"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("cls_token"));
}

TEST(TrainLoopTest, ALossThatIsNotFiniteEndsTheRunAndIsNamed) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  test::ScriptedTask task;
  task.loss_at = [](int64_t step) {
    return step == 3 ? std::numeric_limits<double>::quiet_NaN() : 1.0;
  };
  LoopRun run{.last_step = 9, .storage = storage.path()};

  const absl::Status status = test::RunLoop(task, alone, recorder, run);

  EXPECT_EQ(train::FailureOf(status), FailureKind::kNonFinite);
  EXPECT_THAT(std::string(status.message()), HasSubstr("update 4, rank 0: loss/part"));
  EXPECT_TRUE(recorder.checkpoints.empty());
}

TEST(TrainLoopTest, AGradientThatIsNotFiniteEndsTheRunAndIsNamed) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  test::ScriptedTask task;
  task.selection = "val/dice";
  task.score_at = [](int64_t num_steps) { return num_steps == 1 ? 0.9 : 0.1; };
  task.bad_gradient_step = 2;
  LoopRun run{.last_step = 9, .storage = storage.path(), .validate_every = 1};

  const absl::Status status = test::RunLoop(task, alone, recorder, run);

  EXPECT_EQ(train::FailureOf(status), FailureKind::kNonFinite);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("update 3, rank 0: the gradient of w is not finite"));
  // The last good state is still there.
  ASSERT_EQ(recorder.checkpoints.size(), 1u);
  EXPECT_TRUE(
      checkpoint::VerifyCheckpoint(storage.path() + "/" + recorder.checkpoints[0].path).ok());
}

TEST(TrainLoopTest, AnImageThatIsNotFiniteIsNamed) {
  const auto spoil = [](data::PretrainBatch& batch) {
    batch.views[11][2][5][7] = std::numeric_limits<float>::infinity();
  };
  dist::LocalCollective alone;
  pretrain::PretrainOptions options = test::TinyPretrainOptions(2);
  options.image_id = [](int64_t index) { return "ISIC_000000" + std::to_string(index); };
  pretrain::PretrainTask task(options, test::Spoiled(test::FakePretrainLoader({}), spoil), alone);
  Recorder recorder;
  TempDirectory storage;
  LoopRun run{.last_step = 2, .storage = storage.path()};

  const absl::Status status = test::RunLoop(task, alone, recorder, run);

  // Row 11 is the second view of image 3.
  EXPECT_THAT(std::string(status.message()), HasSubstr("update 1, rank 0: loss/"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("image ISIC_0000003 "));
}

TEST(TrainLoopTest, TakesAShareInPartsOfWhichTheLastMayBeSmaller) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  test::ScriptedTask task;
  LoopRun run{.last_step = 1, .storage = storage.path(), .images_per_step = 4, .accumulate = 3};

  ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());

  ASSERT_EQ(task.parts.size(), 2u);  // of 4 images in parts of 2
  EXPECT_EQ(task.parts[1].begin, 2);
  EXPECT_EQ(task.parts[1].end, 4);
  EXPECT_EQ(train::SplitShare(7, 2)[1].size(), 3);
  EXPECT_EQ(train::SplitShare(2, 5).size(), 2u);
}

TEST(TrainLoopTest, ATaskThatCannotBeSplitRefusesAccumulation) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  finetune::SegmentationTask task(test::TinySegmentationOptions(1),
                                  test::FakeSegmentationLoader({}), nullptr, alone);
  LoopRun run{.last_step = 1, .storage = storage.path(), .accumulate = 2};

  const absl::Status status = test::RunLoop(task, alone, recorder, run);

  EXPECT_EQ(train::FailureOf(status), FailureKind::kConfig);
  EXPECT_THAT(std::string(status.message()), HasSubstr("train.accumulate"));
}

TEST(TrainLoopTest, EndsAtTheNextStepWhenAskedToStop) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  test::ScriptedTask task;
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
  test::ScriptedTask task;
  task.selection = "val/dice";
  task.score_at = [](int64_t num_steps) { return num_steps == 2 ? 0.9 : 0.1; };
  LoopRun run{.last_step = 4, .storage = storage.path(), .validate_every = 1};

  ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());

  ASSERT_EQ(recorder.checkpoints.size(), 3u);  // first score, best score, end
  EXPECT_TRUE(recorder.checkpoints[1].best);
  EXPECT_EQ(recorder.checkpoints[1].step, 2);
  EXPECT_DOUBLE_EQ(recorder.checkpoints[1].metrics.at("val/dice"), 0.9);
  EXPECT_FALSE(recorder.checkpoints[2].best);
  EXPECT_EQ(recorder.checkpoints[2].step, 4);
}

TEST(TrainLoopTest, LooksAtTheValidationSplitOnceAnEpochOrAsAskedAndAtTheEnd) {
  dist::LocalCollective alone;
  // Two updates an epoch.
  const auto looks = [&](int64_t validate_every) {
    Recorder recorder;
    TempDirectory storage;
    test::ScriptedTask task;
    std::vector<int64_t> steps;
    task.score_at = [&](int64_t num_steps) {
      steps.push_back(num_steps);
      return 0.5;
    };
    LoopRun run{.last_step = 5, .storage = storage.path(), .validate_every = validate_every};
    EXPECT_TRUE(test::RunLoop(task, alone, recorder, run).ok());
    EXPECT_EQ(recorder.Values("val/dice").size(), steps.size());
    return steps;
  };

  EXPECT_THAT(looks(/*validate_every=*/0), ElementsAre(2, 4, 5));
  EXPECT_THAT(looks(/*validate_every=*/3), ElementsAre(3, 5));
}

TEST(TrainLoopTest, TheLastBatchOfAnEpochMayBeSmaller) {
  dist::LocalCollective alone;
  Recorder recorder;
  TempDirectory storage;
  test::ScriptedTask task;
  LoopRun run{
      .last_step = 5, .storage = storage.path(), .images_per_step = 4, .images_in_last_step = 3};

  ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());

  EXPECT_THAT(task.global_batches, ElementsAre(4, 3, 4, 3, 4));
}

TEST(TrainLoopTest, AFencedCheckpointEndsTheRunAtOnce) {
  dist::LocalCollective alone;
  Recorder recorder;
  recorder.verdict = absl::AbortedError("a newer attempt runs");
  TempDirectory storage;
  test::ScriptedTask task;
  LoopRun run{.last_step = 2, .storage = storage.path()};

  EXPECT_EQ(train::FailureOf(test::RunLoop(task, alone, recorder, run)), FailureKind::kFenced);
}

TEST(TrainLoopTest, ALastCheckpointThatCannotBeWrittenIsAStorageFailure) {
  dist::LocalCollective alone;
  Recorder recorder;
  test::ScriptedTask task;
  LoopRun run{.last_step = 1, .storage = "/proc/no-such-place"};

  EXPECT_EQ(train::FailureOf(test::RunLoop(task, alone, recorder, run)), FailureKind::kStorage);
}

}  // namespace
}  // namespace g2ll
