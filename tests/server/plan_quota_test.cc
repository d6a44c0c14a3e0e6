#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/plan_fixture.h"
#include "tests/server/plan_simulation.h"

namespace g2ll::scheduler {
namespace {

using cluster::Priority;
using Names = std::vector<std::string>;
using Stops = std::map<std::string, std::string>;

// 8 slots, 4 of which project p uses.
FakeCluster HalfUsed() {
  FakeCluster cluster;
  cluster.AddWorker("a", 8, 8);
  cluster.AddRunning("r", {{"a", 4}});
  return cluster;
}

TEST(PlanQuotaTest, AProjectStaysBelowItsSlots) {
  FakeCluster cluster = HalfUsed();
  cluster.snapshot.projects[0].quota.max_running_slots = 6;
  cluster.AddJob("j", 3, 3);
  cluster.AddJob("k", 2, 2);
  cluster.AddJob("l", 1, 1);
  cluster.AddJob("other", 2, 2, 0, "q");

  NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes["j"], "QUOTA_EXCEEDED");
  EXPECT_EQ(plan.messages["j"], "needs 3 slots; project p runs 4 of at most 6");
  EXPECT_TRUE(plan.start.contains("k"));  // j waits for its project and blocks nobody.
  EXPECT_EQ(plan.messages["l"], "needs 1 slot; project p runs 6 of at most 6");
  EXPECT_TRUE(plan.start.contains("other"));
}

TEST(PlanQuotaTest, AnElasticJobTakesWhatTheQuotaLeaves) {
  FakeCluster cluster = HalfUsed();
  cluster.snapshot.projects[0].quota.max_running_slots = 6;
  cluster.AddJob("j", 1, 4);

  EXPECT_EQ(cluster.NextNamed().start.at("j"), (Names{"a", "a"}));
}

TEST(PlanQuotaTest, AProjectRunsOnlySoManyJobs) {
  FakeCluster cluster = HalfUsed();
  cluster.snapshot.projects[0].quota.max_running_jobs = 1;
  cluster.AddJob("j", 1, 1);

  NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes["j"], "QUOTA_EXCEEDED");
  EXPECT_EQ(plan.messages["j"], "project p runs 1 jobs of at most 1");
}

TEST(PlanQuotaTest, ABudgetOfSlotHoursEnds) {
  FakeCluster cluster = HalfUsed();
  cluster.snapshot.projects[0].quota.max_slot_hours = 100;
  cluster.snapshot.projects[0].used_slot_hours = 99.5;
  cluster.AddJob("j", 1, 1);
  EXPECT_TRUE(cluster.NextNamed().start.contains("j"));

  cluster.snapshot.projects[0].used_slot_hours = 100.5;
  EXPECT_EQ(cluster.NextNamed().messages.at("j"),
            "project p has used 100.5 slot-hours of its budget of 100");
}

TEST(PlanQuotaTest, HeldJobsAndHeldQueuesDoNotStart) {
  FakeCluster cluster = HalfUsed();
  cluster.snapshot.queues = {{"night", "p", /*held=*/true, "maintenance"}, {"default", "p"}};
  PendingJob& held = cluster.AddJob("held", 1, 1);
  held.held = true;
  held.held_for = "5 starts failed in a row";
  cluster.AddJob("queued", 1, 1).queue = 0;
  cluster.AddJob("free", 1, 1).queue = 1;

  NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes["held"], "HELD");
  EXPECT_EQ(plan.messages["held"], "held: 5 starts failed in a row");
  EXPECT_EQ(plan.codes["queued"], "QUEUE_HELD");
  EXPECT_EQ(plan.messages["queued"], "queue night is held: maintenance");
  EXPECT_TRUE(plan.start.contains("free"));
}

// Project q has used all 8 slots, half of them beyond its guarantee of 4; p has a
// guarantee of 4 and nothing.
FakeCluster Borrowed() {
  FakeCluster cluster;
  cluster.AddWorker("a", 8, 8);
  for (int i = 0; i < 4; ++i) {
    cluster.AddRunning(absl::StrCat("q", i), {{"a", 2}}, "q").start_time =
        kNow - absl::Hours(1) + absl::Minutes(i);
  }
  cluster.snapshot.projects[cluster.Project("q")].quota.guaranteed_slots = 4;
  cluster.snapshot.projects[cluster.Project("p")].quota.guaranteed_slots = 4;
  return cluster;
}

