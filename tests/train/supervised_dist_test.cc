#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <sstream>

#include "tests/train/assignments.h"
#include "tests/train/fake_classification.h"
#include "tests/train/gang.h"
#include "worker/job/outcome.h"
#include "worker/job/run_job.h"
#include "worker/train/train_loop.h"

namespace g2ll {
namespace {

using test::FakeBatches;
using test::RankResult;
using test::Recorder;
using test::RunGang;
using test::TempDirectory;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Three steps at a constant rate on the same eight images, this rank's share in so many
// parts; losses, then every parameter.
std::string ThreeSteps(dist::Collective& collective, torch::Dtype dtype, int64_t accumulate) {
  at::set_num_threads(1);
  pretrain::ClassificationTaskOptions options = test::TinyClassificationOptions(3);
  options.dtype = dtype;
  FakeBatches batches;
  batches.rank = collective.rank();
  batches.world_size = collective.world_size();
  pretrain::ClassificationTask task(options, test::FakeClassificationLoader(batches), nullptr,
                                    collective);
  train::AdamW optimizer(task.Parameters(), {});
  std::vector<torch::Tensor> tensors;
  for (const auto& parameter : optimizer.parameters()) tensors.push_back(parameter.tensor);
  const auto reducer = collective.MakeGradientReducer(tensors);
  std::ostringstream out;
  out << std::setprecision(17);
  for (int64_t step = 0; step < 3; ++step) {
    const train::StepContext context{step, static_cast<double>(step), 8};
    const auto num_images = task.LoadBatch(context);
    if (!num_images.ok()) return "no batch";
    reducer->ZeroGradients();
    torch::Tensor loss = torch::zeros({1}, torch::kFloat64);
    for (const train::MicroBatch& part : train::SplitShare(*num_images, accumulate)) {
      const train::StepResult result = task.ComputeLoss(context, part);
      reducer->Backward(result.loss, /*is_last=*/part.end == *num_images);
      loss += result.loss.detach().to(torch::kFloat64) / collective.world_size();
    }
    collective.AllReduceSum(loss);
    optimizer.Step(/*lr=*/1e-3, /*weight_decay=*/0.05);
    out << loss.item<double>() << " ";
  }
  for (const torch::Tensor& tensor : tensors) {
    const torch::Tensor flat = tensor.detach().to(torch::kFloat64).flatten();
    for (int64_t i = 0; i < flat.numel(); ++i) out << flat[i].item<double>() << " ";
  }
  return out.str();
}

std::vector<double> Numbers(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<double>(in), {}};
}

struct Layout {
  int ranks;
  int64_t accumulate;
};

// Compares losses and, in double precision, every parameter. In fp32 Adam's division
// blows rounding up in the weights.
void ExpectSameAsOneRank(torch::Dtype dtype, double tolerance) {
  const auto one = RunGang(1, [&](dist::Collective& c) { return ThreeSteps(c, dtype, 1); });
  const std::vector<double> expected = Numbers(one[0].output);
  ASSERT_GT(expected.size(), 1000U) << one[0].output;
  for (const Layout& layout : {Layout{1, 2}, Layout{2, 1}, Layout{4, 2}}) {
    const auto more = RunGang(
        layout.ranks, [&](dist::Collective& c) { return ThreeSteps(c, dtype, layout.accumulate); });
    for (const RankResult& rank : more) {
      const std::vector<double> actual = Numbers(rank.output);
      ASSERT_EQ(actual.size(), expected.size()) << rank.output.substr(0, 200);
      const size_t compared = dtype == torch::kFloat64 ? expected.size() : 3;
      double largest = 0;
      for (size_t i = 0; i < compared; ++i) {
        largest = std::max(largest, std::abs(actual[i] - expected[i]));
      }
      EXPECT_LT(largest, tolerance) << layout.ranks << " ranks, " << layout.accumulate << " parts";
    }
  }
}

// Method section 7, "parallelism", for method supervised.
TEST(SupervisedParallelTest, OneRankTwoRanksAndAccumulationHaveTheSameLosses) {
  ExpectSameAsOneRank(torch::kFloat32, 1e-5);
}

TEST(SupervisedParallelTest, OneRankTwoRanksAndAccumulationHaveTheSameWeightsInDoublePrecision) {
  ExpectSameAsOneRank(torch::kFloat64, 1e-9);
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
