// From the state to the snapshot of a scheduling cycle.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coordinator/core.h"
#include "server/coordinator/cycle.h"
#include "server/coordinator/gang.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptRecord;
using cluster::JobRecord;
using cluster::JobState;

// Ranks of an attempt by worker; neighbours share one.
std::vector<scheduler::Share> PlacesOf(const AttemptRecord& attempt, const Cycle& cycle) {
  std::vector<scheduler::Share> places;
  for (const std::string& name : attempt.workers) {
    const auto worker = cycle.workers.find(name);
    if (worker == cycle.workers.end()) {
      continue;  // Gone for good, and its slots with it.
    }
    const auto place =
        std::find_if(places.begin(), places.end(),
                     [&](const scheduler::Share& share) { return share.worker == worker->second; });
    if (place != places.end()) {
      ++place->ranks;
    } else {
      places.push_back({worker->second, 1});
    }
  }
  return places;
}

std::vector<int32_t> ExcludedOf(const JobRecord& job, const Cycle& cycle) {
  std::vector<int32_t> excluded;
  for (const cluster::ExcludedWorker& entry : job.excluded_workers) {
    if (const auto worker = cycle.workers.find(entry.worker); worker != cycle.workers.end()) {
      excluded.push_back(worker->second);
    }
  }
  return excluded;
}

// Index of the job's queue among the stopped ones, or -1.
int32_t StoppedQueueOf(const JobRecord& job, const Cycle& cycle) {
  for (size_t queue = 0; queue < cycle.snapshot.queues.size(); ++queue) {
    const scheduler::QueueView& stopped = cycle.snapshot.queues[queue];
    if (stopped.name == job.queue && stopped.project == job.project) {
      return static_cast<int32_t>(queue);
    }
  }
  return -1;
}

absl::Duration LimitOf(const JobRecord& job) {
  return job.max_runtime > absl::ZeroDuration() ? job.max_runtime : absl::InfiniteDuration();
}

// When the attempt got another number of ranks than the one before.
absl::Time ResizeTime(const JobRecord& job) {
  const size_t count = job.attempts.size();
  if (count < 2 || job.attempts[count - 2].world_size() == job.attempts.back().world_size()) {
    return absl::InfinitePast();
  }
  return job.attempts.back().start_time;
}

}  // namespace

std::string_view Core::Intern(const std::string& name) { return *names_.insert(name).first; }

std::shared_ptr<Cycle> Core::TakeSnapshot(absl::Time now) {
  auto cycle = std::make_shared<Cycle>();
  cycle->time = now;
  AddWorkers(*cycle, now);
  AddStoppedQueues(*cycle);
  cycle->snapshot.pending.reserve(pending_.size());
  for (const auto& [uid, waiting] : pending_) {
    AddPending(*cycle, *waiting.job, now);
  }
  for (const std::string& uid : placed_) {
    AddRunning(*cycle, jobs_.at(uid), now);
  }
  return cycle;
}

void Core::AddWorkers(Cycle& cycle, absl::Time now) {
  for (auto& [name, worker] : workers_) {
    const cluster::Inventory& inventory = worker.record.report.inventory;
    const bool cordoned = wishes_.contains(name);
    scheduler::WorkerView& view = cycle.snapshot.workers.emplace_back();
    view.name = Intern(name);
    view.device = inventory.device;
    view.slots = inventory.slots;
    view.free_slots = FreeSlots(name, worker);
    view.cpus = inventory.cpus;
    view.ready = TakesWork(name, worker);
    view.cordoned = cordoned;
    view.unknown_slots = UnknownSlots(worker);
    if (view.free_slots > worker.last_free_slots) {
      worker.free_since = now;
    }
    worker.last_free_slots = view.free_slots;
    view.free_since = worker.free_since;
    cycle.workers.emplace(view.name, static_cast<int32_t>(cycle.workers.size()));
  }
}

// Only they keep a job from starting, so only they are looked for.
void Core::AddStoppedQueues(Cycle& cycle) {
  for (const auto& [name, queue] : queues_) {
    if (queue.stop != cluster::QueueStop::kNone) {
      cycle.snapshot.queues.push_back(
          {Intern(queue.name), Intern(queue.project), /*held=*/true, Intern(queue.reason)});
    }
  }
}

int32_t Core::ProjectIndex(Cycle& cycle, const std::string& name, absl::Time now) {
  const auto known = cycle.projects.find(name);
  if (known != cycle.projects.end()) {
    return known->second;
  }
  const auto index = static_cast<int32_t>(cycle.snapshot.projects.size());
  scheduler::ProjectView& view = cycle.snapshot.projects.emplace_back();
  view.name = Intern(name);
  cycle.projects.emplace(view.name, index);
  if (const auto project = projects_.find(name); project != projects_.end()) {
    const cluster::ProjectRecord& record = project->second;
    view.weight = record.weight;
    view.used_slot_seconds = scheduler::Decayed({record.recent_usage, record.usage_time}, now,
                                                options_.scheduling.fair_share)
                                 .slot_seconds;
    view.used_slot_hours = record.slot_seconds / 3600;
    view.quota = {record.max_slots, record.max_running_jobs, record.max_slot_hours,
                  record.guaranteed_slots};
  }
  return index;
}

