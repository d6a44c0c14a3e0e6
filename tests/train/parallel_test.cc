#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <functional>
#include <limits>

#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "tests/train/scripted_task.h"
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

// How a global batch of eight images is worked on.
struct Split {
  int ranks = 1;
  int64_t accumulate = 1;
};

void Append(const torch::Tensor& tensor, std::vector<double>& numbers) {
  const torch::Tensor values = tensor.detach().to(torch::kFloat64).contiguous();
  const double* value = values.const_data_ptr<double>();
  numbers.insert(numbers.end(), value, value + values.numel());
}

// Loss of the global batch, and its gradients in the parameters.
double LossAndGradients(train::TrainTask& task, const train::StepContext& context,
                        int64_t accumulate, dist::Collective& collective,
                        dist::GradientReducer& reducer) {
  const auto parts = train::SplitShare(task.LoadBatch(context).value(), accumulate);
  reducer.ZeroGradients();
  torch::Tensor loss = torch::zeros({}, torch::kFloat64);
  for (const train::MicroBatch& part : parts) {
    const train::StepResult result = task.ComputeLoss(context, part);
    reducer.Backward(result.loss, part.end == parts.back().end);
    loss += result.loss.detach().to(torch::kFloat64) / collective.world_size();
  }
  collective.AllReduceSum(loss);
  return loss.item<double>();
}

// Three steps on the same eight images at a constant rate: the losses, then every
// element of every parameter.
std::vector<double> ThreeSteps(train::TrainTask& task, int64_t accumulate,
                               dist::Collective& collective) {
  train::AdamW optimizer(task.Parameters(), {});
  std::vector<torch::Tensor> tensors;
  for (const auto& parameter : optimizer.parameters()) tensors.push_back(parameter.tensor);
  auto reducer = collective.MakeGradientReducer(tensors);
  std::vector<double> numbers;
  for (int64_t step = 0; step < 3; ++step) {
    const train::StepContext context{step, static_cast<double>(step), 8};
    numbers.push_back(LossAndGradients(task, context, accumulate, collective, *reducer));
    train::ClipGradients(optimizer.parameters(), 3);
    optimizer.Step(1e-3, 0.05, task.PlanStep(context).frozen);
    task.AfterStep(context);
  }
  for (const torch::Tensor& tensor : tensors) Append(tensor, numbers);
  return numbers;
}

// A gang's results are text: bytes of doubles are that too.
std::string Packed(const std::vector<double>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double)};
}

