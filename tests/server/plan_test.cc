#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/scheduler/plan.h"

namespace g2ll::scheduler {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000000);

WorkerView MakeWorker(const std::string& name, int32_t slots, int32_t free_slots) {
  return {name, cluster::Device::kCpu, slots, free_slots, /*cpus=*/slots * 2, /*ready=*/true};
}

PendingJob MakeJob(const std::string& name, int32_t min_ranks, int32_t max_ranks,
                   int32_t global_batch) {
  PendingJob job;
  job.uid = name;
  job.name = name;
  job.queue_time = kNow;
  job.min_ranks = min_ranks;
  job.max_ranks = max_ranks;
  job.global_batch = global_batch;
  job.data_checked = true;
  return job;
}

// Code of the reason of a waiting job; empty if it does not wait.
std::string WaitCode(const Plan& plan, const std::string& uid) {
  for (const KeepWaiting& waiting : plan.wait) {
    if (waiting.job_uid == uid) {
      return waiting.reason.code;
    }
  }
  return "";
}

ClusterSnapshot RandomSnapshot(std::mt19937& random) {
  const auto upto = [&](int32_t most) {
    return std::uniform_int_distribution<int32_t>(0, most)(random);
  };
  ClusterSnapshot snapshot;
  for (int32_t i = upto(6); i > 0; --i) {
    const int32_t slots = 1 + upto(7);
    WorkerView worker = MakeWorker(absl::StrCat("w", i), slots, upto(slots));
    worker.ready = upto(9) > 0;
    worker.device = upto(3) == 0 ? cluster::Device::kCuda : cluster::Device::kCpu;
    worker.cpus = upto(32);
    snapshot.workers.push_back(worker);
  }
  for (int32_t i = upto(12); i > 0; --i) {
    const int32_t min_ranks = 1 + upto(3);
    PendingJob job = MakeJob(absl::StrCat("j", i), min_ranks, min_ranks + upto(6), 1 + upto(63));
    job.priority = static_cast<cluster::Priority>(1 + upto(2));
    job.queue_time = kNow - absl::Seconds(upto(3));
    job.device = static_cast<cluster::Device>(1 + upto(2));
    job.cpus_per_rank = upto(4);
    job.not_before = upto(5) == 0 ? kNow + absl::Seconds(5) : absl::InfinitePast();
    job.data_checked = upto(9) > 0;
    if (upto(9) == 0) {
      job.unmet_dependencies = {"job a (RUNNING)"};
    }
    snapshot.pending.push_back(job);
  }
  return snapshot;
}

// Every promise of a plan that can be read off it.
void ExpectSound(const ClusterSnapshot& snapshot, const Plan& plan) {
  std::map<std::string, int32_t> taken;
  std::set<std::string> decided;
  for (const StartGang& gang : plan.start) {
    EXPECT_TRUE(decided.insert(gang.job_uid).second);
    const auto job = std::find_if(snapshot.pending.begin(), snapshot.pending.end(),
                                  [&](const PendingJob& p) { return p.uid == gang.job_uid; });
    const auto size = static_cast<int32_t>(gang.workers.size());
    EXPECT_GE(size, job->min_ranks);
    EXPECT_LE(size, job->max_ranks);
    EXPECT_EQ(job->global_batch % size, 0);
    EXPECT_TRUE(job->data_checked && job->unmet_dependencies.empty() && job->not_before <= kNow);
    std::set<cluster::Device> devices;
    for (const std::string& name : gang.workers) {
      ++taken[name];
      const auto worker = std::find_if(snapshot.workers.begin(), snapshot.workers.end(),
                                       [&](const WorkerView& w) { return w.name == name; });
      EXPECT_TRUE(worker->ready);
      EXPECT_LE(job->cpus_per_rank, worker->cpus / worker->slots);
      devices.insert(worker->device);
    }
    EXPECT_EQ(devices.size(), 1u);
  }
  for (const WorkerView& worker : snapshot.workers) {
    EXPECT_LE(taken[worker.name], worker.free_slots);
  }
  for (const KeepWaiting& waiting : plan.wait) {
    EXPECT_TRUE(decided.insert(waiting.job_uid).second);
    EXPECT_FALSE(waiting.reason.code.empty());
    EXPECT_FALSE(waiting.reason.message.empty());
  }
  EXPECT_EQ(decided.size(), snapshot.pending.size());
}

TEST(PlanNextTest, NeverSplitsAGangOrUsesASlotTwiceInRandomClusters) {
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    const ClusterSnapshot snapshot = RandomSnapshot(random);

    ExpectSound(snapshot, PlanNext(snapshot, {}, kNow));
  }
}

TEST(PlanNextTest, DoesNotDependOnTheOrderOfTheSnapshot) {
  std::mt19937 random(11);
  for (int i = 0; i < 500; ++i) {
    ClusterSnapshot snapshot = RandomSnapshot(random);
    const Plan plan = PlanNext(snapshot, {}, kNow);
    std::shuffle(snapshot.pending.begin(), snapshot.pending.end(), random);
    std::shuffle(snapshot.workers.begin(), snapshot.workers.end(), random);

    const Plan again = PlanNext(snapshot, {}, kNow);

    ASSERT_EQ(plan.start.size(), again.start.size());
    for (size_t gang = 0; gang < plan.start.size(); ++gang) {
      EXPECT_EQ(plan.start[gang].job_uid, again.start[gang].job_uid);
      EXPECT_EQ(plan.start[gang].workers, again.start[gang].workers);
    }
  }
}

