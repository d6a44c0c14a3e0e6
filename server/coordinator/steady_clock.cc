#include "server/coordinator/steady_clock.h"

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"
#include "proto/common/log.h"

namespace g2ll::coordinator {
namespace {

constexpr int kSlowest = 100;  // One part in so many is made up for.
constexpr absl::Duration kFarOff = absl::Minutes(1);

}  // namespace

absl::Time SteadyClock::Now() {
  return At(absl::Now(), absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()));
}

absl::Time SteadyClock::At(absl::Time wall, absl::Duration monotonic) {
  if (!started_) {
    started_ = true;
    time_ = wall;
    monotonic_ = monotonic;
    return time_;
  }
  const absl::Duration passed = monotonic - monotonic_;
  monotonic_ = monotonic;
  time_ += passed;
  const absl::Duration off = wall - time_;
  time_ += std::clamp(off, -passed / kSlowest, passed / kSlowest);
  const bool far_off = absl::AbsDuration(off) > kFarOff;
  if (far_off && !far_off_) {
    log::Warning(
        "the clock of this host was set; times go on as before and approach it slowly, or at once "
        "when the coordinator is started again",
        {{"ahead_by", absl::FormatDuration(off)}});
  }
  far_off_ = far_off;
  return time_;
}

}  // namespace g2ll::coordinator
