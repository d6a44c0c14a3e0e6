#ifndef SERVER_SCHEDULER_REASONS_H_
#define SERVER_SCHEDULER_REASONS_H_

#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "server/cluster/records.h"
#include "server/scheduler/quota.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// Why a job waits. The names are what users see.
enum class WaitCode {
  // Someone holds the job, or its queue:
  kHeld,
  kQueueHeld,
  kWaitingForDependency,
  kDataNotChecked,
  kBackoff,
  kUnsatisfiable,
  // A limit of the project:
  kQuotaExceeded,
  // The ready workers can never hold the gang:
  kNoWorkers,
  kNoSuchDevice,
  kTooFewCpus,
  kTooFewSlots,
  kExcludedWorkers,
  // They can, but not now:
  kWaitingForSlots,
  kWaitingBehind,
  // Attempts were asked to stop for it.
  kWaitingForPreemption,
};

// The name of a code, for example `WAITING_FOR_SLOTS`.
std::string_view Name(WaitCode code);

// Slots that a job could use, on ready workers.
struct Supply {
  int32_t slots = 0;
  int32_t free = 0;
  // Slots of stopping attempts that nobody has a claim on.
  int32_t soon = 0;
  int32_t workers = 0;
};

// A job that stays where it is, and what decided it. Filled in by the code that
// decides; ReasonOf turns it into words. The code stays while its cause stays, the
// numbers are those of the cycle.
struct KeepWaiting {
  // Index in ClusterSnapshot::pending.
  int32_t job = 0;
  WaitCode code = WaitCode::kWaitingForSlots;
  // Place in the order of all pending jobs, from 1.
  int32_t position = 0;
  // Slots of the smallest gang that would do, and the device that they must have.
  int32_t need = 0;
  cluster::Device device = cluster::Device::kAuto;
  Supply supply;
  // Pending job that is served first, or -1.
  int32_t behind = -1;
  // With kQuotaExceeded: the limit, what counts against it, and the limit's value.
  QuotaLimit quota = QuotaLimit::kNone;
  double quota_used = 0;
  double quota_limit = 0;
  // Slots that stopping attempts will give to this job.
  int32_t coming = 0;
  // When it can start, if that is known; else InfiniteFuture.
  absl::Time estimated_start = absl::InfiniteFuture();
  // When the job is looked at again at the earliest, if that is known.
  absl::Time next_try = absl::InfinitePast();
};

// Code and sentence of a waiting job. `snapshot` is the one that was planned.
cluster::StateReason ReasonOf(const ClusterSnapshot& snapshot, const KeepWaiting& waiting);

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_REASONS_H_
