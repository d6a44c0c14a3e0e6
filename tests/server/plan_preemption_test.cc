#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/server/plan_fixture.h"

namespace g2ll::scheduler {
namespace {

using cluster::Priority;
using Names = std::vector<std::string>;
using Stops = std::map<std::string, std::string>;

// One worker with 4 slots; `ranks` of them run a low-priority attempt each.
FakeCluster FullOfLowPriority(const std::vector<int32_t>& ranks) {
  FakeCluster cluster;
  cluster.AddWorker("a", 4, 4);
  for (size_t i = 0; i < ranks.size(); ++i) {
    cluster.AddRunning("r" + std::to_string(i), {{"a", ranks[i]}}).priority = Priority::kLow;
  }
  return cluster;
}

TEST(PlanPreemptionTest, AHigherPriorityStopsAsFewAsItNeeds) {
  FakeCluster cluster = FullOfLowPriority({1, 2});
  cluster.AddJob("j", 3, 3);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.stop, (Stops{{"r1", "j"}})) << "r0, chosen first, goes on: r1 suffices";
  EXPECT_EQ(plan.codes.at("j"), "WAITING_FOR_PREEMPTION");
  EXPECT_EQ(plan.messages.at("j"),
            "needs 3 slots with device cpu; 2 slots are being freed for it by attempts that were "
            "asked to stop");
  EXPECT_EQ(plan.holds.at("j"), (Names{"a", "a", "a"}));
}

TEST(PlanPreemptionTest, EqualPriorityStopsNobody) {
  FakeCluster cluster = FullOfLowPriority({2, 2});
  cluster.AddJob("j", 2, 2).priority = Priority::kLow;

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_TRUE(plan.stop.empty());
  EXPECT_EQ(plan.codes.at("j"), "WAITING_FOR_SLOTS");
}

TEST(PlanPreemptionTest, LowestPriorityGoesFirstThenTheLeastLostWork) {
  FakeCluster cluster;
  cluster.AddWorker("a", 3, 3);
  cluster.AddRunning("normal", {{"a", 1}}).checkpoint_time = kNow;
  cluster.AddRunning("low-unsaved", {{"a", 1}}).priority = Priority::kLow;
  RunningJob& saved = cluster.AddRunning("low-saved", {{"a", 1}});
  saved.priority = Priority::kLow;
  saved.checkpoint_time = kNow - absl::Seconds(10);
  cluster.AddJob("j", 1, 1).priority = Priority::kHigh;

  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"low-saved", "j"}}));
  cluster.Job("j").sizes = {2, 2, 2};
  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"low-saved", "j"}, {"low-unsaved", "j"}}));
}

TEST(PlanPreemptionTest, LostWorkCountsAllRanks) {
  FakeCluster cluster;
  cluster.AddWorker("a", 5, 5);
  RunningJob& wide = cluster.AddRunning("wide", {{"a", 4}});
  wide.priority = Priority::kLow;
  wide.start_time = kNow - absl::Minutes(20);
  RunningJob& narrow = cluster.AddRunning("narrow", {{"a", 1}});
  narrow.priority = Priority::kLow;
  narrow.start_time = kNow - absl::Minutes(60);
  cluster.AddJob("j", 1, 1);

  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"narrow", "j"}}));  // 60 slot-minutes, not 80
}

TEST(PlanPreemptionTest, AYoungAttemptIsProtected) {
  FakeCluster cluster = FullOfLowPriority({4});
  cluster.snapshot.running[0].start_time = kNow - absl::Minutes(5) + absl::Seconds(1);
  cluster.AddJob("j", 1, 1);

  EXPECT_TRUE(cluster.NextNamed().stop.empty());
  EXPECT_EQ(cluster.NextNamed(kNow + absl::Seconds(1)).stop, (Stops{{"r0", "j"}}));
}

TEST(PlanPreemptionTest, AnAttemptThatIsNotPreemptibleStays) {
  FakeCluster cluster = FullOfLowPriority({4});
  cluster.snapshot.running[0].preemptible = false;
  cluster.AddJob("j", 1, 1);

  EXPECT_TRUE(cluster.NextNamed().stop.empty());
}

