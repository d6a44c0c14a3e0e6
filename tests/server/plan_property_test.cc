// What every plan promises, over random snapshots. A failure prints the seed of the
// snapshot; RandomCluster(seed) makes it again.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/plan_fixture.h"

namespace g2ll::scheduler {
namespace {

constexpr uint32_t kSeeds = 3000;

bool MayUse(const ClusterSnapshot& snapshot, const PendingJob& job, int32_t index) {
  const WorkerView& worker = snapshot.workers[index];
  return worker.ready && worker.slots > 0 && job.cpus_per_rank <= worker.cpus / worker.slots &&
         std::find(job.excluded_workers.begin(), job.excluded_workers.end(), index) ==
             job.excluded_workers.end();
}

bool IsRunnable(const ClusterSnapshot& snapshot, const PendingJob& job) {
  const bool queue_held = job.queue >= 0 && snapshot.queues[job.queue].held;
  return !job.held && !queue_held && job.data_checked && job.unmet_dependencies.empty() &&
         job.not_before <= kNow;
}

void ExpectSoundGang(const ClusterSnapshot& snapshot, const StartGang& gang) {
  const PendingJob& job = snapshot.pending[gang.job];
  const int32_t size = gang.world_size();
  EXPECT_GE(size, job.sizes.min);
  EXPECT_LE(size, job.sizes.max);
  EXPECT_EQ(job.sizes.global_batch % size, 0);
  EXPECT_TRUE(IsRunnable(snapshot, job));
  std::set<cluster::Device> devices;
  std::set<int32_t> workers;
  for (const Share& share : gang.places) {
    EXPECT_GT(share.ranks, 0);
    EXPECT_TRUE(workers.insert(share.worker).second);
    EXPECT_TRUE(MayUse(snapshot, job, share.worker));
    devices.insert(snapshot.workers[share.worker].device);
  }
  EXPECT_EQ(devices.size(), 1u);
  if (job.device != cluster::Device::kAuto) {
    EXPECT_EQ(*devices.begin(), job.device);
  }
}

TEST(PlanPropertyTest, NoGangIsSplitAndNoSlotIsUsedTwice) {
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const FakeCluster cluster = RandomCluster(seed);

    const Plan plan = cluster.Next();

    std::map<int32_t, int32_t> taken;
    for (const StartGang& gang : plan.start) {
      ExpectSoundGang(cluster.snapshot, gang);
      for (const Share& share : gang.places) {
        taken[share.worker] += share.ranks;
      }
    }
    for (const auto& [worker, ranks] : taken) {
      EXPECT_LE(ranks, cluster.snapshot.workers[worker].free_slots);
    }
  }
}

TEST(PlanPropertyTest, EveryPendingJobIsDecidedExactlyOnceAndHasAPosition) {
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const FakeCluster cluster = RandomCluster(seed);

    const Plan plan = cluster.Next();

    std::set<int32_t> decided;
    std::set<int32_t> positions;
    for (const StartGang& gang : plan.start) {
      EXPECT_TRUE(decided.insert(gang.job).second);
      EXPECT_TRUE(positions.insert(gang.position).second);
    }
    for (const KeepWaiting& waiting : plan.wait) {
      EXPECT_TRUE(decided.insert(waiting.job).second);
      EXPECT_TRUE(positions.insert(waiting.position).second);
      EXPECT_FALSE(ReasonOf(cluster.snapshot, waiting).code.empty());
      EXPECT_FALSE(ReasonOf(cluster.snapshot, waiting).message.empty());
    }
    EXPECT_EQ(decided.size(), cluster.snapshot.pending.size());
    if (!positions.empty()) {
      EXPECT_EQ(*positions.begin(), 1);
      EXPECT_EQ(*positions.rbegin(), static_cast<int32_t>(positions.size()));
    }
  }
}

TEST(PlanPropertyTest, TheOrderOfTheSnapshotDoesNotMatter) {
  std::mt19937 random(11);
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    FakeCluster cluster = RandomCluster(seed);
    const NamedPlan plan = cluster.NextNamed();
    Shuffle(random, &cluster.snapshot);

    const NamedPlan again = cluster.NextNamed();

    EXPECT_EQ(plan.order, again.order);
    EXPECT_EQ(plan.start, again.start);
    EXPECT_EQ(plan.codes, again.codes);
    EXPECT_EQ(plan.stop, again.stop);
    EXPECT_EQ(plan.holds, again.holds);
  }
}

