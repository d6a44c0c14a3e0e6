#include "server/telemetry/down_sampler.h"

#include <algorithm>
#include <cmath>

namespace g2ll::telemetry {
namespace {

constexpr int64_t kPointsOfStretch = 4;
// Far beyond any step; doubling a length up to here does not overflow.
constexpr int64_t kLastPosition = int64_t{1} << 60;

}  // namespace

DownSampler::Stretch DownSampler::StretchOf(const Placed& placed) {
  Stretch stretch{placed, placed, std::nullopt, std::nullopt};
  if (!std::isnan(placed.point.value)) {
    stretch.lowest = stretch.highest = placed;
  }
  return stretch;
}

// Of equal values the earliest is kept, in whatever order they come.
void DownSampler::Merge(const Stretch& other, Stretch* stretch) {
  if (other.first.Before(stretch->first)) {
    stretch->first = other.first;
  }
  if (stretch->last.Before(other.last)) {
    stretch->last = other.last;
  }
  const auto is_better = [](const std::optional<Placed>& candidate,
                            const std::optional<Placed>& kept, double sign) {
    if (!candidate.has_value() || !kept.has_value()) {
      return candidate.has_value();
    }
    const double a = sign * candidate->point.value;
    const double b = sign * kept->point.value;
    return a > b || (a == b && candidate->Before(*kept));
  };
  if (is_better(other.lowest, stretch->lowest, -1)) {
    stretch->lowest = other.lowest;
  }
  if (is_better(other.highest, stretch->highest, 1)) {
    stretch->highest = other.highest;
  }
}

void DownSampler::Insert(const Placed& placed) {
  const auto [found, is_new] = stretches_.try_emplace(placed.position / length_, StretchOf(placed));
  if (!is_new) {
    Merge(StretchOf(placed), &found->second);
  }
}

void DownSampler::Widen() {
  while (static_cast<int64_t>(stretches_.size()) > most_points_ / kPointsOfStretch) {
    length_ *= 2;
    std::map<int64_t, Stretch> wider;
    for (const auto& [index, stretch] : stretches_) {
      const auto [found, is_new] = wider.try_emplace(index / 2, stretch);
      if (!is_new) {
        Merge(stretch, &found->second);
      }
    }
    stretches_ = std::move(wider);
  }
}

void DownSampler::Add(int64_t position, const cluster::MetricRecord& point) {
  const Placed placed{std::clamp<int64_t>(position, 0, kLastPosition), point};
  ++total_;
  if (length_ == 0 && total_ <= most_points_) {
    all_.push_back(placed);
    return;
  }
  if (length_ == 0) {
    length_ = 1;
    for (const Placed& kept : all_) {
      Insert(kept);
      Widen();
    }
    all_ = {};
  }
  Insert(placed);
  Widen();
}

std::vector<cluster::MetricRecord> DownSampler::Result() const {
  std::vector<Placed> kept = all_;
  for (const auto& [index, stretch] : stretches_) {
    for (const Placed* placed : {&stretch.first, &stretch.last}) {
      kept.push_back(*placed);
    }
    for (const std::optional<Placed>& extreme : {stretch.lowest, stretch.highest}) {
      if (extreme.has_value()) {
        kept.push_back(*extreme);
      }
    }
  }
  std::sort(kept.begin(), kept.end(), [](const Placed& a, const Placed& b) { return a.Before(b); });
  std::vector<cluster::MetricRecord> points;
  for (Placed& placed : kept) {
    if (points.empty() || points.back().seq != placed.point.seq) {
      points.push_back(std::move(placed.point));
    }
  }
  return points;
}

}  // namespace g2ll::telemetry
