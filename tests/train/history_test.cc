#include "worker/train/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "worker/train/phase_timer.h"

namespace g2ll::train {
namespace {

TEST(SeriesTest, HoldsAtMostFiveHundredPointsOverTheWholeRun) {
  Series series;
  for (int64_t step = 0; step < 10'000; ++step) {
    series.Add(step, static_cast<double>(step));
    ASSERT_LE(series.points().size(), 500u);
  }

  EXPECT_GE(series.points().size(), 250u);
  EXPECT_EQ(series.points().front().first, 0);
  EXPECT_GT(series.points().back().first, 9'900);
  for (size_t i = 1; i < series.points().size(); ++i) {
    EXPECT_LT(series.points()[i - 1].first, series.points()[i].first);
  }
}

TEST(HistoryTest, ComesBackFromItsText) {
  History history;
  RunRecord run{"projects/default/jobs/a", "PretrainJob", 12.5, 57, 712, {}};
  run.series["loss"].Add(1, 8.5);
  run.series["loss"].Add(2, 7.25);
  history.runs.push_back(run);
  history.pretrain_ids = {"ISIC_1", "ISIC_2"};

  const auto parsed = ParseHistory(FormatHistory(history));

  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->runs.size(), 1u);
  EXPECT_EQ(parsed->runs[0].job, run.job);
  EXPECT_EQ(parsed->runs[0].images, 712);
  EXPECT_EQ(parsed->runs[0].series.at("loss").points(), run.series.at("loss").points());
  EXPECT_EQ(parsed->pretrain_ids, history.pretrain_ids);
}

// A diverged loss is what a reader of the report most needs to see.
TEST(HistoryTest, KeepsNumbersThatAreNotFinite) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  History history;
  RunRecord run{"projects/default/jobs/a", "PretrainJob", 1, kInfinity, 2, {}};
  run.series["loss"].Add(1, std::numeric_limits<double>::quiet_NaN());
  run.series["loss"].Add(2, kInfinity);
  run.series["loss"].Add(3, -kInfinity);
  history.runs.push_back(run);

  const std::string text = FormatHistory(history);
  const auto parsed = ParseHistory(text);

  EXPECT_THAT(text, ::testing::HasSubstr(R"([[1,"NaN"],[2,"Infinity"],[3,"-Infinity"]])"));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->runs[0].images_per_second, kInfinity);
  const auto& points = parsed->runs[0].series.at("loss").points();
  ASSERT_EQ(points.size(), 3u);
  EXPECT_TRUE(std::isnan(points[0].second));
  EXPECT_EQ(points[1].second, kInfinity);
  EXPECT_EQ(points[2].second, -kInfinity);
}

TEST(HistoryTest, RefusesTextThatIsNoNumber) {
  const std::string text =
      R"({"runs":[{"job":"a","kind":"b","seconds":"soon","imagesPerSecond":1,"images":2,)"
      R"("series":{}}]})";
  EXPECT_EQ(ParseHistory(text).status().code(), absl::StatusCode::kDataLoss);
}

TEST(HistoryTest, RefusesDamagedText) {
  EXPECT_EQ(ParseHistory("{\"runs\": 3}").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseHistory("{").status().code(), absl::StatusCode::kDataLoss);
}

TEST(PhaseTimerTest, SharesAddUpToTheWhole) {
  PhaseTimer timer;
  EXPECT_EQ(timer.Percent(Phase::kModel), 0);
  timer.Enter(Phase::kModel);
  timer.Enter(Phase::kOther);
  timer.Pause();

  EXPECT_GT(timer.total_seconds(), 0);
  EXPECT_NEAR(timer.Percent(Phase::kModel) + timer.Percent(Phase::kOther), 100, 1e-9);
}

}  // namespace
}  // namespace g2ll::train