// The slots that the plan leaves free and that the job could use.
int32_t LeftFor(const ClusterSnapshot& snapshot, const Plan& plan, const KeepWaiting& waiting) {
  std::map<int32_t, int32_t> left;
  for (size_t worker = 0; worker < snapshot.workers.size(); ++worker) {
    if (MayUse(snapshot, snapshot.pending[waiting.job], static_cast<int32_t>(worker)) &&
        snapshot.workers[worker].device == waiting.device) {
      left[static_cast<int32_t>(worker)] = snapshot.workers[worker].free_slots;
    }
  }
  for (const StartGang& gang : plan.start) {
    for (const Share& share : gang.places) {
      if (left.contains(share.worker)) {
        left[share.worker] -= share.ranks;
      }
    }
  }
  std::vector<Hold> holds = snapshot.holds;  // One may have ended after the job was considered.
  for (const KeepHold& kept : plan.holds) {
    holds.push_back(kept.hold);
  }
  for (const Hold& hold : holds) {
    for (const Share& share : hold.places) {
      if (left.contains(share.worker)) {
        left[share.worker] -= share.ranks;
      }
    }
  }
  int32_t free = 0;
  for (const auto& [worker, slots] : left) {
    free += std::max(0, slots);  // A held slot may be one that is not free yet.
  }
  return free;
}

TEST(PlanPropertyTest, NoJobWaitsForSlotsThatAreLeftFree) {
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const FakeCluster cluster = RandomCluster(seed);

    const Plan plan = cluster.Next();

    for (const KeepWaiting& waiting : plan.wait) {
      const PendingJob& job = cluster.snapshot.pending[waiting.job];
      if (!IsRunnable(cluster.snapshot, job) || waiting.need == 0 ||
          waiting.code == WaitCode::kWaitingBehind || waiting.code == WaitCode::kQuotaExceeded ||
          (waiting.code == WaitCode::kWaitingForPreemption && !plan.heads.empty())) {
        continue;
      }
      EXPECT_LT(LeftFor(cluster.snapshot, plan, waiting), waiting.need)
          << job.name << " waits with " << Name(waiting.code);
    }
  }
}

// Whether a project had borrowed all the attempts that were reclaimed from it: without
// the largest one it is still beyond its guarantee.
bool HadBorrowed(const ClusterSnapshot& snapshot, const Plan& plan, int32_t project) {
  int32_t slots = 0;
  for (const RunningJob& attempt : snapshot.running) {
    slots += attempt.project == project && !attempt.stopping ? attempt.world_size() : 0;
  }
  for (const StartGang& gang : plan.start) {
    slots += snapshot.pending[gang.job].project == project ? gang.world_size() : 0;
  }
  for (const KeepHold& kept : plan.holds) {
    const bool own = kept.job >= 0 && snapshot.pending[kept.job].project == project;
    slots += own ? SumOf(kept.hold.places) : 0;
  }
  int32_t largest = 0;
  for (const StopGang& stop : plan.stop) {
    const RunningJob& attempt = snapshot.running[stop.running];
    if (attempt.project == project && stop.cause == StopCause::kReclaimed) {
      slots -= attempt.world_size();
      largest = std::max(largest, attempt.world_size());
    }
  }
  return slots + largest > snapshot.projects[project].quota.guaranteed_slots;
}

TEST(PlanPropertyTest, OnlyLowerPriorityOrBorrowedWorkIsStoppedAndNobodyTwice) {
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const FakeCluster cluster = RandomCluster(seed);

    const Plan plan = cluster.Next();

    std::set<int32_t> stopped;
    for (const StopGang& stop : plan.stop) {
      const RunningJob& attempt = cluster.snapshot.running[stop.running];
      EXPECT_TRUE(stopped.insert(stop.running).second);
      EXPECT_EQ(stop.cause == StopCause::kGrown, stop.for_job < 0);
      EXPECT_EQ(stop.cause == StopCause::kGrown || stop.cause == StopCause::kShrunk,
                stop.ranks > 0);
      if (stop.ranks > 0) {
        EXPECT_TRUE(attempt.preemptible);
        EXPECT_GE(stop.ranks, attempt.sizes.min);
        EXPECT_LE(stop.ranks, attempt.sizes.max);
        EXPECT_GE(kNow - attempt.resize_time, cluster.policy.resize_interval);
        EXPECT_EQ(stop.ranks > attempt.world_size(), stop.cause == StopCause::kGrown);
      }
      if (stop.for_job < 0) {
        continue;
      }
      EXPECT_FALSE(attempt.stopping);
      const PendingJob& job = cluster.snapshot.pending[stop.for_job];
      if (stop.cause == StopCause::kReclaimed) {
        EXPECT_LE(attempt.priority, job.priority);
        EXPECT_NE(attempt.project, job.project);
        EXPECT_TRUE(HadBorrowed(cluster.snapshot, plan, attempt.project));
      } else if (stop.cause == StopCause::kPreempted) {
        EXPECT_TRUE(attempt.preemptible);
        EXPECT_LT(attempt.priority, job.priority);
      } else {
        EXPECT_TRUE(attempt.preemptible);
        EXPECT_LE(attempt.priority, job.priority);
      }
      EXPECT_TRUE(kNow - attempt.start_time >= attempt.min_runtime ||
                  stop.cause == StopCause::kRecalled);
    }
  }
}

