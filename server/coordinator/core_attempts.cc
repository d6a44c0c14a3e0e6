// The life of an attempt: what the gang's reports lead to.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/log.h"
#include "server/coordinator/core.h"
#include "server/coordinator/recovery.h"
#include "server/storage/storage_root.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptOutcome;
using cluster::AttemptRecord;
using cluster::AttemptState;
using cluster::FailureClass;
using cluster::FailureRecord;
using cluster::JobEvent;
using cluster::JobRecord;
using cluster::JobState;
using cluster::StateReason;

void Enter(AttemptRecord& attempt, AttemptState state, absl::Time now) {
  attempt.state = state;
  attempt.state_time = now;
}

// Updates that the last attempt made and no checkpoint holds.
int64_t LostSteps(const JobRecord& job) {
  const AttemptRecord& attempt = job.attempts.back();
  if (attempt.run_time == absl::InfinitePast()) {
    return 0;
  }
  const int64_t kept = std::max(job.latest_checkpoint_step, attempt.resume_step);
  return std::max<int64_t>(0, job.progress.step - kept);
}

bool StopWasAsked(JobState state) {
  return state == JobState::kCancelling || state == JobState::kPausing ||
         state == JobState::kPreempting;
}

}  // namespace

std::vector<GangMember> Core::ViewGang(const JobRecord& job, const AttemptRecord& attempt,
                                       absl::Time now) const {
  std::vector<GangMember> members = MembersOf(attempt);
  for (GangMember& member : members) {
    const auto found = workers_.find(member.worker);
    if (found == workers_.end()) {
      continue;  // Known only after a reload; AdoptWorkers knows all others.
    }
    const Worker& worker = found->second;
    member.silent = worker.record.state == cluster::WorkerState::kLost;
    member.disconnected = worker.reported && worker.session == nullptr &&
                          now - worker.closed >= options_.reconnect_grace;
    member.reported = worker.reported;
    member.draining = worker.record.report.draining;
    member.heard = worker.heard;
    if (const auto seen = worker.seen.find({job.uid, attempt.epoch}); seen != worker.seen.end()) {
      member.seen = true;
      member.restarted = seen->second.incarnation != worker.record.report.incarnation;
      member.step_time = seen->second.step_time;
    }
    for (const cluster::AttemptStatus& status : worker.record.report.attempts) {
      if (status.job_uid == job.uid && status.epoch == attempt.epoch) {
        member.status = &status;
      }
    }
  }
  return members;
}

void Core::Reconcile(const std::string& job_uid, absl::Time now) {
  const JobPtr job = Find(job_uid);
  if (job == nullptr || job->LiveAttempt() == nullptr) {
    return;
  }
  const AttemptRecord& attempt = *job->LiveAttempt();
  const GangVerdict verdict =
      coordinator::Judge(attempt, ViewGang(*job, attempt, now), options_, now);
  if (verdict.progress.has_value() && *verdict.progress != job->progress) {
    Edit(job_uid).progress = *verdict.progress;
  }
  const bool recovering = job->state == JobState::kRecovering;
  const bool better_cause = recovering && attempt.failure.has_value() && IsEcho(*attempt.failure) &&
                            verdict.failure.has_value() && !IsEcho(*verdict.failure);
  if (verdict.failure.has_value() && (better_cause || attempt.state != AttemptState::kStopping)) {
    Break(job_uid, *verdict.failure, now);
  } else if (attempt.state != AttemptState::kStopping) {
    Advance(job_uid, verdict, now);
  }
  if (verdict.all_over) {
    FinishAttempt(job_uid, verdict, now);
  }
}

// A gang that trains on without being heard of in full.
void Core::NoteContact(const std::string& job_uid, const std::string& contact_lost,
                       absl::Time now) {
  constexpr char kContactLost[] = "CONTACT_LOST";
  const JobPtr job = Find(job_uid);
  const bool noted = job->reason.code == kContactLost;
  if (job->state != JobState::kRunning || noted == !contact_lost.empty()) {
    return;
  }
  JobRecord& edited = Edit(job_uid);
  if (noted) {
    edited.reason = {};
    AddEvent(job_uid, "coordinator", "CONTACT_RESTORED", "all workers are heard of again", now);
    return;
  }
  edited.reason = {kContactLost, contact_lost};
  AddEvent(job_uid, "coordinator", kContactLost, contact_lost, now);
  log::Warning("contact lost", {{"job", job->FullName()}, {"message", contact_lost}});
}

