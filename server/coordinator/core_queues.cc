// Queues and the settings of projects.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {
namespace {

using cluster::ProjectRecord;
using cluster::QueueRecord;

constexpr char kDefaultQueue[] = "default";

absl::Status NoQueue(const std::string& name) {
  return net::WithReason(absl::NotFoundError(absl::StrCat(name, " does not exist")),
                         "QUEUE_NOT_FOUND", {{"queue", name}});
}

absl::Status CheckEtag(const std::string& name, int64_t revision, const std::string& etag) {
  if (etag.empty() || etag == absl::StrCat(revision)) {
    return absl::OkStatus();
  }
  return net::WithReason(
      absl::AbortedError(absl::StrCat(name, " has changed since etag ", etag, " (it is ", revision,
                                      " now): read it again, then decide")),
      "ETAG_MISMATCH", {{"etag", absl::StrCat(revision)}});
}

}  // namespace

QueueState Core::StateOf(const QueueRecord& queue) const {
  QueueState state{queue, WaitingInQueue(queue.FullName()), 0};
  for (const std::string& uid : placed_) {
    const cluster::JobRecord& job = *jobs_.at(uid);
    state.running += job.project == queue.project && job.queue == queue.name ? 1 : 0;
  }
  return state;
}

absl::StatusOr<QueueState> Core::CreateQueue(QueueRecord queue) {
  const std::string name = queue.FullName();
  if (queue.name == kDefaultQueue || queues_.contains(name)) {
    return net::WithReason(
        absl::AlreadyExistsError(absl::StrCat(name, " exists already: change it with UpdateQueue")),
        "QUEUE_EXISTS", {{"queue", name}});
  }
  queue.revision = 1;
  batch_.queues.push_back(queue);
  must_schedule_ = true;
  return StateOf(queues_[name] = std::move(queue));
}

absl::StatusOr<QueueState> Core::GetQueue(const std::string& project,
                                          const std::string& queue) const {
  QueueRecord record;
  record.project = project;
  record.name = queue;
  const auto stored = queues_.find(record.FullName());
  if (stored != queues_.end()) {
    return StateOf(stored->second);
  }
  if (queue == kDefaultQueue) {
    return StateOf(record);
  }
  return NoQueue(record.FullName());
}

std::vector<QueueState> Core::ListQueues(const std::string& project) const {
  std::map<std::string, QueueRecord> found;
  const auto add_default = [&](const std::string& name) {
    QueueRecord record;
    record.project = name;
    record.name = kDefaultQueue;
    found.emplace(record.FullName(), record);
  };
  if (project.empty()) {
    for (const std::string& name : ProjectNames()) {
      add_default(name);
    }
  } else {
    add_default(project);
  }
  for (const auto& [name, queue] : queues_) {
    if (project.empty() || queue.project == project) {
      found[name] = queue;
    }
  }
  std::vector<QueueState> queues;
  for (const auto& [name, queue] : found) {
    queues.push_back(StateOf(queue));
  }
  return queues;
}

absl::StatusOr<QueueState> Core::UpdateQueue(const std::string& project, const std::string& queue,
                                             const std::string& etag,
                                             const std::function<void(QueueRecord&)>& change) {
  G2LL_ASSIGN_OR_RETURN(QueueState state, GetQueue(project, queue));
  QueueRecord& record = state.queue;
  G2LL_RETURN_IF_ERROR(CheckEtag(record.FullName(), record.revision, etag));
  change(record);
  ++record.revision;
  queues_[record.FullName()] = record;
  batch_.queues.push_back(record);
  must_schedule_ = true;
  return state;
}

absl::Status Core::DeleteQueue(const std::string& project, const std::string& queue) {
  G2LL_RETURN_IF_ERROR(GetQueue(project, queue).status());
  QueueRecord record;
  record.project = project;
  record.name = queue;
  const std::string name = record.FullName();
  if (queue == kDefaultQueue) {
    return net::WithReason(
        absl::FailedPreconditionError(absl::StrCat(name, " is there for every project")),
        "QUEUE_IS_DEFAULT", {{"queue", name}});
  }
  const auto inside = std::count_if(unfinished_.begin(), unfinished_.end(), [&](const auto& uid) {
    return jobs_.at(uid)->project == project && jobs_.at(uid)->queue == queue;
  });
  if (inside > 0) {
    return net::WithReason(
        absl::FailedPreconditionError(absl::StrCat(
            name, " has ", inside, " jobs that have not ended: move them to another queue first")),
        "QUEUE_NOT_EMPTY", {{"queue", name}});
  }
  queues_.erase(name);
  std::erase_if(batch_.queues, [&](const QueueRecord& row) { return row.FullName() == name; });
  batch_.deleted_queues.push_back(name);
  return absl::OkStatus();
}

std::set<std::string> Core::ProjectNames() const {
  std::set<std::string> names;
  for (const auto& [name, project] : projects_) {
    names.insert(name);
  }
  for (const auto& [uid, job] : jobs_) {
    names.insert(job->project);
  }
  return names;
}

ProjectState Core::StateOf(const ProjectRecord& project) const {
  ProjectState state{project, WaitingInProject(project.name), 0, 0};
  for (const std::string& uid : placed_) {
    const cluster::JobRecord& job = *jobs_.at(uid);
    if (job.project == project.name) {
      ++state.running;
      state.used_slots += job.LiveAttempt()->world_size();
    }
  }
  return state;
}

absl::StatusOr<ProjectState> Core::GetProject(const std::string& name, absl::Time now) const {
  ProjectRecord record;
  record.name = name;
  const auto stored = projects_.find(name);
  if (stored != projects_.end()) {
    record = stored->second;
  } else if (std::none_of(jobs_.begin(), jobs_.end(),
                          [&](const auto& job) { return job.second->project == name; })) {
    return net::WithReason(
        absl::NotFoundError(absl::StrCat("projects/", name, " has neither jobs nor settings")),
        "PROJECT_NOT_FOUND", {{"project", name}});
  }
  const scheduler::Usage usage = scheduler::Decayed({record.recent_usage, record.usage_time}, now,
                                                    options_.scheduling.fair_share);
  record.recent_usage = usage.slot_seconds;
  record.usage_time = usage.as_of;
  return StateOf(record);
}

std::vector<ProjectState> Core::ListProjects(absl::Time now) const {
  std::vector<ProjectState> projects;
  for (const std::string& name : ProjectNames()) {
    // All of them exist.
    projects.push_back(GetProject(name, now).value());
  }
  return projects;
}

absl::StatusOr<ProjectState> Core::UpdateProject(const std::string& name, const std::string& etag,
                                                 const std::function<void(ProjectRecord&)>& change,
                                                 absl::Time now) {
  const auto stored = projects_.find(name);
  const int64_t revision = stored == projects_.end() ? 0 : stored->second.revision;
  G2LL_RETURN_IF_ERROR(CheckEtag(absl::StrCat("projects/", name), revision, etag));
  ProjectRecord& project = ProjectFor(name);
  change(project);
  ++project.revision;
  batch_.projects.push_back(project);
  must_schedule_ = true;
  return GetProject(name, now);
}

}  // namespace g2ll::coordinator
