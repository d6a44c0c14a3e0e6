// Pre-training jobs with choices of the method, from the job file's keys to a checkpoint.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "tests/data/test_files.h"
#include "tests/train/assignments.h"
#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/job/outcome.h"
#include "worker/job/run_job.h"

namespace g2ll::job {
namespace {

using test::Recorder;
using test::TempDirectory;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Runs the recipe smoke with changes on `ranks` ranks; rank 0's exit code, message, and
// names of metrics.
std::string RunWith(const std::function<void(v1::PretrainSpec&)>& change, int ranks = 1,
                    int batch = 8) {
  TempDirectory storage;
  const auto results = test::RunProcesses(ranks, [&](int rank, int port) {
    trainer::v1::Assignment job = test::SmokePretrain(storage.path(), batch);
    v1::PretrainSpec& spec = *job.mutable_spec()->mutable_pretrain();
    spec.mutable_train()->set_max_steps(2);
    change(spec);
    test::PlaceRank(job, rank, ranks, port);
    Recorder recorder;
    const absl::Status status = RunJob(job, recorder, {});
    std::string text = std::to_string(ExitCodeOf(status)) + " " + std::string(status.message());
    for (const auto& sample : recorder.metrics) text += " " + sample.name;
    return text;
  });
  return results[0].output;
}

TEST(PretrainJobTest, PatchDistillationKoLeoAndPartsRunOnTwoRanks) {
  const std::string output = RunWith(
      [](v1::PretrainSpec& spec) {
        spec.mutable_ibot()->set_lambda(1);
        spec.mutable_koleo()->set_lambda(0.1);
        spec.mutable_model()->set_drop_path(0.1);
        spec.mutable_train()->set_accumulate(2);
        spec.mutable_optim()->set_clip_mode(v1::OptimSpec::GLOBAL);
      },
      /*ranks=*/2);

  EXPECT_THAT(output, StartsWith("0 "));
  for (const char* name : {"loss/ibot", "loss/koleo", "grad_norm/mim", "grad_norm/distill",
                           "teacher_student_kl", "feature_std", "center_norm"}) {
    EXPECT_THAT(output, HasSubstr(name));
  }
}

TEST(PretrainJobTest, MasksFromAttentionWithMaskTokensAndSinkhornRun) {
  EXPECT_THAT(RunWith([](v1::PretrainSpec& spec) {
                spec.mutable_mask()->set_strategy(v1::MaskSpec::ATTMASK);
                spec.mutable_mask()->set_student_input(v1::MaskSpec::MASK_TOKEN_ALL);
                spec.mutable_mim()->set_loss(v1::MimSpec::L1);
                spec.mutable_distill()->set_centering(v1::DistillSpec::SINKHORN);
                spec.mutable_distill()->set_reduce(v1::DistillSpec::SUM);
                spec.mutable_distill()->set_norm_last_layer(false);
              }),
              StartsWith("0 "));
}

// 48 images in batches of 20: 20, 20, 8.
TEST(PretrainJobTest, TheLastBatchMayBeSmallerButMustFeedEveryRank) {
  const auto keep_last = [](v1::PretrainSpec& spec) {
    spec.mutable_train()->set_drop_last(false);
    spec.mutable_train()->set_max_steps(3);
  };
  EXPECT_THAT(RunWith(keep_last, /*ranks=*/2, /*batch=*/20), StartsWith("0 "));

  // 21 images: 20 and one more.
  const std::string refused = RunWith(
      [&](v1::PretrainSpec& spec) {
        keep_last(spec);
        spec.mutable_data()->set_max_images(21);
      },
      /*ranks=*/2, /*batch=*/20);
  EXPECT_THAT(refused, StartsWith("77 train.dropLast false: the last 1 of 21 images"));
}

// Images without a diagnosis are no part of such a run, nor of what it left out.
TEST(PretrainJobTest, AClassifiersReportListsTheExcludedOfItsOwnImages) {
  TempDirectory storage, folder;
  data::test::WriteIsicPairs(folder.path(), "Training", /*first=*/1, /*count=*/9);
  std::string table = "image,MEL,NV\n";
  for (int i = 1; i < 10; ++i) {
    table += "ISIC_000000" + std::to_string(i) + (i % 2 == 0 ? ",1,0\n" : ",0,1\n");
    data::test::WriteJpeg(
        folder.path() + "/ISIC_2019_Training_Input/ISIC_010000" + std::to_string(i) + ".jpg",
        data::test::VariedImage(32, 10 + i));
  }
  data::test::WriteBytes(storage.path() + "/classes.csv", table);
  data::test::WriteBytes(storage.path() + "/ids.txt", "ISIC_0000003\n");
  trainer::v1::Assignment job =
      test::SmokePretrain(storage.path(), /*batch=*/8, v1::PretrainSpec::SUPERVISED);
  v1::PretrainSpec& spec = *job.mutable_spec()->mutable_pretrain();
  spec.mutable_train()->set_max_steps(1);
  spec.mutable_data()->set_source(folder.path());
  spec.mutable_data()->set_class_file(storage.path() + "/classes.csv");
  spec.mutable_data()->clear_exclude_ids();
  spec.mutable_data()->add_exclude_ids(storage.path() + "/ids.txt");

  const auto results = test::RunProcesses(1, [&](int, int) {
    Recorder recorder;
    const absl::Status status = RunJob(job, recorder, {});
    return std::to_string(ExitCodeOf(status)) + " " + std::string(status.message());
  });

  ASSERT_THAT(results[0].output, StartsWith("0 "));
  std::ifstream in(storage.path() + "/" + job.report_path() + "/report.json");
  const std::string report(std::istreambuf_iterator<char>(in), {});
  EXPECT_THAT(report, HasSubstr("\"excludedImages\": 1"));
  EXPECT_THAT(report, HasSubstr("\"ISIC_0000003\""));
}

}  // namespace
}  // namespace g2ll::job
