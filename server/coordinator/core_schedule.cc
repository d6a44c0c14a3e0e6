// Placement: from the state to a snapshot, and from a plan back to the state.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/failpoint.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"
#include "server/scheduler/plan.h"

namespace g2ll::coordinator {

using cluster::AttemptRecord;
using cluster::JobEvent;
using cluster::JobRecord;
using cluster::JobState;

bool Core::FailedByDependency(const std::string& job_uid, absl::Time now) {
  const JobPtr job = Find(job_uid);
  for (const cluster::Dependency& dependency : job->dependencies) {
    const JobPtr parent = Find(dependency.uid);
    if (parent != nullptr && parent->state != JobState::kFailed &&
        parent->state != JobState::kCancelled) {
      continue;
    }
    const std::string how = parent == nullptr
                                ? "was deleted"
                                : absl::StrCat("is ", std::string(cluster::Name(parent->state)));
    // PENDING can always be given up.
    Move(Edit(job_uid), JobEvent::kGiveUp,
         {"DEPENDENCY_FAILED", absl::StrCat("job ", dependency.name, " that it needs ", how)},
         "coordinator", now)
        .IgnoreError();
    return true;
  }
  return false;
}

namespace {

// What one cycle looks at, with what its views point to.
struct Cycle {
  std::vector<JobPtr> jobs;
  std::map<std::string, int32_t> projects;
  scheduler::ClusterSnapshot snapshot;

  int32_t ProjectOf(const std::string& name) {
    const auto [project, is_new] =
        projects.emplace(name, static_cast<int32_t>(snapshot.projects.size()));
    if (is_new) {
      snapshot.projects.push_back({project->first});
    }
    return project->second;
  }
};

}  // namespace

scheduler::PendingJob Core::PendingView(const JobRecord& job) const {
  scheduler::PendingJob view;
  view.uid = job.uid;
  view.name = job.name;
  view.priority = job.priority;
  view.queue_time = job.create_time;
  view.sizes = {job.min_ranks, job.max_ranks, job.global_batch};
  view.device = job.device;
  view.cpus_per_rank = job.cpus_per_rank;
  view.not_before = job.not_before;
  if (!job.attempts.empty() && job.attempts.back().failure.has_value()) {
    view.last_failure = absl::StrCat("attempt ", job.attempts.back().number, " broke (",
                                     Describe(*job.attempts.back().failure), ")");
  }
  view.data_checked = job.data_checked;
  for (const cluster::Dependency& dependency : job.dependencies) {
    const JobPtr parent = Find(dependency.uid);
    if (parent != nullptr && parent->state != JobState::kSucceeded) {
      view.unmet_dependencies.push_back({dependency.name, parent->state});
    }
  }
  return view;
}

void Core::Schedule(absl::Time now) {
  // A job that fails can fail its own dependents: repeat until nothing changes.
  bool changed = true;
  while (changed) {
    changed = false;
    const std::set<std::string> unfinished = unfinished_;
    for (const std::string& uid : unfinished) {
      if (Find(uid)->state == JobState::kPending) {
        changed |= FailedByDependency(uid, now);
      }
    }
  }
  must_schedule_ = false;
  Cycle cycle;
  for (const std::string& uid : unfinished_) {
    const JobPtr& job = jobs_.at(uid);
    if (job->state == JobState::kPending) {
      cycle.snapshot.pending.push_back(PendingView(*job));
      cycle.snapshot.pending.back().project = cycle.ProjectOf(job->project);
      cycle.jobs.push_back(job);
    }
  }
  if (cycle.jobs.empty()) {
    return;
  }
  for (const auto& [name, worker] : workers_) {
    const cluster::Inventory& inventory = worker.record.report.inventory;
    cycle.snapshot.workers.push_back({name, inventory.device, inventory.slots,
                                      FreeSlots(name, worker), inventory.cpus,
                                      worker.record.state == cluster::WorkerState::kReady});
  }
  const absl::Time start = absl::Now();
  const scheduler::Plan plan = scheduler::PlanNext(cycle.snapshot, options_.scheduling, now);
  metrics_->ObserveSchedulerCycle(absl::Now() - start);
  for (const scheduler::StartGang& gang : plan.start) {
    std::vector<std::string> workers;
    for (const scheduler::Share& share : gang.places) {
      workers.insert(workers.end(), static_cast<size_t>(share.ranks),
                     std::string(cycle.snapshot.workers[share.worker].name));
    }
    Place(cycle.jobs[gang.job]->uid, std::move(workers), now);
  }
  for (const scheduler::KeepWaiting& waiting : plan.wait) {
    const cluster::StateReason reason = scheduler::ReasonOf(cycle.snapshot, waiting);
    const std::string& uid = cycle.jobs[waiting.job]->uid;
    if (jobs_.at(uid)->reason != reason) {
      Edit(uid).reason = reason;
    }
  }
}

// The best checkpoint of a job, else its newest; null if it has none that can be used.
const cluster::CheckpointRecord* Core::ResultOf(const std::string& job_uid) const {
  const auto of_job = checkpoints_of_.find(job_uid);
  if (of_job == checkpoints_of_.end()) {
    return nullptr;
  }
  const cluster::CheckpointRecord* newest = nullptr;
  for (const auto& [step, id] : of_job->second) {
    const cluster::CheckpointRecord& checkpoint = checkpoints_.at(id);
    if (checkpoint.state == cluster::CheckpointState::kDamaged) {
      continue;
    }
    if (checkpoint.best) {
      return &checkpoint;
    }
    newest = &checkpoint;
  }
  return newest;
}

absl::StatusOr<std::string> Core::ResolveSource(JobRecord& job) const {
  constexpr char kJob[] = "job/";
  constexpr char kCheckpoint[] = "checkpoint/";
  constexpr char kFile[] = "file:";
  const std::string& source = job.source;
  if (source.empty() || source == "none") {
    return std::string();
  }
  if (source.starts_with(kFile)) {
    return source.substr(sizeof(kFile) - 1);
  }
  const cluster::CheckpointRecord* checkpoint = nullptr;
  if (source.starts_with(kJob)) {
    const std::string name = source.substr(sizeof(kJob) - 1);
    for (const cluster::Dependency& dependency : job.dependencies) {
      if (dependency.name == name) {
        checkpoint = ResultOf(dependency.uid);
      }
    }
  } else if (source.starts_with(kCheckpoint)) {
    const auto found = checkpoints_.find(source.substr(sizeof(kCheckpoint) - 1));
    checkpoint = found == checkpoints_.end() ? nullptr : &found->second;
  }
  if (checkpoint == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("from: ", source, " has no committed checkpoint"));
  }
  job.lineage = {{source, checkpoint->id, checkpoint->sha256}};
  return checkpoint->path;
}

