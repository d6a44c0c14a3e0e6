// What users, operators and the scheduler ask of a job that exists: stop, wait, go on,
// change. Every wish is stored before anything acts on it, so a restart in between
// carries it out.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptRecord;
using cluster::AttemptState;
using cluster::Desired;
using cluster::JobEvent;
using cluster::JobRecord;
using cluster::JobState;
using cluster::StateReason;

absl::Status Refused(const JobRecord& job, const std::string& what, const char* reason) {
  return net::WithReason(
      absl::FailedPreconditionError(absl::StrCat(job.FullName(), " ", what)), reason,
      {{"job", job.FullName()}, {"state", std::string(cluster::Name(job.state))}});
}

// `cancelled by a user`, with the user's reason where one is given.
std::string ByUser(const char* what, const std::string& reason) {
  return absl::StrCat(what, " by a user", reason.empty() ? "" : ": ", reason);
}

bool IsPlaced(JobState state) {
  return state == JobState::kStarting || state == JobState::kRunning;
}

}  // namespace

absl::StatusOr<JobPtr> Core::LookupForChange(const JobRequest& request) const {
  G2LL_ASSIGN_OR_RETURN(JobPtr job, Lookup(request.name));
  const std::string etag = absl::StrCat(job->revision);
  if (!request.etag.empty() && request.etag != etag) {
    return net::WithReason(
        absl::AbortedError(absl::StrCat(request.name, " has changed since etag ", request.etag,
                                        " (it is ", etag, " now): read it again, then decide")),
        "ETAG_MISMATCH", {{"job", request.name}, {"etag", etag}});
  }
  return job;
}

absl::StatusOr<JobPtr> Core::LookupLive(const JobRequest& request) const {
  G2LL_ASSIGN_OR_RETURN(JobPtr job, LookupForChange(request));
  if (cluster::IsTerminal(job->state)) {
    return Refused(*job,
                   absl::StrCat("has ended already: ", std::string(cluster::Name(job->state))),
                   "ALREADY_TERMINAL");
  }
  return job;
}

absl::Status Core::AskToStop(const std::string& job_uid, const StopRequest& request,
                             absl::Time now) {
  JobRecord& job = Edit(job_uid);
  G2LL_RETURN_IF_ERROR(Move(job, request.event, request.reason, request.actor, now));
  G2LL_FAILPOINT("core.stop.asked");
  AttemptRecord* attempt = job.LiveAttempt();
  if (attempt == nullptr) {
    return Move(job, JobEvent::kStopped, request.reason, "coordinator", now);
  }
  attempt->stop_reason = request.reason.message;
  attempt->stopped_for = request.stopped_for;
  attempt->kill |= request.kill;
  const bool at_checkpoint =
      request.event != JobEvent::kCancelAsked && attempt->state == AttemptState::kRunning;
  if (at_checkpoint) {
    attempt->stop_deadline = now + job.grace;
  } else if (attempt->state != AttemptState::kStopping) {
    attempt->state = AttemptState::kStopping;
    attempt->state_time = now;
  }
  Reconcile(job_uid, now);
  return absl::OkStatus();
}

absl::StatusOr<JobPtr> Core::CancelJob(const JobRequest& request, bool kill, absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(const JobPtr found, LookupForChange(request));
  if (found->state == JobState::kCancelled) {
    return found;
  }
  G2LL_RETURN_IF_ERROR(LookupLive(request).status());
  if (found->state == JobState::kCancelling) {
    if (kill && found->LiveAttempt() != nullptr && !found->LiveAttempt()->kill) {
      Edit(found->uid).LiveAttempt()->kill = true;
      AddEvent(found->uid, "user", "KILL_ASKED", ByUser("killed", request.reason), now);
    }
    return Find(found->uid);
  }
  Edit(found->uid).desired = Desired::kCancel;
  const StateReason why{"CANCELLED_BY_USER", ByUser(kill ? "killed" : "cancelled", request.reason)};
  G2LL_RETURN_IF_ERROR(AskToStop(
      found->uid, {.event = JobEvent::kCancelAsked, .reason = why, .actor = "user", .kill = kill},
      now));
  return Find(found->uid);
}

absl::StatusOr<JobPtr> Core::PauseJob(const JobRequest& request, absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(const JobPtr found, LookupLive(request));
  if (found->state == JobState::kPaused || found->state == JobState::kPausing) {
    return found;
  }
  if (found->state == JobState::kCancelling) {
    return Refused(*found, "is being cancelled and cannot be paused", "STOPPING");
  }
  JobRecord& job = Edit(found->uid);
  job.desired = Desired::kPause;
  const StateReason why{"PAUSED_BY_USER", ByUser("paused", request.reason)};
  G2LL_RETURN_IF_ERROR(
      AskToStop(found->uid, {.event = JobEvent::kPauseAsked, .reason = why, .actor = "user"}, now));
  return Find(found->uid);
}

