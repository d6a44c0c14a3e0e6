// Commands of users: create, read and delete jobs.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"
#include "server/storage/sha256.h"

namespace g2ll::coordinator {
namespace {

using cluster::JobEvent;
using cluster::JobRecord;
using cluster::JobState;
using cluster::StateReason;

constexpr char kJobPrefix[] = "job/";
constexpr char kCheckpointPrefix[] = "checkpoint/";

absl::Status NotFound(const std::string& full_name) {
  return net::WithReason(absl::NotFoundError(absl::StrCat(full_name, " does not exist")),
                         "JOB_NOT_FOUND", {{"job", full_name}});
}

absl::Status SourceNotFound(const std::string& what) {
  return net::WithReason(absl::FailedPreconditionError(what), "SOURCE_NOT_FOUND");
}

// Version 4 UUID.
std::string NewUid() {
  std::string hex = storage::RandomHex(16);
  hex[12] = '4';
  hex[16] = "89ab"[hex[16] % 4];
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                      hex.substr(16, 4), "-", hex.substr(20));
}

}  // namespace

absl::StatusOr<JobPtr> Core::Lookup(const std::string& full_name) const {
  const auto uid = uid_by_name_.find(full_name);
  if (uid == uid_by_name_.end()) {
    return NotFound(full_name);
  }
  return Find(uid->second);
}

absl::StatusOr<JobPtr> Core::GetJob(const std::string& full_name) const {
  return Lookup(full_name);
}

