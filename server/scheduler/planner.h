#ifndef SERVER_SCHEDULER_PLANNER_H_
#define SERVER_SCHEDULER_PLANNER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/backfill.h"
#include "server/scheduler/order.h"
#include "server/scheduler/placement.h"
#include "server/scheduler/plan.h"
#include "server/scheduler/preemption.h"
#include "server/scheduler/quota.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// One cycle of PlanNext: walks over the pending jobs in their order and keeps what
// the decisions so far leave over. Used once.
class Planner {
 public:
  // The arguments outlive it.
  Planner(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now);

  Plan Run();

 private:
  // plan.cc: what becomes of one job.
  void Consider(int32_t index);
  void Decide(KeepWaiting& waiting, const Demand& demand);
  bool BreaksQuota(KeepWaiting& waiting) const;
  std::optional<WaitCode> NeverFits(const KeepWaiting& waiting, const Demand& demand) const;
  int32_t LargestOf(int32_t index, int32_t free) const;
  bool TryStart(int32_t index, const Demand& demand, int32_t free);
  void Start(int32_t index, std::vector<Share> places, bool recallable);
  void Wait(KeepWaiting& waiting, WaitCode code);

  // plan_room.cc: attempts that stop, and slots that are held.
  void PutHoldsAside();
  void PutAside(const PendingJob& job);
  void PutAside(int32_t running);
  bool HasHold(int32_t hold) const { return hold >= 0 && held_[hold].has_value(); }
  void ConsiderHeld(KeepWaiting& waiting, const Demand& demand);
  bool MakeRoom(KeepWaiting& waiting, const Demand& demand);
  bool Reclaim(KeepWaiting& waiting, const Demand& demand);
  bool StopFor(KeepWaiting& waiting, const RoomMaker::Want& want);
  void GrowAttempts();
  void Grow(int32_t running);
  bool MayGrow(int32_t running) const;
  std::vector<Share> IdleFor(const Demand& demand, const RunningJob& attempt) const;

  // plan_backfill.cc: the head of the line and who may go before it.
  void Reserve(KeepWaiting& waiting, const Demand& demand);
  Releases ReleasesFor(const PendingJob& head, const Demand& demand, int32_t soon) const;
  bool Backfill(const KeepWaiting& waiting, const Demand& demand, Reservation& reservation);
  std::vector<Share> FindBeside(int32_t index, const Demand& demand,
                                const Reservation& reservation) const;
  int32_t UsableOf(const Demand& demand, const std::vector<Share>& places) const;
  // That of the head of the line for a device; without a head while all fit.
  Reservation& ReservationOf(cluster::Device device) {
    return device == cluster::Device::kCuda ? reserved_cuda_ : reserved_cpu_;
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
  Reservation reserved_cpu_;
  Reservation reserved_cuda_;
  // A job waits for slots of the device.
  bool wanted_cpu_ = false;
  bool wanted_cuda_ = false;
  int32_t position_ = 0;
  Plan plan_;
};

// What does not depend on places, if it keeps the job from starting.
std::optional<WaitCode> NotYet(const ClusterSnapshot& snapshot, const PendingJob& job,
                               absl::Time now);

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_PLANNER_H_
