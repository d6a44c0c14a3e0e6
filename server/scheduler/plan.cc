#include "server/scheduler/plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/scheduler/backfill.h"
#include "server/scheduler/order.h"
#include "server/scheduler/placement.h"

namespace g2ll::scheduler {
namespace {

using cluster::Device;

// When slots of stopping attempts are expected to be free.
constexpr absl::Duration kStopTakes = absl::Minutes(2);

// What does not depend on places, if it keeps the job from starting.
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

// One cycle.
class Planner {
 public:
  Planner(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now)
      : snapshot_(snapshot),
        policy_(policy),
        now_(now),
        board_(snapshot.workers),
        order_(snapshot),
        ledger_(snapshot),
        room_(snapshot, now, &ledger_),
        reclaim_tried_(snapshot.projects.size()),
        held_(snapshot.holds.size()) {}

  Plan Run() {
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
    return std::move(plan_);
  }

 private:
  void Consider(int32_t index) {
    const PendingJob& job = snapshot_.pending[index];
    KeepWaiting waiting;
    waiting.job = index;
    waiting.position = position_;
    waiting.need = job.sizes.Smallest();
    if (const std::optional<WaitCode> code = NotYet(snapshot_, job, now_); code.has_value()) {
      waiting.next_try = *code == WaitCode::kBackoff ? job.not_before : absl::InfinitePast();
      return Wait(std::move(waiting), *code);
    }
    if (waiting.need == 0) {
      return Wait(std::move(waiting), WaitCode::kUnsatisfiable);
    }
    if (BreaksQuota(waiting)) {
      return Wait(std::move(waiting), WaitCode::kQuotaExceeded);
    }
    waiting.device = board_.Resolve(job.device, job.cpus_per_rank, waiting.need);
    const Demand demand{waiting.device, job.cpus_per_rank, job.excluded_workers};
    waiting.supply = board_.SupplyFor(demand);
    if (const std::optional<WaitCode> code = NeverFits(waiting, demand); code.has_value()) {
      return Wait(std::move(waiting), *code);
    }
    if (HasHold(job)) {
      return ConsiderHeld(std::move(waiting), demand);
    }
    if (Reservation& reservation = ReservationOf(waiting.device); reservation.head >= 0) {
      if (Backfill(waiting, demand, reservation)) {
        return;
      }
      if (Reclaim(waiting, demand)) {
        return Wait(std::move(waiting), WaitCode::kWaitingForPreemption);
      }
      waiting.behind = reservation.head;
      return Wait(std::move(waiting), WaitCode::kWaitingBehind);
    }
    if (TryStart(index, demand, waiting.supply.free)) {
      return;
    }
    if (MakeRoom(waiting, demand)) {
      return Wait(std::move(waiting), WaitCode::kWaitingForPreemption);
    }
    Reserve(waiting, demand);
    Wait(std::move(waiting), WaitCode::kWaitingForSlots);
  }

