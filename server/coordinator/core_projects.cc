// Indices of waiting jobs, and what projects use.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {
namespace {

using cluster::JobRecord;
using cluster::JobState;

// Usage is stored at least so often while a project runs something.
constexpr absl::Duration kStoreUsageEvery = absl::Minutes(1);

void Count(std::map<std::string, int64_t>& counts, const std::string& key, int64_t change) {
  if ((counts[key] += change) == 0) {
    counts.erase(key);
  }
}

int64_t CountOf(const std::map<std::string, int64_t>& counts, const std::string& key) {
  const auto count = counts.find(key);
  return count == counts.end() ? 0 : count->second;
}

std::string QueueName(const std::string& project, const std::string& queue) {
  return absl::StrCat("projects/", project, "/queues/", queue);
}

}  // namespace

void Core::IndexPending(const JobRecord& job) {
  const auto entry = pending_.find(job.uid);
  if (entry != pending_.end()) {
    Count(waiting_in_project_, entry->second.project, -1);
    Count(waiting_in_queue_, entry->second.queue, -1);
    pending_.erase(entry);
  }
  const auto stored = jobs_.find(job.uid);
  if (stored == jobs_.end() || job.state != JobState::kPending) {
    return;
  }
  const std::string queue = QueueName(job.project, job.queue);
  Count(waiting_in_project_, job.project, 1);
  Count(waiting_in_queue_, queue, 1);
  pending_.emplace(job.uid, Waiting{&stored->second, job.project, queue});
}

void Core::IndexChild(const JobRecord& job) {
  for (const cluster::Dependency& dependency : job.dependencies) {
    if (!cluster::IsTerminal(job.state)) {
      children_[dependency.uid].insert(job.uid);
      continue;
    }
    const auto children = children_.find(dependency.uid);
    if (children != children_.end() && children->second.erase(job.uid) > 0 &&
        children->second.empty()) {
      children_.erase(children);
    }
  }
}

void Core::LearnRuntime(const JobRecord& job) {
  // What went on from a checkpoint did not take its whole time at once.
  if (job.state == JobState::kSucceeded && job.attempts.size() == 1 && job.spec_hash != 0) {
    runtimes_[job.spec_hash] = job.attempts[0].end_time - job.attempts[0].start_time;
  }
}

absl::Status Core::CheckQueue(const std::string& project, const std::string& queue) const {
  int64_t limit = options_.max_pending_jobs;
  if (const auto settings = projects_.find(project);
      settings != projects_.end() && settings->second.max_waiting_jobs > 0) {
    limit = std::min<int64_t>(limit, settings->second.max_waiting_jobs);
  }
  std::string where = absl::StrCat("project ", project);
  int64_t waiting = CountOf(waiting_in_project_, project);
  const std::string name = QueueName(project, queue);
  if (const auto settings = queues_.find(name);
      waiting < limit && settings != queues_.end() && settings->second.max_waiting_jobs > 0) {
    limit = settings->second.max_waiting_jobs;
    where = absl::StrCat("queue ", name);
    waiting = CountOf(waiting_in_queue_, name);
  }
  if (waiting < limit) {
    return absl::OkStatus();
  }
  return net::WithReason(absl::ResourceExhaustedError(
                             absl::StrCat(where, " has ", waiting, " waiting jobs, the limit is ",
                                          limit, ": submit again when some have started")),
                         "QUEUE_FULL", {{"limit", absl::StrCat(limit)}});
}

int64_t Core::WaitingInProject(const std::string& project) const {
  return CountOf(waiting_in_project_, project);
}

int64_t Core::WaitingInQueue(const std::string& full_name) const {
  return CountOf(waiting_in_queue_, full_name);
}

cluster::ProjectRecord& Core::ProjectFor(const std::string& name) {
  cluster::ProjectRecord& project = projects_[name];
  project.name = name;
  return project;
}

void Core::ChargeUsage(absl::Time now) {
  const bool store = now - usage_stored_ >= kStoreUsageEvery;
  std::map<std::string, int32_t> slots;
  for (const std::string& uid : placed_) {
    const JobRecord& job = *jobs_.at(uid);
    slots[job.project] += job.LiveAttempt()->world_size();
  }
  // What ran since the last time is what was placed then; after a restart nothing is
  // known of then, and what runs now ran all the time.
  std::map<std::string, int32_t> before = std::exchange(used_slots_, slots);
  if (usage_stored_ == absl::InfinitePast()) {
    before = slots;
  }
  for (const auto& [name, count] : slots) {
    before.emplace(name, 0);
  }
  for (const auto& [name, count] : before) {
    cluster::ProjectRecord& project = ProjectFor(name);
    const scheduler::Usage usage = scheduler::Charged({project.recent_usage, project.usage_time},
                                                      count, now, options_.scheduling.fair_share);
    if (project.usage_time != absl::InfinitePast() && now > project.usage_time) {
      project.slot_seconds += count * absl::ToDoubleSeconds(now - project.usage_time);
    }
    project.recent_usage = usage.slot_seconds;
    project.usage_time = usage.as_of;
    const auto current = slots.find(name);
    if (store || current == slots.end() || current->second != count) {
      batch_.projects.push_back(project);
    }
  }
  if (store) {
    usage_stored_ = now;
  }
}

void Core::ChargeEntry(const std::string& name, int32_t slots, absl::Time now) {
  cluster::ProjectRecord& project = ProjectFor(name);
  const scheduler::Usage usage = scheduler::ChargedForEntry(
      {project.recent_usage, project.usage_time}, slots, now, options_.scheduling.fair_share);
  project.recent_usage = usage.slot_seconds;
  project.usage_time = usage.as_of;
  used_slots_[name] += slots;
  batch_.projects.push_back(project);
}

}  // namespace g2ll::coordinator
