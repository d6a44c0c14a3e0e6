#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/scheduler/fair_share.h"
#include "tests/server/plan_fixture.h"
#include "tests/server/plan_simulation.h"

namespace g2ll::scheduler {
namespace {

using Names = std::vector<std::string>;

TEST(FairShareTest, UseCountsHalfAfterAHalfLife) {
  const FairShareOptions options;
  const Usage usage{800, kNow};

  EXPECT_DOUBLE_EQ(Decayed(usage, kNow + absl::Hours(24 * 7), options).slot_seconds, 400);
  EXPECT_DOUBLE_EQ(Decayed(usage, kNow + absl::Hours(24 * 21), options).slot_seconds, 100);
  EXPECT_EQ(Decayed(usage, kNow - absl::Hours(1), options), usage);
}

TEST(FairShareTest, ChargingInManyStepsIsChargingInOne) {
  const FairShareOptions options;
  Usage steps{1000, kNow};
  for (int i = 1; i <= 100; ++i) {
    steps = Charged(steps, 8, kNow + absl::Hours(i), options);
  }

  const Usage once = Charged({1000, kNow}, 8, kNow + absl::Hours(100), options);

  EXPECT_NEAR(steps.slot_seconds, once.slot_seconds, 1e-6 * once.slot_seconds);
  EXPECT_LT(once.slot_seconds, 1000 + 8 * 100 * 3600.0);  // What ran first has decayed.
  EXPECT_GT(once.slot_seconds, 8 * 100 * 3600 * 0.7);
}

TEST(FairShareTest, AShortUseIsAboutSlotsTimesSeconds) {
  const Usage usage = Charged({0, kNow}, 4, kNow + absl::Seconds(10), {});

  EXPECT_NEAR(usage.slot_seconds, 40, 0.001);
  EXPECT_EQ(usage.as_of, kNow + absl::Seconds(10));
}

TEST(FairShareTest, APlacementIsChargedInAdvance) {
  EXPECT_DOUBLE_EQ(ChargedForEntry({5, kNow}, 2, kNow, {}).slot_seconds, 5 + 2 * 600);
}

TEST(PlanOrderTest, TheProjectThatUsedLessByWeightComesFirst) {
  FakeCluster cluster;
  cluster.AddJob("old", 1, 1, 0, "big").queue_time = kNow - absl::Hours(1);
  cluster.AddJob("new", 1, 1, 0, "small");
  cluster.AddJob("high", 1, 1, 0, "big").priority = cluster::Priority::kHigh;
  cluster.snapshot.projects[0].used_slot_seconds = 1000;
  cluster.snapshot.projects[1].used_slot_seconds = 600;

  EXPECT_EQ(cluster.NextNamed().order, (Names{"high", "new", "old"}));
  cluster.snapshot.projects[0].weight = 2;
  EXPECT_EQ(cluster.NextNamed().order, (Names{"high", "old", "new"}));
}

TEST(PlanOrderTest, ProjectsWithEqualUseTakeTurnsByQueueTime) {
  FakeCluster cluster;
  for (int i = 0; i < 6; ++i) {
    cluster.AddJob(absl::StrCat("j", i), 1, 1, 0, absl::StrCat("p", i % 2)).queue_time =
        kNow + absl::Seconds(i);
  }

  EXPECT_EQ(cluster.NextNamed().order, (Names{"j0", "j1", "j2", "j3", "j4", "j5"}));
}

TEST(PlanOrderTest, ABurstDoesNotTakeAllSlotsAtOnce) {
  FakeCluster cluster;
  cluster.AddWorker("a", 4, 4);
  for (int i = 0; i < 10; ++i) {
    cluster.AddJob(absl::StrCat("burst", i), 1, 1, 0, "burst").queue_time = kNow - absl::Hours(1);
  }
  cluster.AddJob("x1", 1, 1, 0, "other");
  cluster.AddJob("x2", 1, 1, 0, "other");

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.start.size(), 4u);
  EXPECT_TRUE(plan.start.contains("x1"));
  EXPECT_TRUE(plan.start.contains("x2"));
}

}  // namespace
}  // namespace g2ll::scheduler