  // Whether a limit of the project keeps the job back; fills in which.
  bool BreaksQuota(KeepWaiting& waiting) const {
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

  bool HasHold(const PendingJob& job) const { return job.hold >= 0 && held_[job.hold].has_value(); }

  // Keeps the slots of holds from all others. A hold whose slots are not there any
  // more, or whose job cannot start, is over.
  void PutHoldsAside() {
    std::vector<const PendingJob*> jobs;
    for (const PendingJob& job : snapshot_.pending) {
      if (job.hold >= 0 && snapshot_.holds[job.hold].until > now_ && job.sizes.Smallest() > 0 &&
          !NotYet(snapshot_, job, now_).has_value()) {
        jobs.push_back(&job);
      }
    }
    std::sort(jobs.begin(), jobs.end(),
              [](const PendingJob* a, const PendingJob* b) { return a->uid < b->uid; });
    for (const PendingJob* job : jobs) {
      PutAside(*job);
    }
  }

  void PutAside(const PendingJob& job) {
    const Hold& hold = snapshot_.holds[job.hold];
    const Device device = board_.Resolve(job.device, job.cpus_per_rank, job.sizes.Smallest());
    const Demand demand{device, job.cpus_per_rank, job.excluded_workers};
    const bool useful =
        std::all_of(hold.places.begin(), hold.places.end(),
                    [&](const Share& share) { return board_.Accepts(demand, share.worker); });
    if (useful && SumOf(hold.places) >= job.sizes.Smallest()) {
      held_[job.hold] = board_.Hold(hold.places);
    }
  }

  // A job for which attempts were asked to stop: it starts as soon as it fits.
  void ConsiderHeld(KeepWaiting waiting, const Demand& demand) {
    const PendingJob& job = snapshot_.pending[waiting.job];
    board_.Release(*held_[job.hold]);
    if (TryStart(waiting.job, demand, board_.SupplyFor(demand).free)) {
      return;
    }
    const Hold& hold = snapshot_.holds[job.hold];
    held_[job.hold] = board_.Hold(hold.places);
    waiting.coming = SumOf(held_[job.hold]->soon);
    waiting.estimated_start = hold.until - policy_.hold_slack;
    ledger_.Start(job.project, waiting.need);
    plan_.holds.push_back({waiting.job, hold});
    Wait(std::move(waiting), WaitCode::kWaitingForPreemption);
  }

  // Starts a job with as many of `free` slots as it can use.
  bool TryStart(int32_t index, const Demand& demand, int32_t free) {
    const int32_t size = LargestOf(index, free);
    if (size == 0) {
      return false;
    }
    Start(index, board_.Find(demand, size), /*recallable=*/false);
    return true;
  }

  // The largest world size with `free` slots within the project's limit, or 0.
  int32_t LargestOf(int32_t index, int32_t free) const {
    const PendingJob& job = snapshot_.pending[index];
    return job.sizes.Largest(std::min(free, ledger_.Room(job.project)));
  }

  void Start(int32_t index, std::vector<Share> places, bool recallable) {
    const int32_t project = snapshot_.pending[index].project;
    const int32_t size = SumOf(places);
    board_.Take(places);
    ledger_.Start(project, size);
    order_.Charge(project, size * absl::ToDoubleSeconds(policy_.fair_share.entry_penalty));
    plan_.start.push_back({index, position_, std::move(places), recallable});
  }

  // Asks attempts to stop for a job that does not fit. Nobody is asked while enough
  // slots come free anyway.
  bool MakeRoom(KeepWaiting& waiting, const Demand& demand) {
    const int32_t missing = waiting.need - waiting.supply.free - waiting.supply.soon;
    return missing > 0 && StopFor(waiting, {waiting.job, demand, waiting.need, missing});
  }

  // Takes back the guarantee of a project whose job stands behind a reservation. Once
  // in a cycle for each project: if it fails for one job, others have to wait too.
  bool Reclaim(KeepWaiting& waiting, const Demand& demand) {
    const int32_t project = snapshot_.pending[waiting.job].project;
    if (reclaim_tried_[project] || !ledger_.IsGuaranteed(project, waiting.need)) {
      return false;
    }
    reclaim_tried_[project] = true;
    // All that it needs, so that the head loses nothing.
    return StopFor(waiting, {waiting.job, demand, waiting.need, waiting.need, true});
  }

  // Chooses attempts to stop, and holds the slots that the job gets.
  bool StopFor(KeepWaiting& waiting, const RoomMaker::Want& want) {
    const std::vector<StopGang> stopped = room_.MakeRoom(want, board_);
    if (stopped.empty()) {
      return false;
    }
    absl::Duration grace;
    for (const StopGang& stop : stopped) {
      grace = std::max(grace, snapshot_.running[stop.running].grace);
      board_.AddSoon(snapshot_.running[stop.running].places);
      plan_.stop.push_back(stop);
    }
    Hold hold{board_.FindSoon(want.demand, want.need), now_ + grace + policy_.hold_slack};
    // The board has just found these places.
    waiting.coming = SumOf(board_.Hold(hold.places)->soon);
    waiting.estimated_start = hold.until - policy_.hold_slack;
    ledger_.Start(snapshot_.pending[waiting.job].project, want.need);
    plan_.holds.push_back({waiting.job, std::move(hold)});
    return true;
  }

  // Ranks on workers that `demand` may use.
  int32_t UsableOf(const Demand& demand, const std::vector<Share>& places) const {
    int32_t ranks = 0;
    for (const Share& share : places) {
      ranks += board_.Accepts(demand, share.worker) ? share.ranks : 0;
    }
    return ranks;
  }

  // Slots of attempts, and of jobs that start in this cycle, by the times of their
  // ends, where `demand` may use them.
  Releases ReleasesFor(const PendingJob& head, const Demand& demand, int32_t soon) const {
    const absl::Time stopped = now_ + kStopTakes;
    Releases releases = {{stopped, soon}};
    for (size_t index = 0; index < snapshot_.running.size(); ++index) {
      const RunningJob& attempt = snapshot_.running[index];
      if (!room_.IsStopping(static_cast<int32_t>(index))) {
        const absl::Time end = ExpectedEnd(attempt, now_);
        releases.emplace_back(room_.MayRecall(head, attempt) ? std::min(end, stopped) : end,
                              UsableOf(demand, attempt.places));
      }
    }
    for (const StartGang& gang : plan_.start) {
      const PendingJob& job = snapshot_.pending[gang.job];
      releases.emplace_back(ExpectedEnd(job, now_, /*only_limits=*/false),
                            UsableOf(demand, gang.places));
    }
    return releases;
  }

  // The job is the first one that does not fit: what it needs is reserved.
  void Reserve(KeepWaiting& waiting, const Demand& demand) {
    const absl::Time since = std::min(now_, snapshot_.pending[waiting.job].blocked_since);
    Reservation& reservation = ReservationOf(waiting.device);
    reservation.head = waiting.job;
    reservation.demand = demand;
    reservation.hard = now_ - since >= policy_.hard_after;
    reservation.covers_device =
        waiting.supply.slots == board_.SupplyFor({demand.device, 0, {}}).slots;
    Fix(reservation, waiting.need, waiting.supply.free,
        ReleasesFor(snapshot_.pending[waiting.job], demand, waiting.supply.soon));
    waiting.estimated_start = reservation.start;
    plan_.heads.push_back({waiting.job, since, reservation.start, reservation.hard});
  }

  // Places that leave the head what it needs: on workers that it cannot use, else
  // with fewer ranks.
  std::vector<Share> FindBeside(int32_t index, const Demand& demand,
                                const Reservation& reservation) const {
    Demand elsewhere = demand;
    elsewhere.avoid = &reservation.demand;
    int32_t size = LargestOf(index, board_.SupplyFor(elsewhere).free);
    if (size > 0) {
      return board_.Find(elsewhere, size);
    }
    size = LargestOf(index, reservation.spare);
    return size > 0 ? board_.Find(demand, size) : std::vector<Share>();
  }

  // Starts a job behind a reservation if that does not delay the head.
  bool Backfill(const KeepWaiting& waiting, const Demand& demand, Reservation& reservation) {
    const PendingJob& job = snapshot_.pending[waiting.job];
    const BackfillRule rule = RuleFor(job, reservation, now_);
    const int32_t size = LargestOf(waiting.job, waiting.supply.free);
    if (rule == BackfillRule::kNotAtAll || size == 0) {
      return false;
    }
    std::vector<Share> places = board_.Find(demand, size);
    if (rule == BackfillRule::kOnSpareSlots &&
        UsableOf(reservation.demand, places) > reservation.spare) {
      places = FindBeside(waiting.job, demand, reservation);
    }
    const int32_t of_head = UsableOf(reservation.demand, places);
    const bool is_spare = of_head <= reservation.spare;
    if (places.empty() || (rule == BackfillRule::kOnSpareSlots && !is_spare)) {
      return false;
    }
    if (rule != BackfillRule::kInTime && is_spare) {
      reservation.spare -= of_head;
    }
    Start(waiting.job, std::move(places), rule == BackfillRule::kRecallable && !is_spare);
    return true;
  }

  // Why the ready workers cannot hold the smallest gang even when they are empty.
  std::optional<WaitCode> NeverFits(const KeepWaiting& waiting, const Demand& demand) const {
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
    return with_excluded.slots >= waiting.need ? WaitCode::kExcludedWorkers
                                               : WaitCode::kTooFewSlots;
  }

  void Wait(KeepWaiting waiting, WaitCode code) {
    waiting.code = code;
    plan_.wait.push_back(std::move(waiting));
  }

  // That of the head of the line for a device; without a head while all fit.
  Reservation& ReservationOf(Device device) {
    return device == Device::kCuda ? reserved_cuda_ : reserved_cpu_;
  }

  const ClusterSnapshot& snapshot_;
  const SchedulingPolicy& policy_;
  const absl::Time now_;
  Board board_;
  JobOrder order_;
  ProjectLedger ledger_;
  RoomMaker room_;
  // By project.
  std::vector<bool> reclaim_tried_;
  // What the board keeps aside, by index of the hold.
  std::vector<std::optional<HeldSlots>> held_;
  Plan plan_;
  int32_t position_ = 0;
  Reservation reserved_cpu_;
  Reservation reserved_cuda_;
};

}  // namespace

Plan PlanNext(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now) {
  return Planner(snapshot, policy, now).Run();
}

}  // namespace g2ll::scheduler
