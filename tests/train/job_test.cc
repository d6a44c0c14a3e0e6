#include "worker/job/run_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/train/assignments.h"
#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/job/outcome.h"
#include "worker/job/spec_options.h"
#include "worker/train/precision.h"

namespace g2ll::job {
namespace {

using test::RankResult;
using test::Recorder;
using test::TempDirectory;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Runs one rank; returns `EXIT METRICS CHECKPOINTS MESSAGE`.
std::string RunRank(const trainer::v1::Assignment& assignment) {
  Recorder recorder;
  const absl::Status status = RunJob(assignment, recorder, {});
  std::ostringstream out;
  out << ExitCodeOf(status) << " joined=" << recorder.has_joined
      << " metrics=" << !recorder.metrics.empty() << " checkpoints=";
  for (const auto& checkpoint : recorder.checkpoints) {
    out << checkpoint.path << (checkpoint.best ? "*" : "") << ",";
  }
  out << " report=" << recorder.report << " " << v1::Failure::Class_Name(FailureClassOf(status))
      << " " << status.message();
  return out.str();
}

std::string RunAlone(const trainer::v1::Assignment& assignment) {
  return test::RunProcesses(1, [&](int, int) { return RunRank(assignment); })[0].output;
}

std::vector<RankResult> RunOnTwo(const trainer::v1::Assignment& assignment) {
  return test::RunProcesses(2, [&](int rank, int port) {
    trainer::v1::Assignment placed = assignment;
    test::PlaceRank(placed, rank, 2, port);
    return RunRank(placed);
  });
}

TEST(RunJobTest, PretrainsThenFinetunesOnTwoRanksThenEvaluates) {
  TempDirectory storage;
  trainer::v1::Assignment pretrain = test::SmokePretrain(storage.path());
  pretrain.mutable_spec()->mutable_pretrain()->mutable_train()->set_max_steps(2);
  const auto first = RunOnTwo(pretrain);
  EXPECT_THAT(first[0].output,
              StartsWith("0 joined=1 metrics=1 checkpoints=checkpoints/pre/e1/s2, "));
  EXPECT_THAT(first[1].output, StartsWith("0 joined=1 metrics=0 checkpoints= "));

  trainer::v1::Assignment finetune = test::SmokeFinetune(storage.path());
  finetune.mutable_spec()->mutable_finetune()->mutable_train()->set_max_steps(2);
  finetune.set_source_path("checkpoints/pre/e1/s2");
  const auto second = RunOnTwo(finetune);
  EXPECT_THAT(second[0].output, StartsWith("0 joined=1 metrics=1 checkpoints="
                                           "checkpoints/ft/e1/s2*, "));
  EXPECT_THAT(second[1].output, StartsWith("0 joined=1 metrics=0 checkpoints= "));
  const std::string checkpoint = storage.path() + "/checkpoints/ft/e1/s2";
  EXPECT_TRUE(checkpoint::VerifyCheckpoint(checkpoint).ok());
  std::ifstream in(checkpoint + "/history.json");
  const std::string history(std::istreambuf_iterator<char>(in), {});
  EXPECT_THAT(history, HasSubstr("\"PretrainJob\""));
  EXPECT_THAT(history, HasSubstr("\"FinetuneJob\""));

  trainer::v1::Assignment evaluate = test::SmokeEvaluate(storage.path());
  evaluate.mutable_spec()->mutable_evaluate()->mutable_data()->set_max_images(4);
  evaluate.set_source_path("checkpoints/ft/e1/s2");
  EXPECT_THAT(RunAlone(evaluate),
              StartsWith("0 joined=1 metrics=1 checkpoints= report=reports/eval/e1"));
  EXPECT_TRUE(std::filesystem::exists(storage.path() + "/reports/eval/e1/report.json"));
}

TEST(RunJobTest, GoesOnFromACheckpointOfItsOwn) {
  TempDirectory storage;
  trainer::v1::Assignment job = test::SmokePretrain(storage.path());
  job.mutable_spec()->mutable_pretrain()->mutable_train()->set_max_steps(1);
  ASSERT_THAT(RunAlone(job), HasSubstr("checkpoints/pre/e1/s1,"));

  job.set_epoch(2);
  job.set_checkpoint_parent("checkpoints/pre/e2");
  job.set_resume_path("checkpoints/pre/e1/s1");
  job.mutable_spec()->mutable_pretrain()->mutable_train()->set_max_steps(2);
  EXPECT_THAT(RunAlone(job), StartsWith("0 joined=1 metrics=1 checkpoints=checkpoints/pre/e2/s2,"));

  std::ofstream(storage.path() + "/checkpoints/pre/e1/s1/encoder.safetensors") << "damage";
  EXPECT_THAT(RunAlone(job), StartsWith("1 joined=1"));
  EXPECT_THAT(RunAlone(job), HasSubstr("encoder.safetensors"));

  std::ofstream(storage.path() + "/checkpoints/pre/e1/s1/manifest.json") << "damage";
  const std::string damaged = RunAlone(job);
  EXPECT_THAT(damaged, StartsWith("1 joined=1"));
  EXPECT_THAT(damaged, HasSubstr(" STORAGE "));
  EXPECT_THAT(damaged, HasSubstr("manifest.json"));
}

TEST(RunJobTest, RanksOfDifferentJobsAreNamedBeforeTheyTrain) {
  TempDirectory storage;
  const auto results = test::RunProcesses(2, [&](int rank, int port) {
    trainer::v1::Assignment job = test::SmokePretrain(storage.path());
    job.mutable_spec()->mutable_pretrain()->set_seed(rank);
    test::PlaceRank(job, rank, 2, port);
    return RunRank(job);
  });

  for (const RankResult& result : results) {
    EXPECT_THAT(result.output, StartsWith("77 joined=0"));
    EXPECT_THAT(result.output, HasSubstr("rank 1 runs another job than rank 0"));
  }
}

TEST(RunJobTest, FaultsAreOneLineWithTheirClass) {
  TempDirectory storage;
  trainer::v1::Assignment no_data = test::SmokePretrain(storage.path());
  no_data.mutable_spec()->mutable_pretrain()->mutable_data()->set_source("/no/such/folder");
  EXPECT_THAT(RunAlone(no_data), StartsWith("78 "));
  EXPECT_THAT(RunAlone(no_data), HasSubstr("/no/such/folder"));

  trainer::v1::Assignment wide = test::SmokeFinetune(storage.path());
  trainer::v1::Assignment source = test::SmokePretrain(storage.path());
  source.mutable_spec()->mutable_pretrain()->mutable_train()->set_max_steps(1);
  ASSERT_THAT(RunAlone(source), StartsWith("0 "));
  wide.set_source_path("checkpoints/pre/e1/s1");
  wide.mutable_spec()->mutable_finetune()->mutable_model()->set_dim(64);
  EXPECT_THAT(RunAlone(wide), StartsWith("77 "));
  EXPECT_THAT(RunAlone(wide), HasSubstr("encoder.safetensors"));
  EXPECT_THAT(RunAlone(wide), Not(HasSubstr("\n")));
}

TEST(RunJobTest, MaeDinoAndBf16RunThroughTheSameCode) {
  TempDirectory storage;
  for (const auto method : {v1::PretrainSpec::MAE, v1::PretrainSpec::DINO}) {
    trainer::v1::Assignment job = test::SmokePretrain(storage.path());
    v1::PretrainSpec& spec = *job.mutable_spec()->mutable_pretrain();
    spec.set_method(method);
    spec.mutable_train()->set_max_steps(1);
    if (train::CpuHasBf16()) spec.mutable_train()->set_precision(v1::TrainSpec::BF16);
    job.set_checkpoint_parent("checkpoints/" + v1::PretrainSpec::Method_Name(method));
    EXPECT_THAT(RunAlone(job), StartsWith("0 "));
  }
  // Learned positions arrive in fine-tuning by what the checkpoint says.
  trainer::v1::Assignment finetune = test::SmokeFinetune(storage.path());
  finetune.mutable_spec()->mutable_finetune()->mutable_train()->set_max_steps(1);
  finetune.set_source_path("checkpoints/DINO/s1");
  EXPECT_THAT(RunAlone(finetune), StartsWith("0 "));
}

TEST(RunJobTest, CudaWithoutAGpuIsRefused) {
  TempDirectory storage;
  trainer::v1::Assignment job = test::SmokePretrain(storage.path());
  job.mutable_spec()->mutable_pretrain()->mutable_train()->set_max_steps(1);
  job.set_device("cuda");
  const auto results = test::RunProcesses(1, [&](int, int) {
    setenv("CUDA_VISIBLE_DEVICES", "", 1);  // also on a host that has one
    return RunRank(job);
  });

  EXPECT_THAT(results[0].output, StartsWith("77 joined=0"));
  EXPECT_THAT(results[0].output, HasSubstr("device cuda: "));
}

TEST(SpecOptionsTest, Bf16IsChosenOnlyWhereItIsFast) {
  EXPECT_TRUE(*ChooseBf16(v1::TrainSpec::AUTO, {.has_bf16 = true}));
  EXPECT_FALSE(*ChooseBf16(v1::TrainSpec::AUTO, {.has_bf16 = false}));
  EXPECT_FALSE(*ChooseBf16(v1::TrainSpec::FP32, {.has_bf16 = true}));
  EXPECT_THAT(std::string(ChooseBf16(v1::TrainSpec::BF16, {}).status().message()),
              HasSubstr("20-70 times slower"));
}

TEST(SpecOptionsTest, AWarmUpLongerThanTheRunIsCutToIt) {
  v1::TrainSpec train;
  train.set_updates(10);
  v1::OptimSpec optim;
  optim.set_warmup(40);
  optim.set_lr(1);

  const RunLength length = RunLengthOf(train, /*steps_per_epoch=*/3);

  EXPECT_EQ(LearningRateOf(optim, length).warmup_steps, 10);
  // A share of the run takes the place of epochs.
  optim.set_warmup_share(0.2);
  EXPECT_EQ(LearningRateOf(optim, length).warmup_steps, 2);
}

TEST(SpecOptionsTest, MaxStepsEndsTheRunAndLeavesTheSchedules) {
  v1::TrainSpec train;
  train.set_epochs(5);
  train.set_max_steps(4);

  const RunLength length = RunLengthOf(train, /*steps_per_epoch=*/3);

  EXPECT_EQ(length.schedule_steps, 15);
  EXPECT_EQ(length.last_step, 4);
}

}  // namespace
}  // namespace g2ll::job
