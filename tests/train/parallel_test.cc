#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <csignal>
#include <iomanip>
#include <limits>
#include <sstream>

#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "worker/job/outcome.h"
#include "worker/train/failure.h"

namespace g2ll {
namespace {

using test::FakeBatches;
using test::LoopRun;
using test::RankResult;
using test::Recorder;
using test::RunGang;
using test::TempDirectory;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Three steps on the same eight images; returns losses and a sum over parameters.
std::string ThreeSteps(train::TrainTask& task, dist::Collective& collective) {
  train::AdamW optimizer(task.Parameters(), {});
  std::vector<torch::Tensor> tensors;
  for (const auto& parameter : optimizer.parameters()) tensors.push_back(parameter.tensor);
  auto reducer = collective.MakeGradientReducer(tensors);
  std::ostringstream out;
  out << std::setprecision(17);
  for (int64_t step = 0; step < 3; ++step) {
    const train::StepContext context{step, static_cast<double>(step)};
    if (!task.LoadBatch(context).ok()) return "no batch";
    reducer->ZeroGradients();
    const train::StepResult result = task.ComputeLoss(context);
    reducer->Backward(result.loss);
    torch::Tensor loss = result.loss.detach() / collective.world_size();
    collective.AllReduceSum(loss);
    train::ClipGradients(optimizer.parameters(), 3);
    optimizer.Step(1e-3, 0.05, task.PlanStep(context).frozen);
    task.AfterStep(context);
    out << loss.item<double>() << " ";
  }
  torch::NoGradGuard no_grad;
  for (const torch::Tensor& tensor : tensors) out << tensor.norm().item<double>() << " ";
  return out.str();
}

FakeBatches ShareOf(const dist::Collective& collective) {
  FakeBatches batches;
  batches.rank = collective.rank();
  batches.world_size = collective.world_size();
  return batches;
}

std::string PretrainThreeSteps(dist::Collective& collective, torch::Dtype dtype) {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(3);
  options.dtype = dtype;
  pretrain::PretrainTask task(options, test::FakePretrainLoader(ShareOf(collective)), collective);
  return ThreeSteps(task, collective);
}

std::string FinetuneThreeSteps(dist::Collective& collective, torch::Dtype dtype) {
  finetune::SegmentationTaskOptions options = test::TinySegmentationOptions(3);
  options.dtype = dtype;
  finetune::SegmentationTask task(options, test::FakeSegmentationLoader(ShareOf(collective)),
                                  nullptr, collective);
  return ThreeSteps(task, collective);
}

std::vector<double> Numbers(const std::string& text) {
  std::istringstream in(text);
  std::vector<double> numbers;
  for (double x; in >> x;) numbers.push_back(x);
  return numbers;
}

using Steps = std::string (*)(dist::Collective&, torch::Dtype);

void ExpectSameOnOneAndMoreRanks(Steps steps, int ranks, torch::Dtype dtype, double tolerance) {
  const auto one = RunGang(1, [&](dist::Collective& c) { return steps(c, dtype); });
  const auto more = RunGang(ranks, [&](dist::Collective& c) { return steps(c, dtype); });
  const std::vector<double> expected = Numbers(one[0].output);
  ASSERT_GT(expected.size(), 3u) << one[0].output;
  for (const RankResult& rank : more) {
    const std::vector<double> actual = Numbers(rank.output);
    ASSERT_EQ(actual.size(), expected.size()) << rank.output;
    // In fp32 only the losses: Adam's division blows rounding up in the weights.
    const size_t compared = dtype == torch::kFloat64 ? expected.size() : 3;
    for (size_t i = 0; i < compared; ++i) {
      EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << i;
    }
  }
  EXPECT_EQ(more.front().output, more.back().output) << "ranks differ";
}

TEST(ParallelTest, PretrainingOnTwoRanksIsTheSameAsOnOne) {
  ExpectSameOnOneAndMoreRanks(PretrainThreeSteps, 2, torch::kFloat32, 1e-5);
}

TEST(ParallelTest, PretrainingOnFourRanksHasTheSameWeightsInDoublePrecision) {
  ExpectSameOnOneAndMoreRanks(PretrainThreeSteps, 4, torch::kFloat64, 1e-9);
}

TEST(ParallelTest, FinetuningOnTwoRanksIsTheSameAsOnOne) {
  ExpectSameOnOneAndMoreRanks(FinetuneThreeSteps, 2, torch::kFloat32, 1e-5);
}

TEST(ParallelTest, ALossThatIsNotFiniteOnOneRankEndsAllAtTheSameStep) {
  const auto results = RunGang(2, [](dist::Collective& collective) {
    class Poisoned final : public data::PretrainLoader {
     public:
      Poisoned(const FakeBatches& batches, bool is_poisoned)
          : inner_(test::FakePretrainLoader(batches)), is_poisoned_(is_poisoned) {}
      absl::StatusOr<data::PretrainBatch> Next() override {
        auto batch = inner_->Next();
        if (is_poisoned_ && num_batches_++ == 2) {
          batch->views.fill_(std::numeric_limits<float>::quiet_NaN());
        }
        return batch;
      }

     private:
      std::unique_ptr<data::PretrainLoader> inner_;
      bool is_poisoned_;
      int num_batches_ = 0;
    };
    pretrain::PretrainTask task(
        test::TinyPretrainOptions(9),
        std::make_unique<Poisoned>(ShareOf(collective), collective.rank() == 1), collective);
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.last_step = 9, .storage = storage.path()};
    const absl::Status status = test::RunLoop(task, collective, recorder, run);
    return std::to_string(job::ExitCodeOf(status)) + " " + std::string(status.message());
  });

  for (const RankResult& result : results) {
    EXPECT_THAT(result.output, StartsWith("79 update 3, rank 1: loss/mim"));
  }
}

// One rank is asked to stop; both end after the same update.
TEST(ParallelTest, AStopOnOneRankStopsAllAtTheSameStep) {
  const auto results = RunGang(2, [](dist::Collective& collective) {
    pretrain::PretrainTask task(test::TinyPretrainOptions(9),
                                test::FakePretrainLoader(ShareOf(collective)), collective);
    Recorder recorder;
    TempDirectory storage;
    std::stop_source stop;
    if (collective.rank() == 1) stop.request_stop();
    LoopRun run{.last_step = 9, .storage = storage.path(), .stop = stop.get_token()};
    const absl::Status status = test::RunLoop(task, collective, recorder, run);
    return std::to_string(job::ExitCodeOf(status)) + " " + std::string(status.message());
  });

  for (const RankResult& result : results) EXPECT_EQ(result.output, "75 stopped after update 1");
}

TEST(ParallelTest, AKilledPeerEndsTheSurvivorAsACollectiveFailure) {
  const auto results = RunGang(2, [](dist::Collective& collective) {
    pretrain::PretrainTask task(test::TinyPretrainOptions(1000),
                                test::FakePretrainLoader(ShareOf(collective)), collective);
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.last_step = collective.rank() == 1 ? 3 : 1000, .storage = storage.path()};
    const absl::Status status =
        job::CatchExceptions([&] { return test::RunLoop(task, collective, recorder, run); });
    if (collective.rank() == 1) raise(SIGKILL);
    return std::to_string(job::ExitCodeOf(status)) + " " +
           v1::Failure::Class_Name(job::FailureClassOf(status));
  });

  EXPECT_EQ(results[1].signal, SIGKILL);
  EXPECT_EQ(results[0].output, "81 COLLECTIVE");
}

}  // namespace
}  // namespace g2ll
