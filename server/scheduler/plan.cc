#include "server/scheduler/plan.h"

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
  Planner(const ClusterSnapshot& snapshot, absl::Time now)
      : snapshot_(snapshot), now_(now), board_(snapshot.workers) {}

  Plan Run() {
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
    if (BlockedOf(waiting.device) >= 0) {
      waiting.behind = BlockedOf(waiting.device);
      return Wait(std::move(waiting), WaitCode::kWaitingBehind);
    }
    const int32_t size = job.sizes.Largest(waiting.supply.free);
    if (size == 0) {
      BlockedOf(waiting.device) = index;
      return Wait(std::move(waiting), WaitCode::kWaitingForSlots);
    }
    std::vector<Share> places = board_.Find(demand, size);
    board_.Take(places);
    plan_.start.push_back({index, position_, std::move(places)});
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
  const absl::Time now_;
  Board board_;
  Plan plan_;
  int32_t position_ = 0;
  int32_t blocked_cpu_ = -1;
  int32_t blocked_cuda_ = -1;
};

}  // namespace

int32_t StartGang::world_size() const {
  int32_t ranks = 0;
  for (const Share& share : places) {
    ranks += share.ranks;
  }
  return ranks;
}

Plan PlanNext(const ClusterSnapshot& snapshot, const SchedulingPolicy& /*policy*/, absl::Time now) {
  return Planner(snapshot, now).Run();
}

}  // namespace g2ll::scheduler
