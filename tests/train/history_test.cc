#include "worker/train/history.h"

#include <gtest/gtest.h>

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