std::vector<double> Unpacked(const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

FakeBatches ShareOf(const dist::Collective& collective) {
  FakeBatches batches;
  batches.rank = collective.rank();
  batches.world_size = collective.world_size();
  return batches;
}

using Run = std::function<std::vector<double>(dist::Collective&, int64_t accumulate, torch::Dtype)>;

Run Pretraining(const pretrain::PretrainOptions& options, int num_views = 2) {
  return
      [options, num_views](dist::Collective& collective, int64_t accumulate, torch::Dtype dtype) {
        pretrain::PretrainOptions typed = options;
        typed.dtype = dtype;
        FakeBatches share = ShareOf(collective);
        share.num_views = num_views;
        pretrain::PretrainTask task(typed, test::FakePretrainLoader(share), collective);
        std::vector<double> numbers = ThreeSteps(task, accumulate, collective);
        if (task.teacher() == nullptr) return numbers;
        for (const auto& tensor : task.teacher()->encoder()->parameters()) Append(tensor, numbers);
        for (const auto& tensor : task.teacher()->head()->parameters()) Append(tensor, numbers);
        Append(task.center()->value(), numbers);
        if (task.patch_center() != nullptr) Append(task.patch_center()->value(), numbers);
        return numbers;
      };
}

std::vector<double> FinetuneThreeSteps(dist::Collective& collective, int64_t accumulate,
                                       torch::Dtype dtype) {
  finetune::SegmentationTaskOptions options = test::TinySegmentationOptions(3);
  options.dtype = dtype;
  finetune::SegmentationTask task(options, test::FakeSegmentationLoader(ShareOf(collective)),
                                  nullptr, collective);
  return ThreeSteps(task, accumulate, collective);
}

// In fp32 only the three losses: Adam's division blows rounding up in the weights.
void ExpectSameNumbers(const std::vector<double>& actual, const std::vector<double>& expected,
                       torch::Dtype dtype) {
  const bool is_double = dtype == torch::kFloat64;
  ASSERT_GT(expected.size(), 3u);
  ASSERT_EQ(actual.size(), expected.size());
  double largest = 0;
  for (size_t i = 0; i < (is_double ? expected.size() : 3); ++i) {
    ASSERT_TRUE(std::isfinite(actual[i])) << i;
    largest = std::max(largest, std::abs(actual[i] - expected[i]));
  }
  EXPECT_LT(largest, is_double ? 1e-9 : 1e-5);
}

void ExpectSameHoweverSplit(const Run& run, const std::vector<Split>& splits) {
  for (const torch::Dtype dtype : {torch::kFloat32, torch::kFloat64}) {
    const auto of = [&](const Split& split) {
      return RunGang(split.ranks, [&](dist::Collective& collective) {
        return Packed(run(collective, split.accumulate, dtype));
      });
    };
    const std::vector<double> whole = Unpacked(of({})[0].output);
    for (const Split& split : splits) {
      SCOPED_TRACE(std::to_string(split.ranks) + " ranks, " + std::to_string(split.accumulate) +
                   " parts, " + (dtype == torch::kFloat64 ? "fp64" : "fp32"));
      const auto ranks = of(split);
      EXPECT_TRUE(ranks.front().output == ranks.back().output) << "ranks differ";
      ExpectSameNumbers(Unpacked(ranks.front().output), whole, dtype);
    }
  }
}

const std::vector<Split> kTwoRanksOrTwoParts = {{.ranks = 2}, {.accumulate = 2}};

// The oracle of method section 7: 1 rank x 8 == 2 ranks x 4 == accumulation 2 x 4.
TEST(ParallelTest, G2llIsTheSameOnOneRankTwoFourAndInParts) {
  // Three parts of eight images have 3, 3 and 2.
  ExpectSameHoweverSplit(
      Pretraining(test::TinyPretrainOptions(3)),
      {{.ranks = 2}, {.ranks = 4}, {.accumulate = 2}, {.accumulate = 3}, {2, 2}});
}

TEST(ParallelTest, MaeIsTheSameOnOneRankTwoAndInParts) {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(3);
  options.distill.reset();
  options.mim->norm_pix = true;
  ExpectSameHoweverSplit(Pretraining(options, /*num_views=*/1), kTwoRanksOrTwoParts);
}

TEST(ParallelTest, DinoWithStochasticDepthIsTheSameOnOneRankTwoAndInParts) {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(3);
  options.mim.reset();
  options.student_input = pretrain::StudentInput::kAll;
  options.encoder.learned_pos = true;
  options.encoder.drop_path = 0.1;
  options.distill->pairs = loss::Pairs::kCross;
  ExpectSameHoweverSplit(Pretraining(options), kTwoRanksOrTwoParts);
}

TEST(ParallelTest, PatchDistillationAndKoLeoAreTheSameOnOneRankTwoAndInParts) {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(3);
  options.encoder.drop_path = 0.3;
  options.distill->pairs = loss::Pairs::kCross;
  options.ibot.emplace();
  options.koleo_lambda = 0.1;
  ExpectSameHoweverSplit(Pretraining(options),
                         {{.ranks = 2}, {.ranks = 4}, {.accumulate = 2}, {2, 2}});
}

TEST(ParallelTest, SinkhornAndMasksFromAttentionAreTheSameOnOneRankTwoAndInParts) {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(3);
  options.student_input = pretrain::StudentInput::kMaskToken;
  options.attention_mask.emplace();
  options.attention_mask->kind = mask::MaskKind::kAttention;
  options.is_summed = true;
  options.distill->centering = pretrain::Centering::kSinkhorn;
  options.distill->head.norm_last_layer = false;
  options.ibot.emplace();
  options.ibot->source = pretrain::IbotOptions::Source::kEncoder;
  ExpectSameHoweverSplit(Pretraining(options), kTwoRanksOrTwoParts);
}

TEST(ParallelTest, FinetuningOnTwoRanksIsTheSameAsOnOne) {
  ExpectSameHoweverSplit(FinetuneThreeSteps, {{.ranks = 2}});
}

// Only rank 1's gradient is bad; the sum over the ranks alone would not tell.
TEST(ParallelTest, AGradientThatIsNotFiniteNamesTheRankAndTheTensorOnAll) {
  const auto results = RunGang(2, [](dist::Collective& collective) {
    test::ScriptedTask task;
    if (collective.rank() == 1) task.bad_gradient_step = 1;
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.last_step = 5, .storage = storage.path()};
    const absl::Status status = test::RunLoop(task, collective, recorder, run);
    return std::to_string(job::ExitCodeOf(status)) + " " + std::string(status.message());
  });

  for (const RankResult& result : results) {
    EXPECT_THAT(result.output, StartsWith("79 update 2, rank 1: the gradient of w"));
  }
}

// Batches whose third is not finite where `is_poisoned`.
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

// How two ranks end of which the second gets bad pixels.
std::vector<RankResult> EndsOfAPoisonedRun(const pretrain::PretrainOptions& options) {
  return RunGang(2, [&](dist::Collective& collective) {
    pretrain::PretrainTask task(
        options, std::make_unique<Poisoned>(ShareOf(collective), collective.rank() == 1),
        collective);
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.last_step = 9, .storage = storage.path()};
    const absl::Status status = test::RunLoop(task, collective, recorder, run);
    return std::to_string(job::ExitCodeOf(status)) + " " + std::string(status.message());
  });
}

TEST(ParallelTest, ALossThatIsNotFiniteOnOneRankEndsAllAtTheSameStep) {
  for (const RankResult& result : EndsOfAPoisonedRun(test::TinyPretrainOptions(9))) {
    EXPECT_THAT(result.output, StartsWith("79 update 3, rank 1: loss/mim"));
    EXPECT_THAT(result.output, HasSubstr("the pixels of image 4, image 5, image 6 are not"));
  }
}

// The neighbours that KoLeo gathers make the loss of every rank not finite.
TEST(ParallelTest, ALossOverTheGlobalBatchThatIsNotFiniteNamesTheRankOfTheImage) {
  pretrain::PretrainOptions options = test::TinyPretrainOptions(9);
  options.koleo_lambda = 0.1;
  for (const RankResult& result : EndsOfAPoisonedRun(options)) {
    EXPECT_THAT(result.output, StartsWith("79 update 3, rank 1: loss/mim"));
    EXPECT_THAT(result.output, HasSubstr("the pixels of image 4, image 5, image 6 are not"));
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
