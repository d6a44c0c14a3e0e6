#ifndef SERVER_SCHEDULER_PLAN_H_
#define SERVER_SCHEDULER_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/records.h"
#include "server/cluster/states.h"

namespace g2ll::scheduler {

// A worker as the scheduler sees it.
struct WorkerView {
  std::string name;
  cluster::Device device = cluster::Device::kCpu;
  int32_t slots = 0;
  int32_t free_slots = 0;
  int32_t cpus = 0;
  // It may take new work.
  bool ready = false;
};

// A job that waits.
struct PendingJob {
  std::string uid;
  // Full name; the last word in the order, so that the order is total.
  std::string name;
  cluster::Priority priority = cluster::Priority::kNormal;
  // Kept when a job recovers, so that it does not lose its turn.
  absl::Time queue_time;
  int32_t min_ranks = 1;
  int32_t max_ranks = 1;
  int32_t global_batch = 1;
  cluster::Device device = cluster::Device::kAuto;
  int32_t cpus_per_rank = 0;
  // Not before this (back-off after a failure).
  absl::Time not_before = absl::InfinitePast();
  // What ended the attempt before, for people; empty if there was none.
  std::string last_failure;
  bool data_checked = false;
  // Short names of jobs that it waits for, with their states, for example `pre (RUNNING)`.
  std::vector<std::string> unmet_dependencies;
};

// Everything that a decision may depend on.
struct ClusterSnapshot {
  std::vector<WorkerView> workers;
  std::vector<PendingJob> pending;
};

// What an operator can choose.
struct SchedulingPolicy {
  // Jobs behind one that waits for slots of its device wait too, so that a large
  // gang is not starved by small ones.
  bool strict_order = true;
};

// A whole gang with its places.
struct StartGang {
  std::string job_uid;
  // Worker of each rank, by rank; ranks of one worker are neighbours.
  std::vector<std::string> workers;
};

// A job that stays where it is, and why.
struct KeepWaiting {
  std::string job_uid;
  cluster::StateReason reason;
};

// Every pending job is in exactly one of the two lists.
struct Plan {
  std::vector<StartGang> start;
  std::vector<KeepWaiting> wait;
};

// Decides which jobs start now. Pure: the same arguments give the same plan.
// A gang is placed as a whole or not at all, with the largest world size in
// [min_ranks, max_ranks] that divides its global batch and fits; on one worker
// where possible, else on as few as possible. Order: priority, then queue time,
// then name. The reasons come from the same code that decides.
Plan PlanNext(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now);

// The sizes that a job may run with, largest first; empty if its global batch
// has no divisor in [min_ranks, max_ranks].
std::vector<int32_t> AllowedWorldSizes(const PendingJob& job);

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_PLAN_H_
