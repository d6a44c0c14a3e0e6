#ifndef SERVER_TELEMETRY_SUPERSEDED_H_
#define SERVER_TELEMETRY_SUPERSEDED_H_

#include <cstdint>
#include <vector>

#include "server/cluster/records.h"

namespace g2ll::telemetry {

// Which points of a job count: an attempt that goes on from a checkpoint makes the steps
// behind it anew, so the points that earlier attempts reported of those are superseded.
// One that is default made supersedes nothing. Never changes.
class Superseded {
 public:
  Superseded() = default;
  explicit Superseded(const cluster::JobRecord& job);

  bool Covers(const cluster::MetricRecord& point) const;

 private:
  // Entry a: the smallest step to which any attempt after a went back.
  std::vector<int64_t> kept_steps_;
};

}  // namespace g2ll::telemetry

#endif  // SERVER_TELEMETRY_SUPERSEDED_H_
