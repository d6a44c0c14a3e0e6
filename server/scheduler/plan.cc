#include "server/scheduler/plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/scheduler/planner.h"

namespace g2ll::scheduler {

using cluster::Device;

std::optional<WaitCode> NotYet(const ClusterSnapshot& snapshot, const PendingJob& job,
                               absl::Time now) {
  if (job.held) {
    return WaitCode::kHeld;
  }
  if (job.queue >= 0 && snapshot.queues[job.queue].held) {
    return WaitCode::kQueueHeld;
  }
  if (!job.unmet_dependencies.empty()) {
    return WaitCode::kWaitingForDependency;
  }
  if (!job.data_checked) {
    return WaitCode::kDataNotChecked;
  }
  if (job.not_before > now) {
    return WaitCode::kBackoff;
  }
  return std::nullopt;
}

Planner::Planner(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now)
    : snapshot_(snapshot),
      policy_(policy),
      now_(now),
      board_(snapshot.workers),
      order_(snapshot),
      ledger_(snapshot),
      room_(snapshot, policy, now, &ledger_),
      reclaim_tried_(snapshot.projects.size()),
      held_(snapshot.holds.size()) {}

Plan Planner::Run() {
  for (const RunningJob& attempt : snapshot_.running) {
    if (attempt.stopping) {
      board_.AddSoon(attempt.places);
    }
  }
  PutHoldsAside();
  for (int32_t job = order_.Next(); job >= 0; job = order_.Next()) {
    ++position_;
    Consider(job);
  }
  GrowAttempts();
  return std::move(plan_);
}

void Planner::Consider(int32_t index) {
  const PendingJob& job = snapshot_.pending[index];
  KeepWaiting waiting;
  waiting.job = index;
  waiting.position = position_;
  waiting.need = job.sizes.Smallest();
  if (const std::optional<WaitCode> code = NotYet(snapshot_, job, now_); code.has_value()) {
    waiting.next_try = *code == WaitCode::kBackoff ? job.not_before : absl::InfinitePast();
    return Wait(waiting, *code);
  }
  if (waiting.need == 0) {
    return Wait(waiting, WaitCode::kUnsatisfiable);
  }
  if (BreaksQuota(waiting)) {
    return Wait(waiting, WaitCode::kQuotaExceeded);
  }
  waiting.device = board_.Resolve(job.device, job.cpus_per_rank, waiting.need);
  const Demand demand{waiting.device, job.cpus_per_rank, job.excluded_workers};
  waiting.supply = board_.SupplyFor(demand);
  if (const std::optional<WaitCode> code = NeverFits(waiting, demand); code.has_value()) {
    return Wait(waiting, *code);
  }
  Decide(waiting, demand);
}

// A job that could run on the ready workers.
void Planner::Decide(KeepWaiting& waiting, const Demand& demand) {
  if (HasHold(snapshot_.pending[waiting.job].hold)) {
    return ConsiderHeld(waiting, demand);
  }
  Reservation& reservation = ReservationOf(waiting.device);
  if (reservation.head >= 0) {
    if (Backfill(waiting, demand, reservation)) {
      return;
    }
    if (Reclaim(waiting, demand)) {
      return Wait(waiting, WaitCode::kWaitingForPreemption);
    }
    waiting.behind = reservation.head;
    return Wait(waiting, WaitCode::kWaitingBehind);
  }
  if (TryStart(waiting.job, demand, waiting.supply.free)) {
    return;
  }
  if (MakeRoom(waiting, demand)) {
    return Wait(waiting, WaitCode::kWaitingForPreemption);
  }
  Reserve(waiting, demand);
  Wait(waiting, WaitCode::kWaitingForSlots);
}

// Whether a limit of the project keeps the job back; fills in which.
bool Planner::BreaksQuota(KeepWaiting& waiting) const {
  const int32_t project = snapshot_.pending[waiting.job].project;
  const ProjectView& view = snapshot_.projects[project];
  waiting.quota = ledger_.Broken(project, waiting.need);
  switch (waiting.quota) {
    case QuotaLimit::kNone:
      return false;
    case QuotaLimit::kRunningSlots:
      waiting.quota_used = ledger_.slots(project);
      waiting.quota_limit = view.quota.max_running_slots;
      return true;
    case QuotaLimit::kRunningJobs:
      waiting.quota_used = ledger_.jobs(project);
      waiting.quota_limit = view.quota.max_running_jobs;
      return true;
    case QuotaLimit::kSlotHours:
      waiting.quota_used = view.used_slot_hours;
      waiting.quota_limit = view.quota.max_slot_hours;
      return true;
  }
  return false;
}

// Why the ready workers cannot hold the smallest gang even when they are empty.
std::optional<WaitCode> Planner::NeverFits(const KeepWaiting& waiting, const Demand& demand) const {
  if (waiting.supply.slots >= waiting.need) {
    return std::nullopt;
  }
  if (board_.ready_workers() == 0) {
    return WaitCode::kNoWorkers;
  }
  if (board_.WorkersWith(demand.device) == 0) {
    return WaitCode::kNoSuchDevice;
  }
  if (board_.MostCores(demand.device) < demand.cpus_per_rank) {
    return WaitCode::kTooFewCpus;
  }
  const Supply with_excluded = board_.SupplyFor({demand.device, demand.cpus_per_rank, {}});
  return with_excluded.slots >= waiting.need ? WaitCode::kExcludedWorkers : WaitCode::kTooFewSlots;
}

// The largest world size with `free` slots within the project's limit, or 0.
int32_t Planner::LargestOf(int32_t index, int32_t free) const {
  const PendingJob& job = snapshot_.pending[index];
  return job.sizes.Largest(std::min(free, ledger_.Room(job.project)));
}

// Starts a job with as many of `free` slots as it can use.
bool Planner::TryStart(int32_t index, const Demand& demand, int32_t free) {
  const int32_t size = LargestOf(index, free);
  if (size == 0) {
    return false;
  }
  Start(index, board_.Find(demand, size), /*recallable=*/false);
  return true;
}

void Planner::Start(int32_t index, std::vector<Share> places, bool recallable) {
  const int32_t project = snapshot_.pending[index].project;
  const int32_t size = SumOf(places);
  board_.Take(places);
  ledger_.Start(project, size);
  order_.Charge(project, size * absl::ToDoubleSeconds(policy_.fair_share.entry_penalty));
  plan_.start.push_back({index, position_, std::move(places), recallable});
}

void Planner::Wait(KeepWaiting& waiting, WaitCode code) {
  waiting.code = code;
  plan_.wait.push_back(waiting);
  if (code == WaitCode::kWaitingForSlots || code == WaitCode::kWaitingBehind ||
      code == WaitCode::kWaitingForPreemption) {
    (waiting.device == Device::kCuda ? wanted_cuda_ : wanted_cpu_) = true;
  }
}

Plan PlanNext(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now) {
  return Planner(snapshot, policy, now).Run();
}

}  // namespace g2ll::scheduler
