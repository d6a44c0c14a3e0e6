#ifndef SERVER_SCHEDULER_FAIR_SHARE_H_
#define SERVER_SCHEDULER_FAIR_SHARE_H_

#include <cstdint>

#include "absl/time/time.h"

namespace g2ll::scheduler {

// What a project has used, where old use counts less and less.
struct Usage {
  // Slots times seconds, decayed to `as_of`.
  double slot_seconds = 0;
  absl::Time as_of = absl::InfinitePast();

  bool operator==(const Usage&) const = default;
};

// How fast use is forgotten, and what is charged in advance.
struct FairShareOptions {
  // After this time use counts half; > 0.
  absl::Duration half_life = absl::Hours(24 * 7);
  // Charged for each slot when a job is placed, so that a burst of jobs does not
  // count as nothing until it has run for a while.
  absl::Duration entry_penalty = absl::Minutes(10);
};

// The usage as it counts at `now`; the same if `now` is not later.
Usage Decayed(const Usage& usage, absl::Time now, const FairShareOptions& options);

// Adds `slots` that ran from `usage.as_of` to `now`; what ran early has decayed a
// little. Charging in one step or in many gives the same.
Usage Charged(const Usage& usage, double slots, absl::Time now, const FairShareOptions& options);

// Adds what placing `slots` costs in advance.
Usage ChargedForEntry(const Usage& usage, int32_t slots, absl::Time now,
                      const FairShareOptions& options);

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_FAIR_SHARE_H_
