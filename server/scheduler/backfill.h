#ifndef SERVER_SCHEDULER_BACKFILL_H_
#define SERVER_SCHEDULER_BACKFILL_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/placement.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// Slots that are reserved for the first job of the line that does not fit (EASY
// backfill: later jobs may go before it as long as they do not delay it).
struct Reservation {
  // Index in ClusterSnapshot::pending.
  int32_t head = -1;
  Demand demand;
  // When enough slots will be free, as far as the running attempts' ends are known.
  absl::Time start = absl::InfiniteFuture();
  // Slots that will be free at `start` beyond what the head needs.
  int32_t spare = 0;
  // The head has waited so long that guesses no longer count: of the runtimes only
  // limits, and nothing starts that would have to be recalled before `start`.
  bool hard = false;
  // The head may use every ready worker of its device.
  bool covers_device = false;
};

// When slots come free, and how many of those that a job may use.
using Releases = std::vector<std::pair<absl::Time, int32_t>>;

// When an attempt ends at the latest, by its time limit, its own estimate, or what
// jobs with an equal spec took; InfiniteFuture if nothing says. An estimate that has
// passed says nothing.
absl::Time ExpectedEnd(const RunningJob& attempt, absl::Time now);

// When a job would end if it started now. `only_limits`: what equal jobs took does
// not count.
absl::Time ExpectedEnd(const PendingJob& job, absl::Time now, bool only_limits);

// Fills in `start` and `spare` for a head that needs `need` slots of which `free`
// are free now.
void Fix(Reservation& reservation, int32_t need, int32_t free, Releases releases);

// How a job may start behind a reservation.
enum class BackfillRule {
  kNotAtAll,
  // Only on slots that the head does not need.
  kOnSpareSlots,
  // Anywhere: it ends before the head can start.
  kInTime,
  // Anywhere: it is stopped when the head can start.
  kRecallable,
};
BackfillRule RuleFor(const PendingJob& job, const Reservation& reservation, absl::Time now);

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_BACKFILL_H_