void Core::Advance(const std::string& job_uid, const GangVerdict& verdict, absl::Time now) {
  const JobPtr job = Find(job_uid);
  const AttemptRecord& attempt = *job->LiveAttempt();
  if (attempt.state == AttemptState::kPreparing) {
    if (verdict.all_prepared && !verdict.store_address.empty()) {
      JobRecord& edited = Edit(job_uid);
      edited.LiveAttempt()->store_address = verdict.store_address;
      Enter(*edited.LiveAttempt(), AttemptState::kRendezvous, now);
      edited.reason = {"RENDEZVOUS", "trainers start and form the group"};
    } else if (!verdict.waits_for.empty() && job->reason.message != verdict.waits_for) {
      Edit(job_uid).reason = {"PREPARING", verdict.waits_for};
    }
  }
  if (Find(job_uid)->LiveAttempt()->state == AttemptState::kRendezvous && verdict.all_training) {
    JobRecord& edited = Edit(job_uid);
    Enter(*edited.LiveAttempt(), AttemptState::kRunning, now);
    G2LL_FAILPOINT("core.attempt.running");
    edited.LiveAttempt()->run_time = now;
    // What the attempt before reached beyond its checkpoint is to be done again. A short
    // attempt may already tell how far it is itself.
    if (!verdict.progress.has_value()) {
      edited.progress.step = std::min(edited.progress.step, edited.LiveAttempt()->resume_step);
    }
    if (edited.state == JobState::kStarting) {
      // STARTING can always be joined.
      Move(edited, JobEvent::kAllJoined, {}, "coordinator", now).IgnoreError();
    }
  }
  NoteContact(job_uid, verdict.contact_lost, now);
  const AttemptRecord& current = *Find(job_uid)->LiveAttempt();
  if (current.state == AttemptState::kRunning && IsEnding(current) &&
      current.stop_deadline <= now) {
    AttemptRecord& late = *Edit(job_uid).LiveAttempt();
    Enter(late, AttemptState::kStopping, now);
    if (!late.kill) {
      AddEvent(job_uid, "coordinator", "STOP_DEADLINE_PASSED",
               absl::StrCat("attempt ", late.number,
                            " did not end at a checkpoint in time: it is stopped"),
               now);
    }
  }
}

void Core::Break(const std::string& job_uid, const FailureRecord& failure, absl::Time now) {
  JobRecord& job = Edit(job_uid);
  AttemptRecord& attempt = *job.LiveAttempt();
  attempt.failure = failure;
  G2LL_FAILPOINT("core.attempt.broken");
  if (attempt.state != AttemptState::kStopping) {
    Enter(attempt, AttemptState::kStopping, now);
  }
  log::Warning("attempt broke", {{"job", job.FullName()},
                                 {"attempt", attempt.number},
                                 {"class", cluster::Name(failure.failure_class)},
                                 {"cause", Describe(failure)}});
  if (job.state == JobState::kRecovering) {
    job.reason = ReasonOf(failure);
    return;
  }
  // CANCELLING stays: what breaks while it is being ended does not matter.
  Move(job, JobEvent::kAttemptBroke, ReasonOf(failure), "coordinator", now).IgnoreError();
}

void Core::FinishAttempt(const std::string& job_uid, const GangVerdict& verdict, absl::Time now) {
  JobRecord& job = Edit(job_uid);
  AttemptRecord& attempt = *job.LiveAttempt();
  attempt.end_time = now;
  Enter(attempt, AttemptState::kEnded, now);
  IndexPlacement(job);
  must_schedule_ = true;
  G2LL_FAILPOINT("core.attempt.finished");
  for (const std::string& worker : verdict.lost) {
    const auto ranks = std::count(attempt.workers.begin(), attempt.workers.end(), worker);
    workers_[worker].unknown[{job_uid, attempt.epoch}] = static_cast<int32_t>(ranks);
  }
  const bool succeeded = !attempt.failure.has_value() && verdict.all_succeeded;
  if (StopWasAsked(job.state) && (job.state == JobState::kCancelling || !succeeded)) {
    FinishStop(job, now);
    return;
  }
  if (succeeded) {
    Succeed(job, verdict, now);
    return;
  }
  if (!attempt.failure.has_value()) {
    FailureRecord failure;
    failure.message = "the attempt ended without a result from every rank";
    attempt.failure = failure;
  }
  attempt.outcome = attempt.failure->failure_class == FailureClass::kWorkerLost
                        ? AttemptOutcome::kLost
                        : AttemptOutcome::kFailed;
  RetryOrFail(job, now);
}

