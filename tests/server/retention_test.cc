// What goes when, from facts alone.
#include "server/coordinator/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace g2ll::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1700000000);
constexpr absl::Duration kDay = absl::Hours(24);

RetentionFacts Ended(absl::Duration ago) {
  RetentionFacts facts;
  facts.has_ended = true;
  facts.end_time = kNow - ago;
  return facts;
}

TEST(RetentionTest, AnEndedJobGoesAfterItsTimeAndNoOther) {
  const RetentionPolicy policy;

  EXPECT_TRUE(Retain(policy, Ended(90 * kDay), kNow).removes_job);
  EXPECT_FALSE(Retain(policy, Ended(90 * kDay - absl::Seconds(1)), kNow).removes_job);
  EXPECT_FALSE(Retain(policy, RetentionFacts(), kNow).removes_job) << "it has not ended";
}

TEST(RetentionTest, AJobThatIsInUseStays) {
  RetentionFacts facts = Ended(1000 * kDay);
  facts.is_in_use = true;

  EXPECT_FALSE(Retain({}, facts, kNow).removes_job);
}

TEST(RetentionTest, NothingGoesWithoutLimits) {
  RetentionPolicy policy;
  policy.finished_jobs = absl::InfiniteDuration();
  policy.logs = absl::InfiniteDuration();
  policy.log_bytes_per_job = 0;
  policy.points_per_job = 0;
  RetentionFacts facts = Ended(10000 * kDay);
  facts.last_metric_seq = INT64_MAX / 2;
  facts.last_log_seq = 10;
  NoteLogs(policy, 10, int64_t{1} << 50, kNow - 10000 * kDay, &facts.kept);

  const RetentionCut cut = Retain(policy, facts, kNow);

  EXPECT_FALSE(cut.removes_job);
  EXPECT_EQ(cut.kept, facts.kept);
  EXPECT_THAT(cut.reasons, IsEmpty());
}

TEST(RetentionTest, PointsBeyondTheLimitGoFromTheFrontAHundredthAtATime) {
  RetentionPolicy policy;
  policy.points_per_job = 1000;
  RetentionFacts facts;
  facts.last_metric_seq = 1000;
  EXPECT_EQ(Retain(policy, facts, kNow).kept.first_metric_seq, 1);

  facts.last_metric_seq = 1001;
  RetentionCut cut = Retain(policy, facts, kNow);
  EXPECT_EQ(cut.kept.first_metric_seq, 12) << "990 stay";
  EXPECT_THAT(cut.reasons, ElementsAre(HasSubstr("metric points up to number 11")));
  EXPECT_THAT(cut.limits, ElementsAre("points_per_job"));

  facts.kept = cut.kept;
  facts.last_metric_seq = 1011;
  EXPECT_EQ(Retain(policy, facts, kNow).kept.first_metric_seq, 12) << "1000 are allowed";
}

TEST(RetentionTest, LogsAreRotatedBySize) {
  RetentionPolicy policy;
  policy.log_bytes_per_job = 1600;
  RetentionFacts facts;
  for (int64_t seq = 1; seq <= 100; ++seq) {
    NoteLogs(policy, seq, 20, kNow, &facts.kept);
    facts.last_log_seq = seq;
    const RetentionCut cut = Retain(policy, facts, kNow);
    EXPECT_EQ(cut.reasons.empty(), cut.kept == facts.kept);
    facts.kept = cut.kept;
    int64_t bytes = 0;
    for (const cluster::LogSegment& segment : facts.kept.log_segments) {
      bytes += segment.bytes;
    }
    EXPECT_LE(bytes, 1600);
    EXPECT_EQ(bytes, 20 * (seq - facts.kept.first_log_seq + 1)) << "segments count what is kept";
  }

  EXPECT_GT(facts.kept.first_log_seq, 20);
  EXPECT_LT(facts.kept.first_log_seq, 31) << "not more than a segment too much";
}

TEST(RetentionTest, LogsOfALiveJobGoByAgeToo) {
  RetentionPolicy policy;
  RetentionFacts facts;
  for (int day = 0; day < 60; ++day) {
    const absl::Time now = kNow + day * kDay;
    facts.last_log_seq = day + 1;
    NoteLogs(policy, facts.last_log_seq, 100, now, &facts.kept);
    facts.kept = Retain(policy, facts, now).kept;
  }

  const int64_t kept_days = facts.last_log_seq - facts.kept.first_log_seq + 1;
  EXPECT_GE(kept_days, 30);
  EXPECT_LE(kept_days, 33);
}

TEST(RetentionTest, OldLogsOfAnEndedJobGoToTheLastLine) {
  RetentionFacts facts = Ended(31 * kDay);
  NoteLogs({}, 500, 1000, kNow - 31 * kDay, &facts.kept);
  facts.last_log_seq = 500;
  facts.last_metric_seq = 100;

  const RetentionCut cut = Retain({}, facts, kNow);

  EXPECT_EQ(cut.kept.first_log_seq, 501);
  EXPECT_THAT(cut.kept.log_segments, IsEmpty());
  EXPECT_EQ(cut.kept.first_metric_seq, 1) << "points stay";
  EXPECT_THAT(cut.reasons, ElementsAre(HasSubstr("older than 30 days")));
}

TEST(RetentionTest, LinesAfterACutAreCountedFromTheNextNumber) {
  cluster::KeptTelemetry kept;
  kept.first_log_seq = 501;

  NoteLogs({}, 502, 10, kNow, &kept);

  ASSERT_EQ(kept.log_segments.size(), 1u);
  EXPECT_EQ(kept.log_segments[0].first_seq, 501);
}

TEST(RetentionTest, ForSpaceAllTelemetryOfAJobGoes) {
  RetentionFacts facts = Ended(kDay);
  facts.last_metric_seq = 7;
  facts.last_log_seq = 3;

  const RetentionCut cut = CutForSpace({}, facts, int64_t{60} << 30);

  EXPECT_EQ(cut.kept.first_metric_seq, 8);
  EXPECT_EQ(cut.kept.first_log_seq, 4);
  EXPECT_THAT(cut.reasons, ElementsAre(HasSubstr("may have 51200")));
}

}  // namespace
}  // namespace g2ll::coordinator