absl::StatusOr<JobPtr> Core::ResumeJob(const JobRequest& request, absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(const JobPtr found, LookupLive(request));
  if (found->state == JobState::kPausing) {
    return Refused(*found, "is still being paused: resume it once it is PAUSED", "NOT_PAUSED");
  }
  if (found->state == JobState::kCancelling) {
    return Refused(*found, "is being cancelled and cannot go on", "STOPPING");
  }
  if (found->state != JobState::kPaused && !found->held) {
    return found;
  }
  JobRecord& job = Edit(found->uid);
  job.desired = Desired::kRun;
  job.held = false;
  G2LL_FAILPOINT("core.job.resumed");
  job.failed_starts = 0;
  job.without_progress = 0;
  job.not_before = absl::InfinitePast();
  const StateReason why{"QUEUED", ByUser("resumed", request.reason)};
  if (job.state == JobState::kPaused) {
    G2LL_RETURN_IF_ERROR(Move(job, JobEvent::kResumeAsked, why, "user", now));
  } else {
    job.reason = why;
    AddEvent(job.uid, "user", "RELEASED", why.message, now);
    must_schedule_ = true;
  }
  return Find(found->uid);
}

absl::StatusOr<JobPtr> Core::RequeueJob(const JobRequest& request, const std::string& request_id,
                                        absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(const JobPtr found, Lookup(request.name));
  const std::string fingerprint = absl::StrCat("requeue ", found->uid);
  if (const auto earlier = requests_.find(request_id);
      !request_id.empty() && earlier != requests_.end()) {
    if (earlier->second.fingerprint != fingerprint) {
      return net::WithReason(
          absl::InvalidArgumentError(absl::StrCat("request_id ", request_id,
                                                  " was used for another request: choose a new "
                                                  "one")),
          "REQUEST_ID_REUSED");
    }
    return found;
  }
  G2LL_RETURN_IF_ERROR(LookupLive(request).status());
  if (found->state == JobState::kCancelling || found->state == JobState::kPausing ||
      found->state == JobState::kPaused) {
    return Refused(*found,
                   absl::StrCat("is ", std::string(cluster::Name(found->state)),
                                " and cannot be requeued: resume it, or let it end"),
                   "STOPPING");
  }
  if (!request_id.empty()) {
    RememberRequest({request_id, fingerprint, found->uid, now});
  }
  const std::string why = ByUser("requeued", request.reason);
  if (IsPlaced(found->state)) {
    G2LL_RETURN_IF_ERROR(AskToStop(
        found->uid,
        {.event = JobEvent::kPreemptAsked, .reason = {"REQUEUED_BY_USER", why}, .actor = "user"},
        now));
  } else {
    AddEvent(found->uid, "user", "REQUEUED", why, now);
  }
  G2LL_FAILPOINT("core.job.requeued");
  JobRecord& job = Edit(found->uid);
  job.not_before = absl::InfinitePast();
  job.excluded_workers.clear();
  job.failed_starts = 0;
  must_schedule_ = true;
  return Find(found->uid);
}

absl::StatusOr<JobPtr> Core::UpdateJob(const JobRequest& request, const JobChange& change,
                                       bool validate_only, absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(const JobPtr found, LookupLive(request));
  JobRecord changed = *found;
  G2LL_RETURN_IF_ERROR(change(changed));
  if (changed.queue != found->queue && found->state != JobState::kPending) {
    return Refused(*found,
                   absl::StrCat("is ", std::string(cluster::Name(found->state)),
                                ": spec.policy.queue can change only while it is PENDING"),
                   "IMMUTABLE_IN_STATE");
  }
  G2LL_RETURN_IF_ERROR(CheckQueueExists(changed.project, changed.queue));
  if (validate_only) {
    return std::make_shared<const JobRecord>(std::move(changed));
  }
  JobRecord& job = Edit(found->uid);
  changed.revision = job.revision;
  job = std::move(changed);
  Derive(job);
  IndexPending(job);
  AddEvent(job.uid, "user", "UPDATED", "settings changed", now);
  G2LL_FAILPOINT("core.job.updated");
  must_schedule_ = true;
  return Find(found->uid);
}

void Core::RememberRequest(cluster::RequestRecord request) {
  batch_.requests.push_back(request);
  const std::string id = request.request_id;
  requests_[id] = std::move(request);
}

}  // namespace g2ll::coordinator
