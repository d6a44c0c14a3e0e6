#include "client/cli/progress_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace g2ll::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::Job Running(int64_t step, int64_t total) {
  v1::Job job;
  job.set_state(v1::Job::RUNNING);
  job.mutable_progress()->set_step(step);
  job.mutable_progress()->set_total_steps(total);
  job.mutable_progress()->set_epoch(1.5);
  job.mutable_progress()->set_images_per_second(57.25);
  job.mutable_progress()->mutable_eta()->set_seconds(200);
  return job;
}

v1::MetricPoint Point(const std::string& name, double value, int64_t step) {
  v1::MetricPoint point;
  point.set_name(name);
  point.set_value(value);
  point.set_step(step);
  return point;
}

TEST(SparklineTest, ScalesToItsRangeAndAveragesDown) {
  EXPECT_EQ(Sparkline({0, 7}, 10, true), "▁█");
  EXPECT_EQ(Sparkline({0, 0, 7, 7}, 2, false), "_#");
  EXPECT_EQ(Sparkline({1, 1}, 10, false), "__");
  EXPECT_EQ(Sparkline({0, NAN, 1}, 10, false), "_!#");
  EXPECT_EQ(Sparkline({}, 10, true), "");
}

TEST(ProgressBarTest, IsCutAtItsEnds) {
  EXPECT_EQ(ProgressBar(0.5, 4), "##--");
  EXPECT_EQ(ProgressBar(7, 4), "####");
  EXPECT_EQ(ProgressBar(NAN, 4), "----");
}

TEST(ShortDurationTest, HasTwoUnitsAtMost) {
  EXPECT_EQ(ShortDuration(absl::Seconds(45)), "45s");
  EXPECT_EQ(ShortDuration(absl::Seconds(200)), "3m20s");
  EXPECT_EQ(ShortDuration(absl::Minutes(65)), "1h05m");
  EXPECT_EQ(ShortDuration(absl::Seconds(-3)), "0s");
}

TEST(ClipTest, CountsCharactersNotBytes) {
  EXPECT_EQ(Clip("▁▂▃", 2), "▁▂");
  EXPECT_EQ(Clip("abc", 3), "abc");
}

TEST(ProgressModelTest, TellsEveryChangeOfStateOnce) {
  ProgressModel model("a");
  v1::Job job;
  job.set_state(v1::Job::PENDING);
  job.mutable_state_reason()->set_code("WAITING_FOR_SLOTS");
  job.mutable_state_reason()->set_message("needs 2 of 0 slots\x1b[31m");

  EXPECT_THAT(model.OnJob(job, absl::UnixEpoch()),
              ElementsAre("a: PENDING: needs 2 of 0 slots\\x1b[31m"));
  EXPECT_THAT(model.OnJob(job, absl::UnixEpoch()), IsEmpty());
}

TEST(ProgressModelTest, TellsProgressEveryTwentiethOrTenSeconds) {
  ProgressModel model("a");
  const absl::Time start = absl::UnixEpoch();

  EXPECT_THAT(
      model.OnJob(Running(1, 100), start),
      ElementsAre("a: RUNNING", "a: step 1/100   1 %  epoch 1.5  57.2 images/s  3m20s left"));
  EXPECT_THAT(model.OnJob(Running(2, 100), start + absl::Seconds(9)), IsEmpty());
  EXPECT_THAT(model.OnJob(Running(3, 100), start + absl::Seconds(10)),
              ElementsAre(HasSubstr("step 3/")));
  EXPECT_THAT(model.OnJob(Running(8, 100), start + absl::Seconds(11)),
              ElementsAre(HasSubstr("step 8/")));
  EXPECT_THAT(model.OnJob(Running(8, 100), start + absl::Seconds(60)), IsEmpty());
}

TEST(ProgressModelTest, TellsEveryMeasurement) {
  ProgressModel model("a");

  EXPECT_THAT(model.OnMetric(Point("val/dice", 0.8125, 100), absl::UnixEpoch()),
              ElementsAre("a: val/dice 0.8125 at step 100"));
  EXPECT_THAT(model.OnMetric(Point("lr", 0.1, 100), absl::UnixEpoch()), IsEmpty());
  EXPECT_THAT(model.OnMetric(Point("rollback", 50, 50), absl::UnixEpoch()),
              ElementsAre("a: went back to step 50 after a recovery"));
}

// The parts of one step come as points of their own and must not be mixed with
// those of the step before.
TEST(ProgressModelTest, ShowsTheLossPartsOfOneStepTogether) {
  ProgressModel model("a");
  const absl::Time now = absl::UnixEpoch();
  for (const int64_t step : {1, 2}) {
    model.OnMetric(Point("loss", static_cast<double>(step), step), now);
    model.OnMetric(Point("loss/mim", 10.0 * static_cast<double>(step), step), now);
  }
  model.OnMetric(Point("loss", 3, 3), now);
  model.OnJob(Running(3, 100), now);

  EXPECT_THAT(model.Block(80, false),
              ElementsAre("a  RUNNING", HasSubstr("[#-----"), HasSubstr("loss 2  mim 20  _=#")));
}

TEST(ProgressModelTest, TheBlockFitsTheTerminal) {
  ProgressModel model(std::string(60, 'n'));
  model.OnJob(Running(50, 100), absl::UnixEpoch());

  for (const std::string& line : model.Block(40, false)) EXPECT_LE(line.size(), 40u);
}

TEST(ProgressModelTest, TheSummarySaysHowItEnded) {
  ProgressModel model("a");
  v1::Job job = Running(100, 100);
  job.set_state(v1::Job::SUCCEEDED);
  job.mutable_start_time()->set_seconds(10);
  job.mutable_end_time()->set_seconds(93);
  (*job.mutable_metrics())["val/dice"] = 0.83;

  EXPECT_THAT(model.OnJob(job, absl::UnixEpoch()), IsEmpty());
  EXPECT_EQ(model.Summary(), "a: SUCCEEDED after 1m23s; val/dice 0.83");
}

}  // namespace
}  // namespace g2ll::cli
