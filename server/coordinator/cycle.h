#ifndef SERVER_COORDINATOR_CYCLE_H_
#define SERVER_COORDINATOR_CYCLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/records.h"
#include "server/scheduler/plan.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::coordinator {

// One scheduling cycle: what was looked at and what was decided. Kept until the next
// one, so that whoever asks why a job waits gets the numbers that decided. Never
// changes once it is planned.
struct Cycle {
  absl::Time time;
  // The records behind the jobs of the snapshot, by the same indices; its views point
  // into them.
  std::vector<std::shared_ptr<const cluster::JobRecord>> pending;
  std::vector<std::shared_ptr<const cluster::JobRecord>> running;
  scheduler::ClusterSnapshot snapshot;
  scheduler::Plan plan;

  // Where names stand in the snapshot.
  std::unordered_map<std::string_view, int32_t> workers;
  std::map<std::string_view, int32_t> projects;
};

// Slots that are kept for a job from one cycle to the next.
struct HeldPlaces {
  // Worker and number of ranks.
  std::vector<std::pair<std::string, int32_t>> places;
  absl::Time until;
  int32_t ranks = 0;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_CYCLE_H_