int32_t Core::HoldIndex(Cycle& cycle, const std::string& job_uid) const {
  const auto held = holds_.find(job_uid);
  if (held == holds_.end()) {
    return -1;
  }
  scheduler::Hold hold;
  hold.until = held->second.until;
  hold.ranks = held->second.ranks;
  for (const auto& [name, ranks] : held->second.places) {
    const auto worker = cycle.workers.find(name);
    if (worker == cycle.workers.end()) {
      return -1;
    }
    hold.places.push_back({worker->second, ranks});
  }
  cycle.snapshot.holds.push_back(std::move(hold));
  return static_cast<int32_t>(cycle.snapshot.holds.size()) - 1;
}

absl::Duration Core::LearnedRuntime(const JobRecord& job) const {
  const auto runtime = runtimes_.find(job.spec_hash);
  return job.spec_hash == 0 || runtime == runtimes_.end() ? absl::InfiniteDuration()
                                                          : runtime->second;
}

void Core::AddPending(Cycle& cycle, const std::shared_ptr<JobRecord>& record, absl::Time now) {
  const JobRecord& job = *record;
  const int32_t project = ProjectIndex(cycle, job.project, now);
  scheduler::PendingJob& view = cycle.snapshot.pending.emplace_back();
  view.uid = job.uid;
  view.name = job.name;
  view.project = project;
  view.queue = StoppedQueueOf(job, cycle);
  view.held = job.held;
  view.held_for = job.held ? std::string_view(job.reason.message) : std::string_view();
  view.priority = job.priority;
  view.queue_time = job.create_time;
  view.sizes = {job.min_ranks, job.max_ranks, job.global_batch};
  view.device = job.device;
  view.cpus_per_rank = job.cpus_per_rank;
  view.excluded_workers = ExcludedOf(job, cycle);
  view.not_before = job.not_before;
  if (job.not_before > now && !job.attempts.empty() && job.attempts.back().failure.has_value()) {
    view.last_failure = absl::StrCat("attempt ", job.attempts.back().number, " broke (",
                                     Describe(*job.attempts.back().failure), ")");
  }
  view.data_checked = job.data_checked;
  for (const cluster::Dependency& dependency : job.dependencies) {
    // A parent that failed holds or fails the job when it ends. Whoever is not held
    // although its parent failed was let go by a user.
    if (const JobPtr parent = Find(dependency.uid);
        parent != nullptr && !cluster::IsTerminal(parent->state)) {
      view.unmet_dependencies.push_back({dependency.name, parent->state});
    }
  }
  view.hold = HoldIndex(cycle, job.uid);
  view.preemptible = job.preemptible;
  view.max_runtime = LimitOf(job);
  view.learned_runtime = LearnedRuntime(job);
  if (const auto since = blocked_since_.find(job.uid); since != blocked_since_.end()) {
    view.blocked_since = since->second;
  }
  cycle.pending.push_back(record);
}

void Core::AddRunning(Cycle& cycle, const std::shared_ptr<JobRecord>& record, absl::Time now) {
  const JobRecord& job = *record;
  const AttemptRecord& attempt = *job.LiveAttempt();
  const int32_t project = ProjectIndex(cycle, job.project, now);
  scheduler::RunningJob& view = cycle.snapshot.running.emplace_back();
  view.uid = job.uid;
  view.name = job.name;
  view.project = project;
  view.priority = job.priority;
  view.queue_time = job.create_time;
  view.places = PlacesOf(attempt, cycle);
  view.sizes = {job.min_ranks, job.max_ranks, job.global_batch};
  view.cpus_per_rank = job.cpus_per_rank;
  view.excluded_workers = ExcludedOf(job, cycle);
  view.start_time = attempt.start_time;
  view.resize_time = ResizeTime(job);
  if (!job.latest_checkpoint.empty()) {
    view.checkpoint_time = checkpoints_.at(job.latest_checkpoint).create_time;
  }
  view.preemptible = job.preemptible;
  view.min_runtime = job.min_runtime;
  view.grace = job.grace;
  view.recallable = recallable_.contains(job.uid);
  view.max_runtime = LimitOf(job);
  view.learned_runtime = LearnedRuntime(job);
  if (job.progress.eta.has_value() && attempt.state == cluster::AttemptState::kRunning) {
    view.expected_end = now + *job.progress.eta;
  }
  view.stopping = job.state != JobState::kStarting && job.state != JobState::kRunning;
  view.stops_for = attempt.stopped_for;
  view.hold = HoldIndex(cycle, job.uid);
  cycle.running.push_back(record);
}

}  // namespace g2ll::coordinator
