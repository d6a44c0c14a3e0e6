#ifndef SERVER_COORDINATOR_RECOVERY_H_
#define SERVER_COORDINATOR_RECOVERY_H_

#include <cstdint>

#include "absl/time/time.h"
#include "server/cluster/records.h"
#include "server/coordinator/options.h"

// What follows from an attempt that broke. Pure.
namespace g2ll::coordinator {

// A failure that its host is to blame for: the job avoids the worker from then on.
bool BlamesHost(const cluster::FailureRecord& failure);

// The kernel ended a rank because the host's memory, or the memory that the agent may
// use, ran out. CUDA's memory is another matter: there the rank ends by itself.
bool IsHostOutOfMemory(const cluster::FailureRecord& failure);

// The state reason of a job whose attempt broke so.
cluster::StateReason ReasonOf(const cluster::FailureRecord& failure);

// Whether another attempt is made, and the job's counters afterwards.
struct Recovery {
  bool retry = false;
  // It waits until a user resumes it; `reason` says why.
  bool hold = false;
  // Not placed before this has passed.
  absl::Duration wait;
  // Why it is retried or given up.
  cluster::StateReason reason;
  int32_t used_retries = 0;
  int32_t used_infra_retries = 0;
  int32_t without_progress = 0;
  int32_t failed_starts = 0;
};

// `job`: its last attempt has ended with a failure that is not counted yet.
Recovery DecideRecovery(const cluster::JobRecord& job, const CoreOptions& options);

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_RECOVERY_H_