std::vector<JobPtr> Core::JobsOf(const std::string& project) const {
  std::vector<JobPtr> jobs;
  for (const auto& [time, uid] : by_time_) {
    JobPtr job = Find(uid);
    if (project.empty() || job->project == project) {
      jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

void Core::AnswerJob(const JobAnswer& answer, absl::StatusOr<JobPtr> result) {
  AfterCommit([answer, result = std::move(result)](const absl::Status& committed) {
    answer(committed.ok() ? result : committed);
  });
}

absl::StatusOr<std::optional<JobPtr>> Core::FindEarlier(const CreateJobCommand& command) const {
  const auto request = requests_.find(command.request_id);
  if (!command.request_id.empty() && request != requests_.end()) {
    if (request->second.fingerprint != command.fingerprint) {
      return net::WithReason(absl::InvalidArgumentError(
                                 absl::StrCat("request_id ", command.request_id,
                                              " was used for another request: choose a new one")),
                             "REQUEST_ID_REUSED");
    }
    JobPtr job = Find(request->second.job_uid);
    if (job == nullptr) {
      return net::WithReason(absl::FailedPreconditionError(
                                 absl::StrCat("the job of request_id ", command.request_id,
                                              " has been deleted: use a new request_id to create "
                                              "it again")),
                             "JOB_DELETED");
    }
    return std::optional<JobPtr>(std::move(job));
  }
  const absl::StatusOr<JobPtr> taken = Lookup(command.job.FullName());
  if (!taken.ok()) {
    return std::optional<JobPtr>();
  }
  if (*(*taken)->spec == *command.job.spec && (*taken)->labels == command.job.labels) {
    return std::optional<JobPtr>(*taken);
  }
  return net::WithReason(absl::AlreadyExistsError(absl::StrCat(
                             command.job.FullName(),
                             " exists with another spec: choose another name, or delete that "
                             "job when it has ended")),
                         "NAME_TAKEN", {{"job", command.job.FullName()}});
}

absl::Status Core::ResolveDependencies(CreateJobCommand* command) const {
  JobRecord& job = command->job;
  std::vector<std::string> names = command->depends_on;
  if (job.source.starts_with(kJobPrefix)) {
    names.push_back(job.source.substr(sizeof(kJobPrefix) - 1));
  } else if (job.source.starts_with(kCheckpointPrefix) &&
             !checkpoints_.contains(job.source.substr(sizeof(kCheckpointPrefix) - 1))) {
    return SourceNotFound(absl::StrCat("from: ", job.source, " names no checkpoint"));
  }
  job.dependencies.clear();
  for (const std::string& name : names) {
    const std::string full_name = absl::StrCat("projects/", job.project, "/jobs/", name);
    const absl::StatusOr<JobPtr> parent = Lookup(full_name);
    if (!parent.ok()) {
      return SourceNotFound(absl::StrCat("job ", name,
                                         " that this job needs does not exist in "
                                         "project ",
                                         job.project, ": submit it first"));
    }
    const JobState state = (*parent)->state;
    if (state == JobState::kFailed || state == JobState::kCancelled) {
      return net::WithReason(
          absl::FailedPreconditionError(absl::StrCat("job ", name, " that this job needs is ",
                                                     std::string(cluster::Name(state)))),
          "SOURCE_ENDED", {{"job", full_name}, {"state", std::string(cluster::Name(state))}});
    }
    const bool known =
        std::any_of(job.dependencies.begin(), job.dependencies.end(),
                    [&](const cluster::Dependency& dependency) { return dependency.name == name; });
    if (!known) {
      job.dependencies.push_back({name, (*parent)->uid});
    }
  }
  return absl::OkStatus();
}

absl::Status Core::CheckQueueExists(const std::string& project, const std::string& queue) const {
  const std::string name = absl::StrCat("projects/", project, "/queues/", queue);
  if (queue == "default" || queues_.contains(name)) {
    return absl::OkStatus();
  }
  return net::WithReason(
      absl::FailedPreconditionError(absl::StrCat("spec.policy.queue: ", name,
                                                 " does not exist: make it first, or use default")),
      "QUEUE_NOT_FOUND", {{"queue", name}});
}

void Core::CreateJob(CreateJobCommand command, JobAnswer answer, absl::Time now) {
  if (!closed_.ok()) {
    return AnswerJob(answer, closed_);
  }
  const absl::StatusOr<std::optional<JobPtr>> earlier = FindEarlier(command);
  if (!earlier.ok()) {
    return AnswerJob(answer, earlier.status());
  }
  if (earlier->has_value()) {
    return AnswerJob(answer, **earlier);
  }
  // A job that is only checked may need one of the same file, which nobody has stored yet:
  // its data are looked at all the same.
  if (const absl::Status status = ResolveDependencies(&command);
      !status.ok() && !command.validate_only) {
    return AnswerJob(answer, status);
  }
  if (const absl::Status status = CheckQueueExists(command.job.project, command.job.queue);
      !status.ok()) {
    return AnswerJob(answer, status);
  }
  if (const absl::Status status = CheckQueue(command.job.project, command.job.queue);
      !status.ok()) {
    return AnswerJob(answer, status);
  }
  const bool is_fine = IsKnownFine(command.job, now);
  CheckWaiter waiter{now + options_.create_check_timeout,
                     Creation{std::move(command), std::move(answer)}, ""};
  if (is_fine) {
    cluster::DataCheckResult fine;
    fine.ok = true;
    FinishCreation(*std::move(waiter.creation), &fine, now);
  } else if (!Ask(waiter.creation->command.job, waiter)) {
    FinishCreation(*std::move(waiter.creation), nullptr, now);
  }
}

// `result` is what a worker found, or null if none has looked in time.
void Core::FinishCreation(Creation creation, const cluster::DataCheckResult* result,
                          absl::Time now) {
  CreateJobCommand& command = creation.command;
  // While the check ran an equal request may have been stored, or a job that this
  // one needs may have ended.
  const absl::StatusOr<std::optional<JobPtr>> earlier = FindEarlier(command);
  if (!earlier.ok()) {
    return AnswerJob(creation.answer, earlier.status());
  }
  if (earlier->has_value()) {
    return AnswerJob(creation.answer, **earlier);
  }
  if (result != nullptr && !result->ok) {
    return AnswerJob(creation.answer,
                     net::WithReason(absl::FailedPreconditionError(DataFault(*result)),
                                     "DATASET_NOT_FOUND", {{"source", command.job.data_source}}));
  }
  if (const absl::Status status = ResolveDependencies(&command); !status.ok()) {
    return AnswerJob(creation.answer, status);
  }
  if (const absl::Status status = CheckQueue(command.job.project, command.job.queue);
      !status.ok()) {
    return AnswerJob(creation.answer, status);
  }
  const JobAnswer answer = std::move(creation.answer);
  AnswerJob(answer, StoreJob(std::move(command), result != nullptr, now));
}

void Core::Derive(JobRecord& job) { job.spec_hash = std::hash<std::string>()(*job.spec); }

JobPtr Core::StoreJob(CreateJobCommand command, bool data_checked, absl::Time now) {
  auto job = std::make_shared<JobRecord>(std::move(command.job));
  job->state = JobState::kPending;
  job->data_checked = data_checked;
  job->create_time = now;
  job->revision = 1;
  job->reason = data_checked
                    ? StateReason{"QUEUED", "stored; the next cycle looks for places"}
                    : StateReason{"DATA_NOT_CHECKED", "no worker has looked at data.source yet"};
  if (command.validate_only) {
    return job;
  }
  job->uid = NewUid();
  if (!command.request_id.empty()) {
    RememberRequest({command.request_id, command.fingerprint, job->uid, now});
  }
  Derive(*job);
  jobs_[job->uid] = job;
  edited_[job->uid] = job;
  IndexChild(*job);
  IndexPending(*job);
  uid_by_name_[job->FullName()] = job->uid;
  by_time_.emplace(job->create_time, job->uid);
  unfinished_.insert(job->uid);
  CountJob(job->state, 1);
  if (!data_checked) {
    unchecked_.insert(job->uid);
  }
  AddEvent(job->uid, "user", "CREATED", "stored", now);
  must_schedule_ = true;
  G2LL_FAILPOINT("core.job.created");
  return job;
}

absl::Status Core::DeleteJob(const JobRequest& request) {
  G2LL_ASSIGN_OR_RETURN(const JobPtr job, LookupForChange(request));
  const std::string& full_name = request.name;
  if (!cluster::IsTerminal(job->state)) {
    const std::string state(cluster::Name(job->state));
    return net::WithReason(
        absl::FailedPreconditionError(absl::StrCat(
            full_name, " is ", state, ": only ended jobs can be deleted; cancel it first")),
        "NOT_TERMINAL", {{"state", state}});
  }
  if (const auto children = children_.find(job->uid); children != children_.end()) {
    const std::string child = NameOf(*children->second.begin());
    return net::WithReason(absl::FailedPreconditionError(absl::StrCat(
                               full_name, " is needed by ", child, ", which has not ended")),
                           "HAS_DEPENDENTS", {{"job", child}});
  }
  G2LL_RETURN_IF_ERROR(CheckUnused(*job));
  RemoveJob(job->uid);
  return absl::OkStatus();
}

}  // namespace g2ll::coordinator