TEST(PlanPropertyTest, NoProjectGoesBeyondItsLimits) {
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const FakeCluster cluster = RandomCluster(seed);
    const ClusterSnapshot& snapshot = cluster.snapshot;
    std::vector<int32_t> slots(snapshot.projects.size());
    std::vector<int32_t> jobs(snapshot.projects.size());
    for (const RunningJob& attempt : snapshot.running) {
      slots[attempt.project] += attempt.world_size();
      ++jobs[attempt.project];
    }

    const Plan plan = cluster.Next();

    for (const StartGang& gang : plan.start) {
      const int32_t project = snapshot.pending[gang.job].project;
      const ProjectView& view = snapshot.projects[project];
      slots[project] += gang.world_size();
      ++jobs[project];
      EXPECT_TRUE(view.quota.max_running_slots == 0 ||
                  slots[project] <= view.quota.max_running_slots);
      EXPECT_TRUE(view.quota.max_running_jobs == 0 || jobs[project] <= view.quota.max_running_jobs);
      EXPECT_TRUE(view.quota.max_slot_hours == 0 ||
                  view.used_slot_hours < view.quota.max_slot_hours);
    }
  }
}

TEST(PlanPropertyTest, NoSlotIsHeldTwice) {
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const FakeCluster cluster = RandomCluster(seed);

    const Plan plan = cluster.Next();

    std::map<int32_t, int32_t> taken;
    for (const StartGang& gang : plan.start) {
      for (const Share& share : gang.places) {
        taken[share.worker] += share.ranks;
      }
    }
    for (const KeepHold& kept : plan.holds) {
      for (const Share& share : kept.hold.places) {
        taken[share.worker] += share.ranks;
        EXPECT_TRUE(kept.job < 0 ||
                    MayUse(cluster.snapshot, cluster.snapshot.pending[kept.job], share.worker));
      }
    }
    for (const auto& [worker, ranks] : taken) {
      EXPECT_LE(ranks, cluster.snapshot.workers[worker].slots);
    }
  }
}

TEST(PlanPropertyTest, ReasonsAgreeWithDecisions) {
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const FakeCluster cluster = RandomCluster(seed);

    const Plan plan = cluster.Next();

    std::map<int32_t, WaitCode> codes;
    for (const KeepWaiting& waiting : plan.wait) {
      codes[waiting.job] = waiting.code;
    }
    for (const KeepWaiting& waiting : plan.wait) {
      const PendingJob& job = cluster.snapshot.pending[waiting.job];
      SCOPED_TRACE(absl::StrCat(std::string(job.name), " ", std::string(Name(waiting.code))));
      EXPECT_EQ(waiting.code == WaitCode::kHeld, job.held);
      if (waiting.code == WaitCode::kWaitingForDependency) {
        EXPECT_FALSE(job.unmet_dependencies.empty());
      }
      EXPECT_EQ(waiting.code == WaitCode::kQuotaExceeded, waiting.quota != QuotaLimit::kNone);
      if (waiting.code == WaitCode::kWaitingForSlots) {
        EXPECT_LT(waiting.supply.free, waiting.need);
        EXPECT_GE(waiting.supply.slots, waiting.need);
      }
      if (waiting.code == WaitCode::kTooFewSlots || waiting.code == WaitCode::kExcludedWorkers) {
        EXPECT_LT(waiting.supply.slots, waiting.need);
        EXPECT_EQ(waiting.code == WaitCode::kExcludedWorkers && job.excluded_workers.empty(),
                  false);
      }
      EXPECT_EQ(waiting.code == WaitCode::kWaitingBehind, waiting.behind >= 0);
      const bool held = std::any_of(plan.holds.begin(), plan.holds.end(),
                                    [&](const KeepHold& kept) { return kept.job == waiting.job; });
      EXPECT_EQ(waiting.code == WaitCode::kWaitingForPreemption, held);
      if (waiting.behind >= 0) {
        EXPECT_EQ(codes.at(waiting.behind), WaitCode::kWaitingForSlots);
      }
    }
  }
}

}  // namespace
}  // namespace g2ll::scheduler
