// The head of the line and who may go before it.
#include <algorithm>
#include <utility>

#include "server/scheduler/planner.h"

namespace g2ll::scheduler {
namespace {

// When slots of stopping attempts are expected to be free.
constexpr absl::Duration kStopTakes = absl::Minutes(2);

}  // namespace

// Ranks on workers that `demand` may use.
int32_t Planner::UsableOf(const Demand& demand, const std::vector<Share>& places) const {
  int32_t ranks = 0;
  for (const Share& share : places) {
    ranks += board_.Accepts(demand, share.worker) ? share.ranks : 0;
  }
  return ranks;
}

// Slots of attempts, and of jobs that start in this cycle, by the times of their
// ends, where `demand` may use them.
Releases Planner::ReleasesFor(const PendingJob& head, const Demand& demand, int32_t soon) const {
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
void Planner::Reserve(KeepWaiting& waiting, const Demand& demand) {
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
std::vector<Share> Planner::FindBeside(int32_t index, const Demand& demand,
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
bool Planner::Backfill(const KeepWaiting& waiting, const Demand& demand, Reservation& reservation) {
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

}  // namespace g2ll::scheduler