TEST(PlanNextTest, TakesTheLargestSizeThatDividesTheBatchAndFits) {
  const ClusterSnapshot snapshot = {{MakeWorker("a", 3, 3), MakeWorker("b", 4, 4)},
                                    {MakeJob("j", 1, 8, 18)}};

  const Plan plan = PlanNext(snapshot, {}, kNow);

  ASSERT_EQ(plan.start.size(), 1u);
  EXPECT_EQ(plan.start[0].workers.size(), 6u);  // 7 are free, but 7 does not divide 18.
}

TEST(PlanNextTest, PacksAGangOnTheTightestWorker) {
  const ClusterSnapshot snapshot = {
      {MakeWorker("a", 8, 8), MakeWorker("b", 4, 2), MakeWorker("c", 4, 3)},
      {MakeJob("j", 2, 2, 4)}};

  const Plan plan = PlanNext(snapshot, {}, kNow);

  ASSERT_EQ(plan.start.size(), 1u);
  EXPECT_EQ(plan.start[0].workers, (std::vector<std::string>{"b", "b"}));
}

TEST(PlanNextTest, HigherPriorityThenOlderThenNameComesFirst) {
  ClusterSnapshot snapshot = {{MakeWorker("a", 1, 1)}, {}};
  PendingJob old_job = MakeJob("b-old", 1, 1, 1);
  old_job.queue_time = kNow - absl::Seconds(9);
  PendingJob high = MakeJob("z-high", 1, 1, 1);
  high.priority = cluster::Priority::kHigh;
  snapshot.pending = {MakeJob("b", 1, 1, 1), MakeJob("a", 1, 1, 1), old_job, high};

  EXPECT_EQ(PlanNext(snapshot, {}, kNow).start[0].job_uid, "z-high");
  snapshot.pending.pop_back();
  EXPECT_EQ(PlanNext(snapshot, {}, kNow).start[0].job_uid, "b-old");
  snapshot.pending.pop_back();
  EXPECT_EQ(PlanNext(snapshot, {}, kNow).start[0].job_uid, "a");
}

TEST(PlanNextTest, SmallJobsDoNotOvertakeABlockedGang) {
  const ClusterSnapshot snapshot = {{MakeWorker("a", 4, 2)},
                                    {MakeJob("a-big", 4, 4, 4), MakeJob("b-small", 1, 1, 1)}};

  const Plan plan = PlanNext(snapshot, {}, kNow);

  EXPECT_TRUE(plan.start.empty());
  EXPECT_EQ(WaitCode(plan, "a-big"), "WAITING_FOR_SLOTS");
  EXPECT_EQ(WaitCode(plan, "b-small"), "WAITING_BEHIND");
}

TEST(PlanNextTest, AGangThatCanNeverFitBlocksNobody) {
  const ClusterSnapshot snapshot = {{MakeWorker("a", 2, 2)},
                                    {MakeJob("a-huge", 8, 8, 8), MakeJob("b-small", 1, 1, 1)}};

  const Plan plan = PlanNext(snapshot, {}, kNow);

  EXPECT_EQ(WaitCode(plan, "a-huge"), "TOO_FEW_SLOTS");
  ASSERT_EQ(plan.start.size(), 1u);
  EXPECT_EQ(plan.start[0].job_uid, "b-small");
}

TEST(PlanNextTest, ReasonsHoldTheNumbers) {
  PendingJob greedy = MakeJob("c", 1, 1, 1);
  greedy.cpus_per_rank = 16;
  const ClusterSnapshot snapshot = {{MakeWorker("a", 2, 1)},
                                    {MakeJob("b", 2, 2, 2), greedy, MakeJob("d", 3, 3, 4)}};

  const Plan plan = PlanNext(snapshot, {}, kNow);

  std::map<std::string, std::string> messages;
  for (const KeepWaiting& waiting : plan.wait) {
    messages[waiting.job_uid] = waiting.reason.message;
  }
  EXPECT_EQ(messages["b"], "needs 2 slots with device cpu; 1 slot is free of 2");
  EXPECT_EQ(WaitCode(plan, "d"), "UNSATISFIABLE");
  EXPECT_EQ(WaitCode(plan, "c"), "WAITING_BEHIND");
}

TEST(PlanNextTest, ARankThatAsksForMoreCoresThanASlotHasWaits) {
  PendingJob greedy = MakeJob("j", 1, 1, 1);
  greedy.cpus_per_rank = 16;
  const ClusterSnapshot snapshot = {{MakeWorker("a", 2, 2)}, {greedy}};

  const Plan plan = PlanNext(snapshot, {}, kNow);

  ASSERT_EQ(plan.wait.size(), 1u);
  EXPECT_EQ(plan.wait[0].reason.code, "TOO_FEW_CPUS");
  EXPECT_EQ(plan.wait[0].reason.message,
            "asks for 16 CPU cores per rank, but a slot has at most 2");
}

}  // namespace
}  // namespace g2ll::scheduler
