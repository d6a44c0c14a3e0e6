#ifndef SERVER_TELEMETRY_DOWN_SAMPLER_H_
#define SERVER_TELEMETRY_DOWN_SAMPLER_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "server/cluster/records.h"

namespace g2ll::telemetry {

// Thins a curve while it is being read, in memory that depends on the size of the result
// alone. As long as the points are few enough all are kept. Then the curve is cut into
// stretches of equal length, which double as more comes, and each keeps its first, last,
// lowest and highest point. The result depends only on the points, not on when which
// of them came. Not thread safe.
class DownSampler {
 public:
  // The result has at most `most_points` points, which is at least 4.
  explicit DownSampler(int64_t most_points) : most_points_(most_points) {}

  // Adds a point at `position`, 0 or more: what stretches are stretches of. NaN counts
  // neither as low nor as high.
  void Add(int64_t position, const cluster::MetricRecord& point);

  // By position, then number.
  std::vector<cluster::MetricRecord> Result() const;
  // Points added.
  int64_t total() const { return total_; }

 private:
  struct Placed {
    int64_t position = 0;
    cluster::MetricRecord point;

    bool Before(const Placed& other) const {
      return std::pair(position, point.seq) < std::pair(other.position, other.point.seq);
    }
  };
  struct Stretch {
    Placed first;
    Placed last;
    std::optional<Placed> lowest;
    std::optional<Placed> highest;
  };

  static Stretch StretchOf(const Placed& placed);
  // Takes `other` into `stretch`.
  static void Merge(const Stretch& other, Stretch* stretch);
  void Insert(const Placed& placed);
  // Doubles the length of the stretches until they are few enough.
  void Widen();

  const int64_t most_points_;
  int64_t total_ = 0;
  // All points, until there are too many.
  std::vector<Placed> all_;
  // Stretch i has the positions from i * length_ on.
  std::map<int64_t, Stretch> stretches_;
  // 0 while all points are kept.
  int64_t length_ = 0;
};

}  // namespace g2ll::telemetry

#endif  // SERVER_TELEMETRY_DOWN_SAMPLER_H_
