#include "server/scheduler/backfill.h"

#include <algorithm>

namespace g2ll::scheduler {

absl::Time ExpectedEnd(const RunningJob& attempt, absl::Time now) {
  absl::Time guess = attempt.expected_end;
  if (guess == absl::InfiniteFuture()) {
    guess = attempt.start_time + attempt.learned_runtime;
  }
  if (guess <= now) {
    guess = absl::InfiniteFuture();
  }
  return std::min(guess, attempt.start_time + attempt.max_runtime);
}

absl::Time ExpectedEnd(const PendingJob& job, absl::Time now, bool only_limits) {
  return now + (only_limits ? job.max_runtime : std::min(job.max_runtime, job.learned_runtime));
}

void Fix(Reservation& reservation, int32_t need, int32_t free, Releases releases) {
  std::sort(releases.begin(), releases.end());
  int32_t slots = free;
  for (const auto& [time, count] : releases) {
    if (slots >= need || time == absl::InfiniteFuture()) {
      break;
    }
    slots += count;
    reservation.start = time;
  }
  if (slots < need) {
    reservation.start = absl::InfiniteFuture();
  }
  reservation.spare = std::max(0, slots - need);
}

BackfillRule RuleFor(const PendingJob& job, const Reservation& reservation, absl::Time now) {
  const bool start_is_known = reservation.start != absl::InfiniteFuture();
  if (start_is_known && ExpectedEnd(job, now, reservation.hard) <= reservation.start) {
    return BackfillRule::kInTime;
  }
  if (job.preemptible && !(reservation.hard && start_is_known)) {
    return BackfillRule::kRecallable;
  }
  return reservation.spare > 0 || !reservation.covers_device ? BackfillRule::kOnSpareSlots
                                                             : BackfillRule::kNotAtAll;
}

}  // namespace g2ll::scheduler