void Core::Place(const std::string& job_uid, std::vector<std::string> workers, absl::Time now) {
  JobRecord& job = Edit(job_uid);
  const absl::StatusOr<std::string> source_path = ResolveSource(job);
  if (!source_path.ok()) {
    // PENDING can always be given up.
    Move(job, JobEvent::kGiveUp, {"SOURCE_NOT_FOUND", std::string(source_path.status().message())},
         "coordinator", now)
        .IgnoreError();
    return;
  }
  AttemptRecord attempt;
  attempt.number = static_cast<int32_t>(job.attempts.size()) + 1;
  attempt.epoch = ++job.epoch;
  attempt.workers = std::move(workers);
  attempt.start_time = now;
  attempt.state_time = now;
  attempt.source_path = *source_path;
  if (!job.latest_checkpoint.empty()) {
    attempt.resume_path = checkpoints_.at(job.latest_checkpoint).path;
    attempt.resume_step = job.latest_checkpoint_step;
  }
  // PENDING can always be placed.
  Move(job, JobEvent::kPlaced,
       {"PREPARING", absl::StrCat("attempt ", attempt.number, " prepares ", attempt.world_size(),
                                  attempt.world_size() == 1 ? " rank" : " ranks")},
       "scheduler", now)
      .IgnoreError();
  RecordRollback(job, attempt, now);
  job.attempts.push_back(std::move(attempt));
  IndexPlacement(job);
  G2LL_FAILPOINT("core.attempt.placed");
}

// A restart that goes back is a point of its own, so that followers learn of it.
void Core::RecordRollback(JobRecord& job, const AttemptRecord& attempt, absl::Time now) {
  if (job.last_metric_step <= attempt.resume_step) {
    return;
  }
  cluster::MetricRecord point;
  point.seq = ++job.last_metric_seq;
  point.attempt = attempt.number;
  point.step = attempt.resume_step;
  point.name = "rollback";
  point.value = static_cast<double>(attempt.resume_step);
  point.time = now;
  batch_.telemetry[job.uid].metrics.push_back(std::move(point));
  job.last_metric_step = attempt.resume_step;
}

}  // namespace g2ll::coordinator
