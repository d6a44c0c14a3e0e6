#ifndef SERVER_SCHEDULER_SNAPSHOT_H_
#define SERVER_SCHEDULER_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/states.h"
#include "server/scheduler/fair_share.h"

// What a scheduling cycle may look at. Names are views, so that a cycle copies no
// strings: what they point to MUST stay as long as the snapshot is used. Jobs,
// workers and projects name each other by their index in the snapshot.
namespace g2ll::scheduler {

// A number of ranks on one worker.
struct Share {
  // Index in ClusterSnapshot::workers.
  int32_t worker = 0;
  int32_t ranks = 0;

  bool operator==(const Share&) const = default;
};

// Ranks of all shares.
int32_t SumOf(const std::vector<Share>& places);

// A worker.
struct WorkerView {
  std::string_view name;
  cluster::Device device = cluster::Device::kCpu;
  int32_t slots = 0;
  // Slots that nobody holds and in which nothing left over may still run.
  int32_t free_slots = 0;
  int32_t cpus = 0;
  // It may take new work.
  bool ready = false;
  // An operator wants no new work on it; for the reason only, it is not `ready` then.
  bool cordoned = false;
  // Since when all of its free slots have been free.
  absl::Time free_since = absl::InfiniteFuture();
  // Slots whose last ranks are not known to have ended; for the reason only, they are not free.
  int32_t unknown_slots = 0;
};

// The numbers of ranks that a job may run with: the divisors of its global batch
// from `min` to `max`.
struct WorldSizes {
  int32_t min = 1;
  int32_t max = 1;
  int32_t global_batch = 1;

  // The largest one up to `most`, or 0.
  int32_t Largest(int32_t most) const;
  // The smallest one, or 0.
  int32_t Smallest() const;
};

// A job that another one waits for.
struct UnmetDependency {
  // Short name.
  std::string_view name;
  cluster::JobState state = cluster::JobState::kPending;
};

// A job whose attempt holds slots.
struct RunningJob {
  std::string_view uid;
  // Short name.
  std::string_view name;
  // Index in ClusterSnapshot::projects.
  int32_t project = 0;
  cluster::Priority priority = cluster::Priority::kNormal;
  absl::Time queue_time;
  // At most one share for each worker.
  std::vector<Share> places;
  // What its next attempt may run with, and on.
  WorldSizes sizes;
  int32_t cpus_per_rank = 0;
  std::vector<int32_t> excluded_workers;
  // When the attempt was placed.
  absl::Time start_time;
  // When it got another number of ranks the last time; InfinitePast if never.
  absl::Time resize_time = absl::InfinitePast();
  // When its newest checkpoint was committed; InfinitePast if it has none.
  absl::Time checkpoint_time = absl::InfinitePast();
  bool preemptible = false;
  // It is not stopped for another job before it has run this long.
  absl::Duration min_runtime = absl::Minutes(5);
  // How long it may take to stop at a checkpoint.
  absl::Duration grace = absl::Minutes(2);
  // It started behind a job that had a reservation, and stops when that job can start.
  bool recallable = false;
  // What is known of its end: the limit of its time, what jobs with an equal spec
  // took, and what it says itself.
  absl::Duration max_runtime = absl::InfiniteDuration();
  absl::Duration learned_runtime = absl::InfiniteDuration();
  absl::Time expected_end = absl::InfiniteFuture();
  // It has been asked to stop or is being ended: its slots will come free.
  bool stopping = false;
  // uid of the job that it makes room for; empty if there is none.
  std::string_view stops_for;
  // While it stops to go on with another number of ranks: index of its slots in
  // ClusterSnapshot::holds. Else -1.
  int32_t hold = -1;

  int32_t world_size() const { return SumOf(places); }
};

// Slots that are kept for a job while they come free.
struct Hold {
  std::vector<Share> places;
  // The slots go back to all after this.
  absl::Time until = absl::InfiniteFuture();
  // The job starts with at most so many ranks; 0 is no limit.
  int32_t ranks = 0;
};

// What a project may run; 0 is no limit.
struct ProjectQuota {
  int32_t max_running_slots = 0;
  int32_t max_running_jobs = 0;
  double max_slot_hours = 0;
  // Slots that the project gets back whenever it wants them: what it runs beyond them
  // is borrowed. 0 is no guarantee, and all that it runs is borrowed.
  int32_t guaranteed_slots = 0;
};

// A project, to which jobs belong.
struct ProjectView {
  std::string_view name;
  // Its share among projects with equal claims; > 0.
  double weight = 1;
  // Decayed to the time of the cycle (fair_share.h).
  double used_slot_seconds = 0;
  // All that it has ever used.
  double used_slot_hours = 0;
  ProjectQuota quota;
};

// A queue, through which jobs of a project come.
struct QueueView {
  std::string_view name;
  std::string_view project;
  // Nothing of it starts, and why.
  bool held = false;
  std::string_view held_for = {};
};

// A job that waits.
struct PendingJob {
  std::string_view uid;
  // Short name; with the project the last word in the order, so that the order is total.
  std::string_view name;
  // Index in ClusterSnapshot::projects.
  int32_t project = 0;
  // Index in ClusterSnapshot::queues, or -1.
  int32_t queue = -1;
  // It does not start until someone lets it, and why.
  bool held = false;
  std::string_view held_for;
  cluster::Priority priority = cluster::Priority::kNormal;
  // Kept when a job recovers, so that it does not lose its turn.
  absl::Time queue_time;
  WorldSizes sizes;
  cluster::Device device = cluster::Device::kAuto;
  int32_t cpus_per_rank = 0;
  // Workers that it must not use, as indices in ClusterSnapshot::workers.
  std::vector<int32_t> excluded_workers;
  // Not before this (back-off after a failure).
  absl::Time not_before = absl::InfinitePast();
  // What ended the attempt before, for people; empty if there was none.
  std::string last_failure;
  bool data_checked = false;
  std::vector<UnmetDependency> unmet_dependencies;
  // Index in ClusterSnapshot::holds, or -1.
  int32_t hold = -1;
  // It may be stopped at a checkpoint.
  bool preemptible = false;
  // What is known of the time that it takes: its limit, and what jobs with an equal
  // spec took.
  absl::Duration max_runtime = absl::InfiniteDuration();
  absl::Duration learned_runtime = absl::InfiniteDuration();
  // Since when it has been a blocked head of the line; InfiniteFuture if never.
  absl::Time blocked_since = absl::InfiniteFuture();
};

// Everything that a decision may depend on.
struct ClusterSnapshot {
  std::vector<WorkerView> workers;
  std::vector<ProjectView> projects;
  std::vector<QueueView> queues;
  std::vector<PendingJob> pending;
  std::vector<RunningJob> running;
  // Those of the plan before; one that no job names has no effect.
  std::vector<Hold> holds;
};

// What an operator can choose.
struct SchedulingPolicy {
  // How much longer than the attempts may take to stop their slots are kept for the
  // job that they stop for.
  absl::Duration hold_slack = absl::Seconds(60);
  // After this much time at the head of the line a reservation is hard.
  absl::Duration hard_after = absl::Minutes(10);
  // Attempts get more ranks when slots have been idle for the first time, and none is
  // resized twice within the second.
  absl::Duration grow_after_idle = absl::Seconds(60);
  absl::Duration resize_interval = absl::Minutes(10);
  FairShareOptions fair_share;
};

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_SNAPSHOT_H_
