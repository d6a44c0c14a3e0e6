#include "server/scheduler/fair_share.h"

#include <cmath>
#include <numbers>

namespace g2ll::scheduler {
namespace {

// What is left of use after `elapsed`, from 1 down to 0.
double Remaining(absl::Duration elapsed, const FairShareOptions& options) {
  return std::exp2(-absl::FDivDuration(elapsed, options.half_life));
}

}  // namespace

Usage Decayed(const Usage& usage, absl::Time now, const FairShareOptions& options) {
  if (now <= usage.as_of) {
    return usage;
  }
  if (usage.as_of == absl::InfinitePast()) {
    return {0, now};
  }
  return {usage.slot_seconds * Remaining(now - usage.as_of, options), now};
}

Usage Charged(const Usage& usage, double slots, absl::Time now, const FairShareOptions& options) {
  if (now <= usage.as_of || usage.as_of == absl::InfinitePast()) {
    return Decayed(usage, now, options);
  }
  Usage charged = Decayed(usage, now, options);
  // The integral of `slots` that decay from the moment when they are used.
  const double remaining = Remaining(now - usage.as_of, options);
  charged.slot_seconds +=
      slots * absl::ToDoubleSeconds(options.half_life) / std::numbers::ln2 * (1 - remaining);
  return charged;
}

Usage ChargedForEntry(const Usage& usage, int32_t slots, absl::Time now,
                      const FairShareOptions& options) {
  Usage charged = Decayed(usage, now, options);
  charged.slot_seconds += slots * absl::ToDoubleSeconds(options.entry_penalty);
  return charged;
}

}  // namespace g2ll::scheduler