// The attempt has ended because somebody asked for it.
void Core::FinishStop(JobRecord& job, absl::Time now) {
  AttemptRecord& attempt = job.attempts.back();
  const bool cancelled = job.state == JobState::kCancelling;
  attempt.outcome = cancelled ? AttemptOutcome::kCancelled : AttemptOutcome::kPreempted;
  attempt.lost_steps = LostSteps(job);
  job.preemptions += job.state == JobState::kPreempting ? 1 : 0;
  StateReason reason = job.reason;
  if (!cancelled && attempt.lost_steps > 0) {
    absl::StrAppend(&reason.message, "; ", attempt.lost_steps, " updates are to be done again");
  }
  // All three states can be stopped.
  Move(job, JobEvent::kStopped, std::move(reason), "coordinator", now).IgnoreError();
}

void Core::Succeed(JobRecord& job, const GangVerdict& verdict, absl::Time now) {
  AttemptRecord& attempt = job.attempts.back();
  const std::string reports = absl::StrCat("reports/", job.uid, "/e", attempt.epoch);
  const bool evaluates = job.kind == cluster::JobKind::kEvaluate;
  const bool has_report =
      verdict.report_path == reports || storage::IsInside(verdict.report_path, reports);
  FailureRecord failure;
  // The report is all that an evaluation leaves; the work of others counts without.
  if (evaluates && !has_report) {
    failure.message = absl::StrCat("all ranks ended well, but the report '", verdict.report_path,
                                   "' does not lie in ", reports);
  } else if (!evaluates && job.latest_checkpoint.empty()) {
    failure.message = "all ranks ended well, but no checkpoint was committed";
  } else {
    attempt.outcome = AttemptOutcome::kSucceeded;
    job.report_path = has_report ? verdict.report_path : std::string();
    if (job.state == JobState::kStarting) {
      // A short job can end before its ranks were seen at work.
      Move(job, JobEvent::kAllJoined, {}, "coordinator", now).IgnoreError();
    }
    Move(job, JobEvent::kFinished, {}, "coordinator", now).IgnoreError();
    return;
  }
  attempt.failure = std::move(failure);
  attempt.outcome = AttemptOutcome::kFailed;
  RetryOrFail(job, now);
}

// The attempt has ended with a failure; budgets decide about another one.
void Core::RetryOrFail(JobRecord& job, absl::Time now) {
  AttemptRecord& attempt = job.attempts.back();
  const FailureRecord failure = *attempt.failure;
  attempt.lost_steps = LostSteps(job);
  if (job.state != JobState::kRecovering) {
    Move(job, JobEvent::kAttemptBroke, ReasonOf(failure), "coordinator", now).IgnoreError();
  }
  Recovery recovery = DecideRecovery(job, options_);
  job.used_retries = recovery.used_retries;
  job.used_infra_retries = recovery.used_infra_retries;
  job.without_progress = recovery.without_progress;
  job.failed_starts = recovery.failed_starts;
  BlameWorker(job, failure, now);
  if (!recovery.retry) {
    Move(job, JobEvent::kGiveUp, std::move(recovery.reason), "coordinator", now).IgnoreError();
    return;
  }
  job.not_before = now + recovery.wait;
  Move(job, JobEvent::kRetry, recovery.reason, "coordinator", now).IgnoreError();
  if (recovery.hold) {
    HoldJob(job.uid, recovery.reason.message, now);
  }
  if (job.desired == cluster::Desired::kPause) {
    // It broke while it was being paused: now it can be.
    Move(job, JobEvent::kPauseAsked, recovery.reason, "coordinator", now).IgnoreError();
    Move(job, JobEvent::kStopped, recovery.reason, "coordinator", now).IgnoreError();
  }
}

// What a failure means for the worker that it happened on.
void Core::BlameWorker(JobRecord& job, const FailureRecord& failure, absl::Time now) {
  if (failure.worker.empty() || !BlamesHost(failure)) {
    return;
  }
  if (failure.failure_class == FailureClass::kHardware) {
    CountHardwareFault(failure.worker, now);
  }
  std::vector<cluster::ExcludedWorker> excluded = job.excluded_workers;
  const bool known = std::any_of(excluded.begin(), excluded.end(),
                                 [&](const auto& entry) { return entry.worker == failure.worker; });
  excluded.push_back({failure.worker, Describe(failure)});
  // Better the same worker again than none.
  if (!known && CanHold(job, excluded)) {
    job.excluded_workers = std::move(excluded);
    AddEvent(
        job.uid, "coordinator", "WORKER_EXCLUDED",
        absl::StrCat("is not placed on worker ", failure.worker, " any more: ", Describe(failure)),
        now);
  }
}

}  // namespace g2ll::coordinator
