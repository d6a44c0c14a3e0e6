#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/train/assignments.h"
#include "tests/train/fake_classification.h"
#include "tests/train/gang.h"
#include "tests/train/splits.h"
#include "worker/job/outcome.h"
#include "worker/job/run_job.h"

namespace g2ll {
namespace {

using test::RankResult;
using test::Recorder;
using test::TempDirectory;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<double> Numbers(dist::Collective& collective, int64_t accumulate, torch::Dtype dtype) {
  pretrain::ClassificationTaskOptions options = test::TinyClassificationOptions(3);
  options.dtype = dtype;
  pretrain::ClassificationTask task(
      options, test::FakeClassificationLoader(test::ShareOf(collective)), nullptr, collective);
  return test::ThreeUpdates(task, accumulate, collective, /*clip=*/0);
}

const std::vector<test::Split> kSplits = {{.accumulate = 2}, {.ranks = 2}, {.ranks = 3}, {4, 2}};

// Method section 7, "parallelism", for method supervised.
TEST(SupervisedParallelTest, OneRankTwoRanksAndAccumulationHaveTheSameLosses) {
  test::ExpectSameHoweverSplit(Numbers, kSplits, {torch::kFloat32});
}

TEST(SupervisedParallelTest, OneRankTwoRanksAndAccumulationHaveTheSameWeightsInDoublePrecision) {
  test::ExpectSameHoweverSplit(Numbers, kSplits, {torch::kFloat64});
}

std::string RunRank(const trainer::v1::Assignment& assignment) {
  Recorder recorder;
  const absl::Status status = job::RunJob(assignment, recorder, {});
  std::ostringstream out;
  out << job::ExitCodeOf(status)
      << " accuracies=" << recorder.Values("val/balanced_accuracy").size();
  for (const auto& checkpoint : recorder.checkpoints) out << " " << checkpoint.path;
  out << " " << status.message();
  return out.str();
}

std::vector<RankResult> RunOn(int ranks, const trainer::v1::Assignment& assignment) {
  return test::RunProcesses(ranks, [&](int rank, int port) {
    trainer::v1::Assignment placed = assignment;
    test::PlaceRank(placed, rank, ranks, port);
    return RunRank(placed);
  });
}

trainer::v1::Assignment SmokeSupervised(const std::string& storage) {
  trainer::v1::Assignment job = test::SmokePretrain(storage, 8, v1::PretrainSpec::SUPERVISED);
  job.mutable_spec()->mutable_pretrain()->mutable_train()->set_max_steps(2);
  return job;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

TEST(SupervisedJobTest, ItsCheckpointNamesClassesAndImagesAndFeedsFineTuning) {
  TempDirectory storage;
  const auto results = RunOn(2, SmokeSupervised(storage.path()));
  ASSERT_THAT(results[0].output, StartsWith("0 accuracies=1 checkpoints/pre/e1/s2"));
  const std::string checkpoint = storage.path() + "/checkpoints/pre/e1/s2";
  EXPECT_THAT(ReadFile(checkpoint + "/export_config.json"), HasSubstr("\"large_dark_warm\""));
  EXPECT_THAT(ReadFile(checkpoint + "/export_config.json"), HasSubstr("\"learned\""));
  const std::string ids = ReadFile(checkpoint + "/training_ids.txt");
  EXPECT_THAT(ids, StartsWith("synthetic_train_0000000\n"));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), '\n'), 48);
  EXPECT_THAT(ReadFile(checkpoint + "/history.json"), HasSubstr("synthetic_train_0000047"));

  trainer::v1::Assignment finetune = test::SmokeFinetune(storage.path());
  v1::FinetuneSpec& spec = *finetune.mutable_spec()->mutable_finetune();
  spec.mutable_train()->set_max_steps(1);
  spec.mutable_data()->set_fraction(0.25);
  finetune.set_source_path("checkpoints/pre/e1/s2");
  ASSERT_THAT(RunOn(1, finetune)[0].output, StartsWith("0 "));
  const std::string subset = ReadFile(storage.path() + "/checkpoints/ft/e1/s1/training_ids.txt");
  EXPECT_EQ(std::count(subset.begin(), subset.end(), '\n'), 12);
}

TEST(SupervisedJobTest, FaultsOfClassesAndExclusionsEndBeforeTraining) {
  TempDirectory storage;
  trainer::v1::Assignment job = SmokeSupervised(storage.path());
  v1::DataSpec& data = *job.mutable_spec()->mutable_pretrain()->mutable_data();
  data.set_class_file(storage.path() + "/classes.csv");
  EXPECT_THAT(RunOn(1, job)[0].output, StartsWith("78 accuracies=0 "));
  data.clear_class_file();
  data.clear_exclude_ids();
  data.add_exclude_ids(storage.path() + "/no_ids.txt");
  const std::string output = RunOn(1, job)[0].output;
  EXPECT_THAT(output, StartsWith("78 accuracies=0 "));
  EXPECT_THAT(output, HasSubstr("data.excludeIds " + storage.path() + "/no_ids.txt: no such file"));
  EXPECT_THAT(output, Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace g2ll