TEST(PlanQuotaTest, AProjectTakesItsGuaranteeBackFromWhoBorrowedIt) {
  FakeCluster cluster = Borrowed();
  cluster.AddJob("j", 2, 2);

  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"q3", "j"}}));
  cluster.Job("j").sizes = {4, 4, 4};
  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"q3", "j"}, {"q2", "j"}}));
}

TEST(PlanQuotaTest, NobodyTakesMoreThanItsGuaranteeOrFromAnotherOne) {
  FakeCluster cluster = Borrowed();
  cluster.AddJob("too-much", 5, 5);
  EXPECT_TRUE(cluster.NextNamed().stop.empty());

  cluster.Job("too-much").sizes = {4, 4, 4};
  cluster.snapshot.projects[cluster.Project("q")].quota.guaranteed_slots = 6;
  EXPECT_TRUE(cluster.NextNamed().stop.empty());  // Only 2 of 8 slots are borrowed.
}

TEST(PlanQuotaTest, BorrowedWorkIsStoppedEvenIfItIsNotPreemptibleButNotInItsFirstMinutes) {
  FakeCluster cluster = Borrowed();
  for (RunningJob& attempt : cluster.snapshot.running) {
    attempt.preemptible = false;
  }
  cluster.AddJob("j", 2, 2);
  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"q3", "j"}}));

  for (RunningJob& attempt : cluster.snapshot.running) {
    attempt.start_time = kNow;
  }
  EXPECT_TRUE(cluster.NextNamed().stop.empty());
}

TEST(PlanQuotaTest, BorrowedWorkOfHigherPriorityStays) {
  FakeCluster cluster = Borrowed();
  for (RunningJob& attempt : cluster.snapshot.running) {
    attempt.priority = Priority::kHigh;
  }
  cluster.AddJob("j", 2, 2);

  EXPECT_TRUE(cluster.NextNamed().stop.empty());
}

TEST(PlanQuotaTest, AGuaranteeHoldsBehindAReservationToo) {
  FakeCluster cluster = Borrowed();
  cluster.AddJob("head", 8, 8, 0, "q").queue_time = kNow - absl::Hours(1);
  cluster.AddJob("j", 2, 2);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes.at("head"), "WAITING_FOR_SLOTS");
  EXPECT_EQ(plan.stop, (Stops{{"q3", "j"}}));
}

TEST(PlanQuotaTest, BorrowedWorkGoesBeforeOtherWorkOfLowerPriority) {
  FakeCluster cluster = Borrowed();
  for (RunningJob& attempt : cluster.snapshot.running) {
    attempt.priority = Priority::kLow;
  }
  cluster.AddRunning("own", {{"a", 0}}).places = {{0, 2}};
  cluster.snapshot.running.back().priority = Priority::kLow;
  cluster.snapshot.running.back().start_time = kNow - absl::Minutes(6);
  cluster.AddJob("j", 2, 2);

  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"q3", "j"}}));  // Though `own` has lost less.
}

TEST(PlanQuotaTest, TwoProjectsDoNotTakeTheirGuaranteesInTurn) {
  Simulation simulation({8});
  simulation.projects["p"].quota.guaranteed_slots = 4;
  simulation.projects["q"].quota.guaranteed_slots = 4;
  for (int i = 0; i < 6; ++i) {
    simulation.Submit({.name = absl::StrCat("q", i),
                       .project = "q",
                       .min_ranks = 2,
                       .max_ranks = 2,
                       .work = absl::Hours(3)});
  }
  simulation.Run(absl::Minutes(10));
  for (int i = 0; i < 6; ++i) {
    simulation.Submit({.name = absl::StrCat("p", i),
                       .project = "p",
                       .min_ranks = 2,
                       .max_ranks = 2,
                       .work = absl::Hours(3)});
  }
  simulation.Run(absl::Minutes(20));

  EXPECT_EQ(simulation.stops(), 2);
  EXPECT_EQ(simulation.running_slots(), 8);
  simulation.Run(absl::Hours(2));
  EXPECT_EQ(simulation.stops(), 2);
}

}  // namespace
}  // namespace g2ll::scheduler
