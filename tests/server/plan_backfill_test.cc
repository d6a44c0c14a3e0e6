#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/scheduler/backfill.h"
#include "tests/server/plan_fixture.h"
#include "tests/server/plan_simulation.h"

namespace g2ll::scheduler {
namespace {

using cluster::Priority;
using Names = std::vector<std::string>;
using Stops = std::map<std::string, std::string>;

// 4 slots, 2 of them free; the attempt on the others ends in an hour, and `head`
// needs 4.
FakeCluster WithBlockedHead() {
  FakeCluster cluster;
  cluster.AddWorker("a", 4, 4);
  cluster.AddRunning("r", {{"a", 2}}).max_runtime = absl::Hours(2);
  cluster.AddJob("head", 4, 4).queue_time = kNow - absl::Hours(1);
  return cluster;
}

TEST(PlanBackfillTest, TheHeadSaysWhenItCanStart) {
  const FakeCluster cluster = WithBlockedHead();

  const Plan plan = cluster.Next();

  EXPECT_EQ(plan.wait.at(0).estimated_start, kNow + absl::Hours(1));
  EXPECT_EQ(plan.heads.at(0).start, kNow + absl::Hours(1));
  EXPECT_EQ(cluster.NextNamed().messages.at("head"),
            "needs 4 slots with device cpu; 2 slots are free of 4; can start at about "
            "1970-01-12T14:46:40Z");
}

TEST(PlanBackfillTest, AJobThatEndsBeforeTheHeadCanStartGoesFirst) {
  FakeCluster cluster = WithBlockedHead();
  cluster.AddJob("short", 1, 1).max_runtime = absl::Minutes(60);
  cluster.AddJob("long", 1, 1).max_runtime = absl::Minutes(61);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_TRUE(plan.start.contains("short"));
  EXPECT_EQ(plan.codes.at("long"), "WAITING_BEHIND");
}

TEST(PlanBackfillTest, SlotsThatTheHeadWillNotNeedAreFree) {
  FakeCluster cluster = WithBlockedHead();
  cluster.Job("head").sizes = {3, 3, 3};
  cluster.AddJob("one", 1, 1);
  cluster.AddJob("two", 1, 1);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_TRUE(plan.start.contains("one"));  // 4 slots will be free then, and the head needs 3.
  EXPECT_EQ(plan.codes.at("two"), "WAITING_BEHIND");
}

TEST(PlanBackfillTest, AnElasticJobShrinksIntoTheSpareSlots) {
  FakeCluster cluster = WithBlockedHead();
  cluster.Job("head").sizes = {3, 3, 3};
  cluster.AddJob("elastic", 1, 2);

  EXPECT_EQ(cluster.NextNamed().start.at("elastic"), Names{"a"});
}

TEST(PlanBackfillTest, WorkersThatTheHeadCannotUseAreNotReserved) {
  FakeCluster cluster = WithBlockedHead();
  cluster.AddWorker("b", 2, 2);
  cluster.Job("head").excluded_workers = {cluster.Worker("b")};
  cluster.AddJob("small", 1, 2);

  EXPECT_EQ(cluster.NextNamed().start.at("small"), (Names{"b", "b"}));
}

TEST(PlanBackfillTest, AnAttemptWithoutAnyEstimateNeverEnds) {
  FakeCluster cluster = WithBlockedHead();
  cluster.snapshot.running[0].max_runtime = absl::InfiniteDuration();
  cluster.AddJob("short", 1, 1).max_runtime = absl::Seconds(1);
  cluster.AddJob("gentle", 1, 1).preemptible = true;

  const Plan plan = cluster.Next();

  EXPECT_EQ(plan.heads.at(0).start, absl::InfiniteFuture());
  const NamedPlan named = cluster.InNames(plan);
  EXPECT_EQ(named.codes.at("short"), "WAITING_BEHIND");
  ASSERT_TRUE(named.start.contains("gentle"));
  EXPECT_TRUE(plan.start.at(0).recallable);
}

TEST(PlanBackfillTest, EqualSpecsAndOwnEstimatesTellTheEndOfAnAttempt) {
  RunningJob attempt;
  attempt.start_time = kNow - absl::Minutes(10);
  EXPECT_EQ(ExpectedEnd(attempt, kNow), absl::InfiniteFuture());

  attempt.learned_runtime = absl::Minutes(30);
  EXPECT_EQ(ExpectedEnd(attempt, kNow), kNow + absl::Minutes(20));
  attempt.expected_end = kNow + absl::Minutes(5);
  EXPECT_EQ(ExpectedEnd(attempt, kNow), kNow + absl::Minutes(5));
  attempt.max_runtime = absl::Minutes(12);
  EXPECT_EQ(ExpectedEnd(attempt, kNow), kNow + absl::Minutes(2));

  // What has passed says nothing; the limit remains.
  attempt.expected_end = kNow - absl::Minutes(1);
  attempt.max_runtime = absl::Hours(1);
  EXPECT_EQ(ExpectedEnd(attempt, kNow), kNow + absl::Minutes(50));
}

TEST(PlanBackfillTest, AfterTenMinutesGuessesDoNotCountAnyMore) {
  FakeCluster cluster = WithBlockedHead();
  cluster.AddJob("gentle", 1, 1).preemptible = true;
  cluster.AddJob("guessed", 1, 1).learned_runtime = absl::Minutes(1);
  cluster.Job("head").blocked_since = kNow - absl::Minutes(10) + absl::Seconds(1);
  NamedPlan plan = cluster.NextNamed();
  EXPECT_TRUE(plan.start.contains("gentle"));
  EXPECT_TRUE(plan.start.contains("guessed"));

  cluster.Job("head").blocked_since = kNow - absl::Minutes(10);
  cluster.AddJob("limited", 1, 1).max_runtime = absl::Minutes(1);
  plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes.at("gentle"), "WAITING_BEHIND");
  EXPECT_EQ(plan.codes.at("guessed"), "WAITING_BEHIND");
  EXPECT_TRUE(plan.start.contains("limited"));
}

TEST(PlanBackfillTest, ABlockedHeadRemembersSinceWhen) {
  FakeCluster cluster = WithBlockedHead();
  EXPECT_EQ(cluster.Next().heads.at(0).since, kNow);

  cluster.Job("head").blocked_since = kNow - absl::Minutes(3);
  EXPECT_EQ(cluster.Next().heads.at(0).since, kNow - absl::Minutes(3));
}

TEST(PlanBackfillTest, TheHeadRecallsWhatWentBeforeIt) {
  FakeCluster cluster = WithBlockedHead();
  cluster.snapshot.running.clear();
  cluster.snapshot.workers[0].free_slots = 4;
  RunningJob& young = cluster.AddRunning("young", {{"a", 2}});
  young.recallable = true;
  young.start_time = kNow - absl::Seconds(1);  // Not protected: that was the condition.
  young.queue_time = kNow - absl::Minutes(30);

  EXPECT_EQ(cluster.NextNamed().stop, (Stops{{"young", "head"}}));
  cluster.snapshot.running[0].queue_time = kNow - absl::Hours(2);  // It is older than the head.
  EXPECT_TRUE(cluster.NextNamed().stop.empty());
}

TEST(PlanBackfillTest, ALargeGangIsNotStarvedByAnEndlessStreamOfSmallJobs) {
  for (const bool preemptible : {true, false}) {
    for (const absl::Duration limit : {absl::Minutes(6), absl::InfiniteDuration()}) {
      SCOPED_TRACE(absl::StrCat(preemptible, " ", absl::FormatDuration(limit)));
      Simulation simulation({4, 4});
      int32_t number = 0;
      const auto submit_small = [&] {
        simulation.Submit({.name = absl::StrCat("small", number++),
                           .work = absl::Minutes(5) + absl::Seconds(number % 7),
                           .preemptible = preemptible,
                           .max_runtime = limit});
      };
      for (int i = 0; i < 16; ++i) {
        submit_small();
      }
      simulation.Run(absl::Minutes(2));
      simulation.Submit({.name = "large", .min_ranks = 8, .max_ranks = 8});
      for (int i = 0; i < 60 * 6 && !simulation.HasStarted("large"); ++i) {
        submit_small();
        submit_small();
        simulation.Run(absl::Seconds(30));
      }

      // Whoever ran or stood before it, at most two rounds of 5 minutes and the stop.
      EXPECT_LE(simulation.WaitOf("large"), absl::Minutes(12));
    }
  }
}

TEST(PlanBackfillTest, NoTwoJobsRecallEachOther) {
  Simulation simulation({4});
  simulation.Submit({.name = "long", .work = absl::Minutes(40)});
  simulation.Run(absl::Seconds(1));
  simulation.Submit({.name = "head", .min_ranks = 4, .max_ranks = 4});
  for (int i = 0; i < 6; ++i) {
    simulation.Submit({.name = absl::StrCat("small", i), .work = absl::Minutes(50)});
  }
  simulation.Run(absl::Hours(4));

  EXPECT_EQ(simulation.StopsOf("head"), 0);
  EXPECT_EQ(simulation.StopsOf("long"), 0);
  EXPECT_EQ(simulation.stops(), 3);  // Each of the three that went before the head, once.
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(simulation.HasEnded(absl::StrCat("small", i)));
  }
}

TEST(PlanBackfillTest, PrioritiesDoNotPreemptInACircle) {
  Simulation simulation({2, 2});
  int32_t number = 0;
  for (const Priority priority : {Priority::kLow, Priority::kNormal, Priority::kHigh}) {
    for (int32_t ranks = 1; ranks <= 4; ++ranks) {
      simulation.Submit({.name = absl::StrCat("j", number++),
                         .project = absl::StrCat("p", number % 2),
                         .priority = priority,
                         .min_ranks = ranks,
                         .max_ranks = ranks,
                         .work = absl::Minutes(20)});
      simulation.Run(absl::Minutes(7));
    }
  }
  simulation.Run(absl::Hours(6));

  for (int32_t i = 0; i < number; ++i) {
    EXPECT_TRUE(simulation.HasEnded(absl::StrCat("j", i))) << i;
    // Only later arrivals of higher priority can stop it: at most 8.
    EXPECT_LE(simulation.StopsOf(absl::StrCat("j", i)), 8) << i;
  }
}

}  // namespace
}  // namespace g2ll::scheduler
