#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/plan_fixture.h"

namespace g2ll::scheduler {
namespace {

using Names = std::vector<std::string>;

TEST(WorldSizesTest, AreTheDivisorsOfTheGlobalBatch) {
  EXPECT_EQ((WorldSizes{1, 8, 12}.Largest(8)), 6);
  EXPECT_EQ((WorldSizes{1, 8, 12}.Largest(5)), 4);
  EXPECT_EQ((WorldSizes{5, 8, 12}.Largest(5)), 0);
  EXPECT_EQ((WorldSizes{5, 8, 12}.Smallest()), 6);
  EXPECT_EQ((WorldSizes{3, 3, 16}.Smallest()), 0);
  EXPECT_EQ((WorldSizes{1, 64, 4}.Largest(64)), 4);
}

TEST(PlanNextTest, TakesTheLargestWorldSizeThatFits) {
  FakeCluster cluster;
  cluster.AddWorker("a", 4, 3);
  cluster.AddJob("j", 1, 4, 8);

  EXPECT_EQ(cluster.NextNamed().start["j"], (Names{"a", "a"}));  // 3 does not divide 8
}

TEST(PlanNextTest, KeepsAGangOnOneWorkerWhereItHasTheLeastToSpare) {
  FakeCluster cluster;
  cluster.AddWorker("a", 4, 4);
  cluster.AddWorker("b", 4, 2);
  cluster.AddWorker("c", 4, 3);
  cluster.AddJob("j", 2, 2);

  EXPECT_EQ(cluster.NextNamed().start["j"], (Names{"b", "b"}));
}

TEST(PlanNextTest, SpreadsOverTheFewestWorkersAndEndsWhereTheLeastIsLeft) {
  FakeCluster cluster;
  cluster.AddWorker("a", 4, 2);
  cluster.AddWorker("b", 8, 6);
  cluster.AddWorker("c", 8, 5);
  cluster.AddJob("j", 8, 8);

  EXPECT_EQ(cluster.NextNamed().start["j"], (Names{"b", "b", "b", "b", "b", "b", "a", "a"}));
}

TEST(PlanNextTest, OneRankGoesToAWorkerThatIsInUse) {
  FakeCluster cluster;
  cluster.AddWorker("a", 1, 1);
  cluster.AddWorker("b", 8, 5);
  cluster.AddJob("j", 1, 1);

  EXPECT_EQ(cluster.NextNamed().start["j"], Names{"b"});
}

TEST(PlanNextTest, HigherPriorityThenOlderThenNameComesFirst) {
  FakeCluster cluster;
  cluster.AddJob("b", 1, 1);
  cluster.AddJob("a", 1, 1);
  cluster.AddJob("c-old", 1, 1).queue_time = kNow - absl::Seconds(9);
  cluster.AddJob("z-high", 1, 1).priority = cluster::Priority::kHigh;

  EXPECT_EQ(cluster.NextNamed().order, (Names{"z-high", "c-old", "a", "b"}));
}

TEST(PlanNextTest, SmallJobsDoNotOvertakeABlockedGang) {
  FakeCluster cluster;
  cluster.AddWorker("a", 4, 2);
  cluster.AddJob("a-big", 4, 4);
  cluster.AddJob("b-small", 1, 1);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_TRUE(plan.start.empty());
  EXPECT_EQ(plan.codes.at("a-big"), "WAITING_FOR_SLOTS");
  EXPECT_EQ(plan.codes.at("b-small"), "WAITING_BEHIND");
}

TEST(PlanNextTest, AGangThatCanNeverFitBlocksNobody) {
  FakeCluster cluster;
  cluster.AddWorker("a", 2, 2);
  cluster.AddJob("a-huge", 8, 8);
  cluster.AddJob("b-small", 1, 1);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes.at("a-huge"), "TOO_FEW_SLOTS");
  EXPECT_TRUE(plan.start.contains("b-small"));
}

TEST(PlanNextTest, AutoIsCudaWhereEnoughSlotsHaveItEvenIfTheyAreBusy) {
  FakeCluster cluster;
  cluster.AddWorker("cpu", 4, 4);
  cluster.AddWorker("gpu", 2, 0).device = cluster::Device::kCuda;
  cluster.AddJob("two", 2, 2);
  cluster.AddJob("three", 3, 3);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes.at("two"), "WAITING_FOR_SLOTS");
  EXPECT_EQ(plan.start.at("three"), (Names{"cpu", "cpu", "cpu"}));
}

