#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <csignal>
#include <limits>

#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "tests/train/scripted_task.h"
#include "tests/train/splits.h"
#include "tests/train/spoiled_loader.h"
#include "worker/job/outcome.h"
#include "worker/train/failure.h"

namespace g2ll {
namespace {

using test::Append;
using test::ExpectSameHoweverSplit;
using test::FakeBatches;
using test::LoopRun;
using test::RankResult;
using test::Recorder;
using test::RunGang;
using test::ShareOf;
using test::Split;
using test::TempDirectory;
using test::Updates;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr double kClip = 3;

// `EXIT MESSAGE`.
std::string EndOf(const absl::Status& status) {
  return std::to_string(job::ExitCodeOf(status)) + " " + std::string(status.message());
}

// Three updates of pre-training: the student, then the teacher and the centres.
Updates Pretraining(const pretrain::PretrainOptions& options, int num_views = 2) {
  return
      [options, num_views](dist::Collective& collective, int64_t accumulate, torch::Dtype dtype) {
        pretrain::PretrainOptions typed = options;
        typed.dtype = dtype;
        FakeBatches share = ShareOf(collective);
        share.num_views = num_views;
        pretrain::PretrainTask task(typed, test::FakePretrainLoader(share), collective);
        std::vector<double> numbers = test::ThreeUpdates(task, accumulate, collective, kClip);
        if (task.teacher() == nullptr) return numbers;
        for (const auto& tensor : task.teacher()->encoder()->parameters()) Append(tensor, numbers);
        for (const auto& tensor : task.teacher()->head()->parameters()) Append(tensor, numbers);
        if (task.center() != nullptr) Append(task.center()->value(), numbers);
        if (task.patch_center() != nullptr) Append(task.patch_center()->value(), numbers);
        return numbers;
      };
}

std::vector<double> Finetuning(dist::Collective& collective, int64_t accumulate,
                               torch::Dtype dtype) {
  finetune::SegmentationTaskOptions options = test::TinySegmentationOptions(3);
  options.dtype = dtype;
  finetune::SegmentationTask task(options, test::FakeSegmentationLoader(ShareOf(collective)),
                                  nullptr, collective);
  return test::ThreeUpdates(task, accumulate, collective, kClip);
}

const std::vector<Split> kTwoRanksOrTwoParts = {{.ranks = 2}, {.accumulate = 2}};

// The oracle of method section 7: 1 rank x 8 == 2 ranks x 4 == accumulation 2 x 4.
TEST(ParallelTest, G2llIsTheSameOnOneRankTwoFourAndInParts) {
  // Three ranks of eight images have 2, 3 and 3, three parts 3, 3 and 2.
  ExpectSameHoweverSplit(
      Pretraining(test::TinyPretrainOptions(3)),
      {{.ranks = 2}, {.ranks = 3}, {.ranks = 4}, {.accumulate = 2}, {.accumulate = 3}, {2, 2}});
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
                         {{.ranks = 2}, {.ranks = 3}, {.ranks = 4}, {.accumulate = 2}, {2, 2}});
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
  ExpectSameHoweverSplit(Finetuning, {{.ranks = 2}});
}

// Two epochs of eleven images: eight, three, eight, three.
TEST(ParallelTest, ALoopWithASmallerLastBatchIsTheSameOnOneRankThreeAndInParts) {
  const auto loop = [](dist::Collective& collective, int64_t accumulate, torch::Dtype dtype) {
    pretrain::PretrainOptions options = test::TinyPretrainOptions(4);
    options.dtype = dtype;
    options.koleo_lambda = 0.1;
    options.steps_per_epoch = 2;
    FakeBatches share = ShareOf(collective);
    share.num_images = 11;
    pretrain::PretrainTask task(options, test::FakePretrainLoader(share), collective);
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.last_step = 4,
                .storage = storage.path(),
                .images_in_last_step = 3,
                .accumulate = accumulate};
    const absl::Status status = test::RunLoop(task, collective, recorder, run);
    TORCH_CHECK(status.ok(), std::string(status.message()));
    std::vector<double> numbers;
    for (const auto& parameter : task.Parameters()) Append(parameter.tensor, numbers);
    Append(task.center()->value(), numbers);
    return numbers;
  };
  ExpectSameHoweverSplit(loop, {{.ranks = 3}, {.accumulate = 2}}, {torch::kFloat64});
}

// Only rank 1's gradient is bad; the sum over the ranks alone would not tell.
TEST(ParallelTest, AGradientThatIsNotFiniteNamesTheRankAndTheTensorOnAll) {
  const auto results = RunGang(2, [](dist::Collective& collective) {
    test::ScriptedTask task;
    if (collective.rank() == 1) task.bad_gradient_step = 1;
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.last_step = 5, .storage = storage.path()};
    return EndOf(test::RunLoop(task, collective, recorder, run));
  });

  for (const RankResult& result : results) {
    EXPECT_THAT(result.output, StartsWith("79 update 2, rank 1: the gradient of w"));
  }
}

// How two ranks end of which the second gets bad pixels in its third batch.
std::vector<RankResult> EndsOfAPoisonedRun(const pretrain::PretrainOptions& options) {
  return RunGang(2, [&](dist::Collective& collective) {
    const auto spoil = [&, num_batches = 0](data::PretrainBatch& batch) mutable {
      if (++num_batches == 3 && collective.rank() == 1) {
        batch.views.fill_(std::numeric_limits<float>::quiet_NaN());
      }
    };
    pretrain::PretrainTask task(
        options, test::Spoiled(test::FakePretrainLoader(ShareOf(collective)), spoil), collective);
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.last_step = 9, .storage = storage.path()};
    return EndOf(test::RunLoop(task, collective, recorder, run));
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
    return EndOf(test::RunLoop(task, collective, recorder, run));
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
