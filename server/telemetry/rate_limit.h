#ifndef SERVER_TELEMETRY_RATE_LIMIT_H_
#define SERVER_TELEMETRY_RATE_LIMIT_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace g2ll::telemetry {

// Holds a source to a rate by making it wait, never by refusing: what was saved up in a
// quiet second may come at once. Not thread safe.
class RateLimit {
 public:
  // `per_second` is positive.
  explicit RateLimit(int64_t per_second)
      : per_second_(static_cast<double>(per_second)), saved_(per_second_) {}

  // Takes `units` at `now`, which never goes back. Returns how long the source has to
  // wait before its next ones.
  absl::Duration Take(int64_t units, absl::Time now) {
    if (last_ != absl::InfinitePast()) {
      saved_ += per_second_ * std::max(0.0, absl::ToDoubleSeconds(now - last_));
    }
    last_ = now;
    saved_ = std::min(saved_, per_second_) - static_cast<double>(units);
    return saved_ >= 0 ? absl::ZeroDuration() : absl::Seconds(-saved_ / per_second_);
  }

 private:
  const double per_second_;
  // Units that may come at once; below zero they came too early.
  double saved_;
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace g2ll::telemetry

#endif  // SERVER_TELEMETRY_RATE_LIMIT_H_
