#include "server/telemetry/superseded.h"

#include <algorithm>
#include <limits>

namespace g2ll::telemetry {

Superseded::Superseded(const cluster::JobRecord& job)
    : kept_steps_(job.attempts.size() + 1, std::numeric_limits<int64_t>::max()) {
  // Attempts are numbered from 1: entry i is attempt i, followed by attempt i + 1.
  for (size_t i = job.attempts.size(); i-- > 1;) {
    kept_steps_[i] = std::min(kept_steps_[i + 1], job.attempts[i].resume_step);
  }
}

bool Superseded::Covers(const cluster::MetricRecord& point) const {
  const auto index = static_cast<size_t>(std::max(0, point.attempt));
  return index < kept_steps_.size() && point.step > kept_steps_[index];
}

}  // namespace g2ll::telemetry