TEST(PlanNextTest, AWorkerThatFailedAJobIsNotUsedForItAgain) {
  FakeCluster cluster;
  cluster.AddWorker("bad", 2, 2);
  cluster.AddWorker("good", 2, 2);
  cluster.AddJob("j", 1, 2).excluded_workers = {cluster.Worker("bad")};

  EXPECT_EQ(cluster.NextNamed().start.at("j"), (Names{"good", "good"}));
}

TEST(PlanNextTest, AJobThatOnlyFitsOnItsExcludedWorkersSaysSo) {
  FakeCluster cluster;
  cluster.AddWorker("bad", 2, 2);
  cluster.AddWorker("good", 2, 2);
  cluster.AddJob("j", 3, 3).excluded_workers = {cluster.Worker("bad")};
  cluster.AddJob("other", 4, 4);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes.at("j"), "EXCLUDED_WORKERS");
  EXPECT_EQ(plan.messages.at("j"),
            "needs 3 slots with device cpu, but without the workers that failed it (bad) there are "
            "only 2");
  EXPECT_TRUE(plan.start.contains("other"));  // It does not wait behind the one that cannot run.
}

TEST(PlanNextTest, ReasonsHoldTheNumbers) {
  FakeCluster cluster;
  cluster.AddWorker("a", 2, 1).unknown_slots = 1;
  cluster.AddJob("b", 2, 2);
  cluster.AddJob("c", 1, 1);
  cluster.AddJob("d", 3, 3, 4);
  cluster.AddJob("e", 1, 1).cpus_per_rank = 16;
  cluster.AddJob("f", 1, 1).unmet_dependencies = {{"x", cluster::JobState::kRunning},
                                                  {"y", cluster::JobState::kPending}};

  NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.messages["b"],
            "needs 2 slots with device cpu; 1 slot is free of 2; 1 may still be in use by ranks "
            "that were given up");
  EXPECT_EQ(plan.codes["c"], "WAITING_BEHIND");
  EXPECT_EQ(plan.messages["c"],
            "needs 1 slot with device cpu; waits behind projects/p/jobs/b, which is next for them; "
            "1 slot is free of 2");
  EXPECT_EQ(plan.codes["d"], "UNSATISFIABLE");
  EXPECT_EQ(plan.messages["d"],
            "train.globalBatch 4 is a multiple of no number of ranks from 3 to 3");
  EXPECT_EQ(plan.codes["e"], "TOO_FEW_CPUS");
  EXPECT_EQ(plan.messages["e"], "asks for 16 CPU cores per rank, but a slot has at most 2");
  EXPECT_EQ(plan.codes["f"], "WAITING_FOR_DEPENDENCY");
  EXPECT_EQ(plan.messages["f"], "waits for job x (RUNNING), job y (PENDING)");
}

TEST(PlanNextTest, WorkersThatAreNotReadyTakeNothing) {
  FakeCluster cluster;
  WorkerView& worker = cluster.AddWorker("a", 2, 2);
  worker.ready = false;
  worker.cordoned = true;
  cluster.AddJob("j", 1, 1);

  NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes["j"], "NO_WORKERS");
  EXPECT_EQ(plan.messages["j"], "needs 1 slot, but none of 1 known workers is ready (1 cordoned)");
}

TEST(PlanNextTest, BackOffSaysWhenItEndsAndWhy) {
  FakeCluster cluster;
  cluster.AddWorker("a", 2, 2);
  PendingJob& job = cluster.AddJob("j", 1, 1);
  job.not_before = kNow + absl::Seconds(60);
  job.last_failure = "attempt 1 broke";

  const Plan plan = cluster.Next();

  ASSERT_EQ(plan.wait.size(), 1u);
  EXPECT_EQ(plan.wait[0].next_try, kNow + absl::Seconds(60));
  EXPECT_EQ(
      ReasonOf(cluster.snapshot, plan.wait[0]),
      (cluster::StateReason{"BACKOFF", "starts again at 1970-01-12T13:47:40Z; attempt 1 broke"}));
  EXPECT_TRUE(cluster.NextNamed(kNow + absl::Seconds(60)).start.contains("j"));
}

}  // namespace
}  // namespace g2ll::scheduler
