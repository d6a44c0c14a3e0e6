#ifndef SERVER_CLUSTER_EXPLANATION_H_
#define SERVER_CLUSTER_EXPLANATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/records.h"
#include "server/cluster/states.h"

namespace g2ll::cluster {

// Why a job stands where it stands. The numbers are set while it waits.
struct JobExplanation {
  // Full name.
  std::string job;
  JobState state = JobState::kPending;
  StateReason reason;
  int32_t slots_needed = 0;
  int32_t slots_free = 0;
  int32_t slots_total = 0;
  // Full names of jobs and names of workers that stand in its way, the first that matter.
  std::vector<std::string> blockers;
  // Place among the waiting jobs from 1, and how many wait; 0 if it does not wait.
  int32_t position = 0;
  int32_t waiting = 0;
  // InfiniteFuture if it cannot be told.
  absl::Time estimated_start = absl::InfiniteFuture();
  // InfinitePast: at once.
  absl::Time next_try = absl::InfinitePast();
  std::optional<FailureRecord> last_failure;
  // What a user can do about it; empty if nothing needs doing.
  std::string advice;
};

}  // namespace g2ll::cluster

#endif  // SERVER_CLUSTER_EXPLANATION_H_
