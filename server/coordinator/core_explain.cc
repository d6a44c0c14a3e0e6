// Why jobs wait, from the cycle that decided.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coordinator/core.h"
#include "server/coordinator/cycle.h"
#include "server/scheduler/backfill.h"

namespace g2ll::coordinator {
namespace {

using cluster::JobExplanation;
using cluster::JobRecord;
using scheduler::KeepWaiting;
using scheduler::WaitCode;

constexpr size_t kMostBlockers = 5;

std::string AdviceFor(WaitCode code) {
  switch (code) {
    case WaitCode::kHeld:
      return "resume or cancel the job";
    case WaitCode::kQueueHeld:
      return "wait until an operator lets the queue go on, or give the job another "
             "policy.queue";
    case WaitCode::kUnsatisfiable:
      return "choose a train.globalBatch that is a multiple of a number of ranks within "
             "resources.ranks";
    case WaitCode::kQuotaExceeded:
      return "wait for other jobs of the project, or ask an operator to raise its limit";
    case WaitCode::kNoWorkers:
      return "start a worker, or see in the list of workers why none is ready";
    case WaitCode::kNoSuchDevice:
      return "start a worker with that device, or change resources.device";
    case WaitCode::kTooFewCpus:
      return "lower resources.cpusPerRank, or start workers with fewer slots per host";
    case WaitCode::kTooFewSlots:
      return "lower resources.ranks.min, or start more workers";
    case WaitCode::kExcludedWorkers:
      return "requeue the job to let it use those workers again";
    case WaitCode::kWaitingForDependency:
    case WaitCode::kDataNotChecked:
    case WaitCode::kBackoff:
    case WaitCode::kWaitingForSlots:
    case WaitCode::kWaitingBehind:
    case WaitCode::kWaitingForPreemption:
      return "";
  }
  return "";
}

// Jobs that hold slots of the device that the job may use, those that end first first.
std::vector<std::string> Holders(const Cycle& cycle, const KeepWaiting& waiting) {
  const scheduler::PendingJob& job = cycle.snapshot.pending[waiting.job];
  const auto helps = [&](const scheduler::Share& share) {
    return cycle.snapshot.workers[share.worker].device == waiting.device &&
           std::find(job.excluded_workers.begin(), job.excluded_workers.end(), share.worker) ==
               job.excluded_workers.end();
  };
  std::vector<std::pair<absl::Time, std::string>> holders;
  const bool only_stopping = waiting.code == WaitCode::kWaitingForPreemption;
  std::set<int32_t> asked;  // In this very cycle.
  for (const scheduler::StopGang& stop : cycle.plan.stop) {
    if (stop.for_job == waiting.job) {
      asked.insert(stop.running);
    }
  }
  for (size_t index = 0; index < cycle.running.size(); ++index) {
    const scheduler::RunningJob& attempt = cycle.snapshot.running[index];
    const bool stops_for_it =
        attempt.stops_for == job.uid || asked.contains(static_cast<int32_t>(index));
    if ((stops_for_it || !only_stopping) &&
        std::any_of(attempt.places.begin(), attempt.places.end(), helps)) {
      holders.emplace_back(scheduler::ExpectedEnd(attempt, cycle.time),
                           cycle.running[index]->FullName());
    }
  }
  std::sort(holders.begin(), holders.end());
  std::vector<std::string> names;
  for (auto& [end, name] : holders) {
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> BlockersOf(const Cycle& cycle, const KeepWaiting& waiting) {
  const JobRecord& job = *cycle.pending[waiting.job];
  const scheduler::PendingJob& view = cycle.snapshot.pending[waiting.job];
  std::vector<std::string> names;
  if (waiting.code == WaitCode::kWaitingBehind) {
    names = {cycle.pending[waiting.behind]->FullName()};
  } else if (waiting.code == WaitCode::kWaitingForSlots ||
             waiting.code == WaitCode::kWaitingForPreemption) {
    names = Holders(cycle, waiting);
  } else if (waiting.code == WaitCode::kWaitingForDependency) {
    for (const scheduler::UnmetDependency& parent : view.unmet_dependencies) {
      names.push_back(absl::StrCat("projects/", job.project, "/jobs/", std::string(parent.name)));
    }
  } else if (waiting.code == WaitCode::kExcludedWorkers) {
    for (const int32_t worker : view.excluded_workers) {
      names.emplace_back(cycle.snapshot.workers[worker].name);
    }
  } else if (waiting.code == WaitCode::kQueueHeld) {
    names = {absl::StrCat("projects/", job.project, "/queues/", job.queue)};
  }
  names.resize(std::min(names.size(), kMostBlockers));
  return names;
}

void FillWaiting(const Cycle& cycle, const KeepWaiting& waiting, JobExplanation& explanation) {
  explanation.reason = scheduler::ReasonOf(cycle.snapshot, waiting);
  explanation.slots_needed = waiting.need;
  explanation.slots_free = waiting.supply.free;
  explanation.slots_total = waiting.supply.slots;
  explanation.blockers = BlockersOf(cycle, waiting);
  explanation.position = waiting.position;
  explanation.estimated_start = waiting.estimated_start;
  explanation.next_try = waiting.next_try;
  explanation.advice = AdviceFor(waiting.code);
}

}  // namespace

JobExplanation Core::Explained(const JobRecord& job, const KeepWaiting* waiting) const {
  JobExplanation explanation;
  explanation.job = job.FullName();
  explanation.state = job.state;
  explanation.reason = job.reason;
  explanation.waiting = static_cast<int32_t>(pending_.size());
  if (!job.attempts.empty()) {
    explanation.last_failure = job.attempts.back().failure;
  }
  if (waiting != nullptr) {
    FillWaiting(*cycle_, *waiting, explanation);
  }
  return explanation;
}

absl::StatusOr<JobExplanation> Core::ExplainJob(const std::string& full_name) const {
  const absl::StatusOr<JobPtr> job = Lookup(full_name);
  if (!job.ok()) {
    return job.status();
  }
  if ((*job)->state == cluster::JobState::kPending && cycle_ != nullptr) {
    for (const KeepWaiting& waiting : cycle_->plan.wait) {
      if (cycle_->snapshot.pending[waiting.job].uid == (*job)->uid) {
        return Explained(**job, &waiting);
      }
    }
  }
  return Explained(**job, nullptr);
}

WaitingPage Core::ListWaiting(const std::string& project, int64_t skip, int64_t count) const {
  WaitingPage page;
  std::set<std::string_view> listed;
  const auto add = [&](const JobRecord& job, const KeepWaiting* waiting) {
    if (!project.empty() && job.project != project) {
      return;
    }
    if (page.total >= skip && page.total - skip < count) {
      page.jobs.push_back(Explained(job, waiting));
    }
    ++page.total;
  };
  if (cycle_ != nullptr) {
    for (const KeepWaiting& waiting : cycle_->plan.wait) {
      const auto entry = pending_.find(cycle_->pending[waiting.job]->uid);
      if (entry != pending_.end()) {
        listed.insert(entry->first);
        add(**entry->second.job, &waiting);
      }
    }
  }
  for (const auto& [uid, entry] : pending_) {
    if (!listed.contains(uid)) {
      add(**entry.job, nullptr);  // New since the last cycle.
    }
  }
  return page;
}

}  // namespace g2ll::coordinator
