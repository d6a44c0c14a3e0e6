// Placement: dependencies, the cycle, and from a plan back to the state.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/failpoint.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"
#include "server/coordinator/cycle.h"
#include "server/scheduler/plan.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptRecord;
using cluster::JobEvent;
using cluster::JobRecord;
using cluster::JobState;
using cluster::StateReason;

// Why an attempt is stopped, for the job that is stopped.
StateReason ReasonOfStop(const Cycle& cycle, const scheduler::StopGang& stop) {
  const std::string job =
      stop.for_job < 0 ? "" : cycle.pending[static_cast<size_t>(stop.for_job)]->FullName();
  switch (stop.cause) {
    case scheduler::StopCause::kPreempted:
      return {"PREEMPTED",
              absl::StrCat("stops at a checkpoint for ", job, ", which has a higher priority")};
    case scheduler::StopCause::kReclaimed:
      return {"RECLAIMED", absl::StrCat("stops at a checkpoint for ", job,
                                        ", whose project is guaranteed the slots")};
    case scheduler::StopCause::kRecalled:
      return {"RECALLED", absl::StrCat("stops at a checkpoint for ", job,
                                       ", which it was allowed to overtake until now")};
    case scheduler::StopCause::kShrunk:
      return {"RESIZED", absl::StrCat("goes on from a checkpoint with ", stop.ranks,
                                      " ranks to make room for ", job)};
    case scheduler::StopCause::kGrown:
      return {"RESIZED", absl::StrCat("goes on from a checkpoint with ", stop.ranks,
                                      " ranks because slots are idle")};
  }
  return {};
}

}  // namespace

void Core::SettleDependents(absl::Time now) {
  // A job that fails can fail its own dependents, which adds to the list.
  while (!to_settle_.empty()) {
    const std::set<std::string> settle = std::exchange(to_settle_, {});
    for (const std::string& uid : settle) {
      if (const JobPtr job = Find(uid); job != nullptr && job->state == JobState::kPending) {
        SettleOne(*job, now);
      }
    }
  }
}

void Core::SettleOne(const JobRecord& job, absl::Time now) {
  for (const cluster::Dependency& dependency : job.dependencies) {
    const JobPtr parent = Find(dependency.uid);
    if (parent != nullptr && parent->state != JobState::kFailed &&
        parent->state != JobState::kCancelled) {
      continue;
    }
    const std::string how = parent == nullptr
                                ? "was deleted"
                                : absl::StrCat("is ", std::string(cluster::Name(parent->state)));
    const std::string what = absl::StrCat("job ", dependency.name, " that it needs ", how);
    if (job.on_failed_dependency == cluster::OnFailedDependency::kFail) {
      // PENDING can always be given up.
      Move(Edit(job.uid), JobEvent::kGiveUp, {"DEPENDENCY_FAILED", what}, "coordinator", now)
          .IgnoreError();
    } else {
      HoldJob(job.uid,
              absl::StrCat(what, "; resume this job to start it all the same, or cancel it"), now);
    }
    return;
  }
}

void Core::HoldJob(const std::string& job_uid, const std::string& why, absl::Time now) {
  JobRecord& job = Edit(job_uid);
  job.held = true;
  job.reason = {"HELD", why};
  AddEvent(job_uid, "coordinator", "HELD", why, now);
  must_schedule_ = true;
}

// Stops what runs in queues that are drained, also what was placed before a restart.
void Core::DrainQueues(absl::Time now) {
  for (const auto& [name, queue] : queues_) {
    if (queue.stop != cluster::QueueStop::kHoldAndDrain) {
      continue;
    }
    const std::set<std::string> placed = placed_;
    for (const std::string& uid : placed) {
      const JobPtr job = Find(uid);
      const bool runs = job->state == JobState::kStarting || job->state == JobState::kRunning;
      if (runs && job->project == queue.project && job->queue == queue.name) {
        StopRequest request;
        request.reason = {"QUEUE_DRAINED",
                          absl::StrCat("stops at a checkpoint: ", name, " is being drained",
                                       queue.reason.empty() ? "" : ": ", queue.reason)};
        request.actor = "coordinator";
        // Both states can be preempted.
        AskToStop(uid, request, now).IgnoreError();
      }
    }
  }
}

