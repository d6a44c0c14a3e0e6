#include "server/scheduler/plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/scheduler/order.h"
#include "server/scheduler/placement.h"

namespace g2ll::scheduler {
namespace {

using cluster::Device;

// What does not depend on places, if it keeps the job from starting.
std::optional<WaitCode> NotYet(const PendingJob& job, absl::Time now) {
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
        room_(snapshot, policy, now),
        held_(snapshot.holds.size()) {}

  Plan Run() {
    for (const RunningJob& attempt : snapshot_.running) {
      if (attempt.stopping) {
        board_.AddSoon(attempt.places);
      }
    }
    PutHoldsAside();
    for (const int32_t job : OrderOf(snapshot_)) {
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
    if (const std::optional<WaitCode> code = NotYet(job, now_); code.has_value()) {
      waiting.next_try = *code == WaitCode::kBackoff ? job.not_before : absl::InfinitePast();
      return Wait(std::move(waiting), *code);
    }
    if (waiting.need == 0) {
      return Wait(std::move(waiting), WaitCode::kUnsatisfiable);
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
    if (BlockedOf(waiting.device) >= 0) {
      waiting.behind = BlockedOf(waiting.device);
      return Wait(std::move(waiting), WaitCode::kWaitingBehind);
    }
    if (TryStart(index, demand, waiting.supply.free)) {
      return;
    }
    if (MakeRoom(waiting, demand)) {
      return Wait(std::move(waiting), WaitCode::kWaitingForPreemption);
    }
    BlockedOf(waiting.device) = index;
    Wait(std::move(waiting), WaitCode::kWaitingForSlots);
  }

  bool HasHold(const PendingJob& job) const { return job.hold >= 0 && held_[job.hold].has_value(); }

  // Keeps the slots of holds from all others. A hold whose slots are not there any
  // more, or whose job cannot start, is over.
  void PutHoldsAside() {
    std::vector<const PendingJob*> jobs;
    for (const PendingJob& job : snapshot_.pending) {
      if (job.hold >= 0 && snapshot_.holds[job.hold].until > now_ && job.sizes.Smallest() > 0 &&
          !NotYet(job, now_).has_value()) {
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
    plan_.holds.push_back({waiting.job, hold});
    Wait(std::move(waiting), WaitCode::kWaitingForPreemption);
  }

  // Starts a job with as many of `free` slots as it can use.
  bool TryStart(int32_t index, const Demand& demand, int32_t free) {
    const int32_t size = snapshot_.pending[index].sizes.Largest(free);
    if (size == 0) {
      return false;
    }
    std::vector<Share> places = board_.Find(demand, size);
    board_.Take(places);
    plan_.start.push_back({index, position_, std::move(places)});
    return true;
  }

  // Asks attempts to stop for a job that does not fit, and holds its slots. Nobody
  // is asked while enough slots come free anyway.
  bool MakeRoom(KeepWaiting& waiting, const Demand& demand) {
    const int32_t missing = waiting.need - waiting.supply.free - waiting.supply.soon;
    if (missing <= 0) {
      return false;
    }
    const std::vector<int32_t> stopped =
        room_.MakeRoom(snapshot_.pending[waiting.job], demand, board_, missing);
    if (stopped.empty()) {
      return false;
    }
    for (const int32_t running : stopped) {
      board_.AddSoon(snapshot_.running[running].places);
      plan_.stop.push_back({running, waiting.job});
    }
    Hold hold{board_.FindSoon(demand, waiting.need),
              now_ + policy_.stop_grace + policy_.hold_slack};
    // The board has just found these places.
    waiting.coming = SumOf(board_.Hold(hold.places)->soon);
    plan_.holds.push_back({waiting.job, std::move(hold)});
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

  // Head of the line for slots of a device once it waits for slots that others
  // hold, else -1: jobs behind it wait too, so that small ones do not starve it.
  int32_t& BlockedOf(Device device) {
    return device == Device::kCuda ? blocked_cuda_ : blocked_cpu_;
  }

  const ClusterSnapshot& snapshot_;
  const SchedulingPolicy& policy_;
  const absl::Time now_;
  Board board_;
  RoomMaker room_;
  // What the board keeps aside, by index of the hold.
  std::vector<std::optional<HeldSlots>> held_;
  Plan plan_;
  int32_t position_ = 0;
  int32_t blocked_cpu_ = -1;
  int32_t blocked_cuda_ = -1;
};

}  // namespace

int32_t StartGang::world_size() const { return SumOf(places); }

Plan PlanNext(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now) {
  return Planner(snapshot, policy, now).Run();
}

}  // namespace g2ll::scheduler
