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
using Sizes = std::map<std::string, int32_t>;

// One worker with 8 slots; `elastic` runs with 4 ranks and may run with 1 to 8.
FakeCluster WithElastic() {
  FakeCluster cluster;
  cluster.AddWorker("a", 8, 8).free_since = kNow - absl::Seconds(60);
  cluster.AddRunning("elastic", {{"a", 4}}).sizes = {1, 8, 8};
  return cluster;
}

TEST(PlanElasticTest, AnAttemptGrowsWhenSlotsWereIdleForAMinute) {
  FakeCluster cluster = WithElastic();

  const NamedPlan plan = cluster.NextNamed();
  EXPECT_EQ(plan.resize, (Sizes{{"elastic", 8}}));
  EXPECT_EQ(plan.holds.at("elastic"), Names(8, "a"));

  cluster.snapshot.workers[0].free_since += absl::Seconds(1);
  EXPECT_TRUE(cluster.NextNamed().stop.empty());
}

TEST(PlanElasticTest, NoAttemptIsResizedTwiceInTenMinutes) {
  FakeCluster cluster = WithElastic();
  cluster.snapshot.running[0].resize_time = kNow - absl::Minutes(10) + absl::Seconds(1);

  EXPECT_TRUE(cluster.NextNamed().stop.empty());
  EXPECT_EQ(cluster.NextNamed(kNow + absl::Seconds(1)).resize, (Sizes{{"elastic", 8}}));
}

TEST(PlanElasticTest, NothingGrowsWhileAJobWaitsForSlots) {
  FakeCluster cluster = WithElastic();
  cluster.snapshot.running[0].preemptible = true;
  cluster.AddJob("big", 8, 8).priority = Priority::kLow;

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.codes.at("big"), "WAITING_FOR_SLOTS");
  EXPECT_TRUE(plan.stop.empty());
}

TEST(PlanElasticTest, GrowingStaysWithinTheProjectsSlots) {
  FakeCluster cluster = WithElastic();
  cluster.snapshot.running[0].sizes.global_batch = 720720;
  cluster.snapshot.projects[0].quota.max_running_slots = 6;

  EXPECT_EQ(cluster.NextNamed().resize, (Sizes{{"elastic", 6}}));
}

TEST(PlanElasticTest, AnAttemptThatMayNotStopDoesNotGrow) {
  FakeCluster cluster = WithElastic();
  cluster.snapshot.running[0].preemptible = false;

  EXPECT_TRUE(cluster.NextNamed().stop.empty());
}

TEST(PlanElasticTest, AnElasticAttemptShrinksBeforeAnyoneIsStopped) {
  FakeCluster cluster = WithElastic();
  cluster.AddRunning("low", {{"a", 4}}).priority = Priority::kLow;
  cluster.AddJob("j", 2, 2);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.stop, (Stops{{"elastic", "j"}}));
  EXPECT_EQ(plan.resize, (Sizes{{"elastic", 2}}));
  EXPECT_EQ(plan.holds.at("elastic"), (Names{"a", "a"}));
  EXPECT_EQ(plan.holds.at("j"), (Names{"a", "a"}));
}

TEST(PlanElasticTest, WhoCannotShrinkEnoughIsStoppedIfItMayBe) {
  FakeCluster cluster;
  cluster.AddWorker("a", 4, 4);
  RunningJob& elastic = cluster.AddRunning("elastic", {{"a", 4}});
  elastic.sizes = {2, 4, 4};
  elastic.priority = Priority::kLow;
  cluster.AddJob("j", 3, 3);

  const NamedPlan plan = cluster.NextNamed();

  EXPECT_EQ(plan.stop, (Stops{{"elastic", "j"}}));
  EXPECT_TRUE(plan.resize.empty());
}

TEST(PlanElasticTest, HigherPriorityKeepsItsRanks) {
  FakeCluster cluster = WithElastic();
  cluster.snapshot.running[0].priority = Priority::kHigh;
  cluster.AddRunning("other", {{"a", 4}});
  cluster.AddJob("j", 2, 2);

  EXPECT_TRUE(cluster.NextNamed().stop.empty());
}

TEST(PlanElasticTest, AJobThatShrinksGivesWayAndGrowsAgain) {
  Simulation simulation({8});
  simulation.Submit({.name = "elastic", .min_ranks = 1, .max_ranks = 8, .work = absl::Hours(2)});
  simulation.Run(absl::Minutes(15));
  ASSERT_EQ(simulation.SizeOf("elastic"), 8);
  simulation.Submit({.name = "small", .min_ranks = 4, .max_ranks = 4, .work = absl::Minutes(20)});

  simulation.Run(absl::Minutes(1));
  EXPECT_EQ(simulation.SizeOf("elastic"), 4);
  EXPECT_EQ(simulation.SizeOf("small"), 4);

  simulation.Run(absl::Minutes(22));
  EXPECT_TRUE(simulation.HasEnded("small"));
  EXPECT_EQ(simulation.SizeOf("elastic"), 8);
  EXPECT_EQ(simulation.stops(), 2);
}

}  // namespace
}  // namespace g2ll::scheduler