void Core::Schedule(absl::Time now) {
  const absl::Time start = options_.cycle_clock();
  ChargeUsage(now);
  DrainQueues(now);
  const std::shared_ptr<Cycle> cycle = TakeSnapshot(now);
  cycle->plan = scheduler::PlanNext(cycle->snapshot, options_.scheduling, now);
  cycle_ = cycle;
  // What the plan itself changes needs no other cycle, as long as all of it was done.
  must_schedule_ = !CarryOut(*cycle, now) || !cycle->plan.stop.empty();
  const absl::Time end = options_.cycle_clock();
  const absl::Duration took = end - start;
  // At most half of the time goes into cycles.
  next_cycle_ = end + took;
  metrics_->ObserveSchedulerCycle(took);
}

bool Core::CarryOut(const Cycle& cycle, absl::Time now) {
  const scheduler::Plan& plan = cycle.plan;
  std::map<std::string, absl::Time> blocked_since;
  for (const auto& [uid, since] : blocked_since_) {
    if (pending_.contains(uid)) {
      blocked_since.emplace(uid, since);
    }
  }
  for (const scheduler::BlockedHead& head : plan.heads) {
    blocked_since[cycle.pending[head.job]->uid] = head.since;
  }
  blocked_since_ = std::move(blocked_since);
  KeepHolds(cycle);
  bool all_placed = true;
  for (const scheduler::StartGang& gang : plan.start) {
    std::vector<std::string> workers;
    for (const scheduler::Share& share : gang.places) {
      workers.insert(workers.end(), static_cast<size_t>(share.ranks),
                     std::string(cycle.snapshot.workers[share.worker].name));
    }
    const std::string& uid = cycle.pending[gang.job]->uid;
    if (gang.recallable) {
      recallable_.insert(uid);
    }
    all_placed &= Place(uid, std::move(workers), now);
  }
  for (const scheduler::StopGang& stop : plan.stop) {
    StopRequest request;
    request.reason = ReasonOfStop(cycle, stop);
    request.actor = "scheduler";
    request.stopped_for = stop.for_job < 0 ? "" : cycle.pending[stop.for_job]->uid;
    // STARTING and RUNNING can be preempted.
    AskToStop(cycle.running[stop.running]->uid, request, now).IgnoreError();
  }
  std::erase_if(recallable_, [&](const std::string& uid) { return !placed_.contains(uid); });
  for (const scheduler::KeepWaiting& waiting : plan.wait) {
    StoreReason(cycle, waiting);
  }
  return all_placed;
}

void Core::KeepHolds(const Cycle& cycle) {
  holds_.clear();
  for (const scheduler::KeepHold& kept : cycle.plan.holds) {
    HeldPlaces held;
    held.until = kept.hold.until;
    held.ranks = kept.hold.ranks;
    for (const scheduler::Share& share : kept.hold.places) {
      held.places.emplace_back(cycle.snapshot.workers[share.worker].name, share.ranks);
    }
    holds_[kept.job < 0 ? cycle.running[kept.running]->uid : cycle.pending[kept.job]->uid] =
        std::move(held);
  }
}

// Only the code is stored at once; the numbers of every cycle are in `cycle_`.
void Core::StoreReason(const Cycle& cycle, const scheduler::KeepWaiting& waiting) {
  const JobRecord& job = *cycle.pending[waiting.job];
  const JobPtr current = Find(job.uid);
  if (current->state == JobState::kPending && !current->held &&
      current->reason.code != scheduler::Name(waiting.code)) {
    Edit(job.uid).reason = scheduler::ReasonOf(cycle.snapshot, waiting);
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

bool Core::Place(const std::string& job_uid, std::vector<std::string> workers, absl::Time now) {
  JobRecord& job = Edit(job_uid);
  const absl::StatusOr<std::string> source_path = ResolveSource(job);
  if (!source_path.ok()) {
    // PENDING can always be given up.
    Move(job, JobEvent::kGiveUp, {"SOURCE_NOT_FOUND", std::string(source_path.status().message())},
         "coordinator", now)
        .IgnoreError();
    return false;
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
  ChargeEntry(job.project, attempt.world_size(), now);
  RecordRollback(job, attempt, now);
  job.attempts.push_back(std::move(attempt));
  IndexPlacement(job);
  G2LL_FAILPOINT("core.attempt.placed");
  return true;
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
