// The life of an attempt: what the gang's reports lead to.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/log.h"
#include "server/coordinator/core.h"
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

// The state reason of a job whose attempt broke.
StateReason ReasonOf(const FailureRecord& failure) {
  return {
      failure.reason.empty() ? std::string(cluster::Name(failure.failure_class)) : failure.reason,
      Describe(failure)};
}

bool StopWasAsked(JobState state) {
  return state == JobState::kCancelling || state == JobState::kPausing ||
         state == JobState::kPreempting;
}

}  // namespace

std::vector<GangMember> Core::ViewGang(const JobRecord& job, const AttemptRecord& attempt) const {
  std::vector<GangMember> members = MembersOf(attempt);
  for (GangMember& member : members) {
    const auto found = workers_.find(member.worker);
    if (found == workers_.end()) {
      continue;  // Known only after a reload; AdoptWorkers knows all others.
    }
    const Worker& worker = found->second;
    member.lost = worker.record.state == cluster::WorkerState::kLost;
    member.reported = worker.reported;
    member.seen = worker.seen.contains({job.uid, attempt.epoch});
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
  const GangVerdict verdict = coordinator::Judge(attempt, ViewGang(*job, attempt), options_, now);
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
    if (edited.state == JobState::kStarting) {
      // STARTING can always be joined.
      Move(edited, JobEvent::kAllJoined, {}, "coordinator", now).IgnoreError();
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
  if (StopWasAsked(job.state)) {
    attempt.outcome = job.state == JobState::kCancelling ? AttemptOutcome::kCancelled
                                                         : AttemptOutcome::kPreempted;
    const StateReason reason = job.reason;
    // All three states can be stopped.
    Move(job, JobEvent::kStopped, reason, "coordinator", now).IgnoreError();
    return;
  }
  if (!attempt.failure.has_value() && verdict.all_succeeded) {
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

// The attempt has ended with a failure; a budget decides about another one.
void Core::RetryOrFail(JobRecord& job, absl::Time now) {
  const AttemptRecord& attempt = job.attempts.back();
  const FailureRecord& failure = *attempt.failure;
  if (job.state != JobState::kRecovering) {
    Move(job, JobEvent::kAttemptBroke, ReasonOf(failure), "coordinator", now).IgnoreError();
  }
  const bool infrastructure = cluster::IsInfrastructureFault(failure.failure_class);
  int32_t& used = infrastructure ? job.used_infra_retries : job.used_retries;
  const int32_t limit = infrastructure ? job.max_infra_retries : job.max_retries;
  const char* budget = infrastructure ? "policy.maxInfraRetries" : "policy.maxRetries";
  if (limit >= 0 && used >= limit) {
    StateReason reason = ReasonOf(failure);
    absl::StrAppend(&reason.message, "; attempt ", attempt.number, ", no restart left (", budget,
                    " ", limit, ")");
    Move(job, JobEvent::kGiveUp, std::move(reason), "coordinator", now).IgnoreError();
    return;
  }
  ++used;
  const int32_t failures = job.used_retries + job.used_infra_retries;
  absl::Duration wait = absl::ZeroDuration();
  if (failures > 1) {
    wait = options_.first_backoff;
    for (int32_t i = 2; i < failures && wait < options_.longest_backoff; ++i) {
      wait *= 2;
    }
    wait = std::min(wait, options_.longest_backoff);
  }
  job.not_before = now + wait;
  StateReason reason{
      "RETRYING",
      absl::StrCat("attempt ", attempt.number, " broke (", Describe(failure), "); goes on from ",
                   job.latest_checkpoint.empty()
                       ? "the start"
                       : absl::StrCat("step ", job.latest_checkpoint_step))};
  Move(job, JobEvent::kRetry, std::move(reason), "coordinator", now).IgnoreError();
}

}  // namespace g2ll::coordinator
