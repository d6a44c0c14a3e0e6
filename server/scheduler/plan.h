#ifndef SERVER_SCHEDULER_PLAN_H_
#define SERVER_SCHEDULER_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/preemption.h"
#include "server/scheduler/reasons.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// A whole gang with its places.
struct StartGang {
  // Index in ClusterSnapshot::pending.
  int32_t job = 0;
  // Place in the order of all pending jobs, from 1.
  int32_t position = 0;
  // In the order of ranks: the first share holds the ranks from 0.
  std::vector<Share> places;
  // It goes before a job with a reservation, which may recall it.
  bool recallable = false;

  int32_t world_size() const { return SumOf(places); }
};

// The first job of the line that does not fit, by device.
struct BlockedHead {
  // Index in ClusterSnapshot::pending.
  int32_t job = 0;
  // The next snapshot must have it as `blocked_since`.
  absl::Time since;
  // When it can start, as far as that is known; else InfiniteFuture.
  absl::Time start = absl::InfiniteFuture();
  bool hard = false;
};

// Slots that are kept for a job: the next snapshot must have them again.
struct KeepHold {
  // Index in ClusterSnapshot::pending, or -1 if the job runs still and stops only to
  // go on with another number of ranks: then its index in ClusterSnapshot::running.
  int32_t job = -1;
  int32_t running = -1;
  Hold hold;
};

// Every pending job is either started or kept waiting; both lists are in the order
// in which jobs were considered.
struct Plan {
  std::vector<StartGang> start;
  std::vector<KeepWaiting> wait;
  // Attempts to stop at a checkpoint, and all slots that are kept from now on.
  std::vector<StopGang> stop;
  std::vector<KeepHold> holds;
  std::vector<BlockedHead> heads;
};

// Decides which jobs start now. Pure: the same arguments give the same plan, and
// the order of the snapshot's lists does not matter.
//
// A gang is placed as a whole or not at all, with the largest world size that its
// limits allow and that fits; on one worker where possible, else on as few as
// possible, then where the least is left over. One rank goes to a worker that is
// in use already, so that whole workers stay free. Order: order.h; limits: quota.h.
//
// A job that does not fit may stop attempts that are less important
// (preemption.h). The slots that it will get are held for it while they come free.
// The first job for which that is not enough gets a reservation, and later ones
// may go before it only where they do not delay it (backfill.h). Slots that stay
// idle are given to attempts that run with fewer ranks than they may.
Plan PlanNext(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now);

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_PLAN_H_