TEST(PlanPreemptionTest, NobodyStopsForAJobThatWouldNotFitAllTheSame) {
  FakeCluster cluster = FullOfLowPriority({1, 1});
  cluster.AddRunning("high", {{"a", 2}}).priority = Priority::kHigh;
  cluster.AddJob("j", 3, 3);

  EXPECT_TRUE(cluster.NextNamed().stop.empty());
}

TEST(PlanPreemptionTest, NobodyStopsWhileEnoughSlotsComeFree) {
  FakeCluster cluster = FullOfLowPriority({2, 2});
  cluster.snapshot.running[0].stopping = true;
  cluster.AddJob("j", 2, 2);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_TRUE(plan.stop.empty());
  EXPECT_EQ(plan.messages.at("j"),
            "needs 2 slots with device cpu; 0 slots are free of 4; can start at about "
            "1970-01-12T13:48:40Z; 2 slots will come free soon");
}

TEST(PlanPreemptionTest, OnlyAttemptsOnWorkersThatHelpAreStopped) {
  FakeCluster cluster;
  cluster.AddWorker("bad", 1, 1);
  cluster.AddWorker("good", 1, 1);
  cluster.AddRunning("on-bad", {{"bad", 1}}).priority = Priority::kLow;
  RunningJob& on_good = cluster.AddRunning("on-good", {{"good", 1}});
  on_good.priority = Priority::kLow;
  on_good.start_time = kNow - absl::Hours(9);
  cluster.AddJob("j", 1, 1).excluded_workers = {cluster.Worker("bad")};

  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"on-good", "j"}}));
}

// What the next cycle sees when attempts were asked to stop for `j`.
FakeCluster WhileSlotsAreFreed() {
  FakeCluster cluster = FullOfLowPriority({2, 2});
  cluster.AddJob("j", 2, 2);
  cluster.snapshot.holds = {cluster.Next().holds.at(0).hold};
  cluster.Job("j").hold = 0;
  cluster.snapshot.running[0].stopping = true;
  return cluster;
}

TEST(PlanPreemptionTest, FreedSlotsAreHeldForTheJobThatAskedForThem) {
  FakeCluster cluster = WhileSlotsAreFreed();
  PendingJob& urgent = cluster.AddJob("urgent", 2, 2);
  urgent.priority = Priority::kHigh;
  cluster.snapshot.running[0].stopping = false;  // It has ended:
  cluster.snapshot.running.erase(cluster.snapshot.running.begin());
  cluster.snapshot.workers[0].free_slots = 2;

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.start.at("j"), (Names{"a", "a"}));
  EXPECT_EQ(plan.stop, (Stops{{"r1", "urgent"}}));
}

TEST(PlanPreemptionTest, AJobThatWaitsForItsSlotsKeepsItsHoldAndBlocksNobody) {
  FakeCluster cluster = WhileSlotsAreFreed();
  cluster.AddWorker("b", 1, 1);
  cluster.AddJob("k", 1, 1);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_TRUE(plan.stop.empty());
  EXPECT_EQ(plan.codes.at("j"), "WAITING_FOR_PREEMPTION");
  EXPECT_EQ(plan.holds.at("j"), (Names{"a", "a"}));
  EXPECT_EQ(plan.start.at("k"), Names{"b"});
}

TEST(PlanPreemptionTest, AHoldEndsWithItsTimeAndWithItsWorker) {
  FakeCluster cluster = WhileSlotsAreFreed();
  EXPECT_EQ(cluster.snapshot.holds[0].until, kNow + absl::Minutes(2) + cluster.policy.hold_slack);

  EXPECT_TRUE(cluster.NextNamed(cluster.snapshot.holds[0].until).holds.empty());
  cluster.snapshot.workers[0].ready = false;
  EXPECT_TRUE(cluster.NextNamed().holds.empty());
}

}  // namespace
}  // namespace g2ll::scheduler
