#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "worker/data/region_graph.h"
#include "worker/data/slic.h"

namespace g2ll::data {
namespace {

// The pixels that can be reached from `start` without leaving its label, nearest
// first.
std::vector<int32_t> BreadthFirst(const LabelMap& map, int32_t start) {
  const auto num_pixels = static_cast<int32_t>(map.labels.size());
  const uint16_t label = map.labels[static_cast<size_t>(start)];
  std::vector<bool> seen(map.labels.size(), false);
  std::vector<int32_t> order;
  const auto visit = [&](int32_t pixel) {
    const auto at = static_cast<size_t>(pixel);
    if (seen[at] || map.labels[at] != label) return;
    seen[at] = true;
    order.push_back(pixel);
  };
  visit(start);
  for (size_t next = 0; next < order.size(); ++next) {
    const int32_t pixel = order[next];
    const int32_t x = pixel % map.width;
    if (pixel >= map.width) visit(pixel - map.width);
    if (x > 0) visit(pixel - 1);
    if (x + 1 < map.width) visit(pixel + 1);
    if (pixel + map.width < num_pixels) visit(pixel + map.width);
  }
  return order;
}

// Gives half of the region with this label, which is in one piece, the label `half`.
void Halve(LabelMap& map, uint16_t label, uint16_t half) {
  const auto first = std::find(map.labels.begin(), map.labels.end(), label);
  // The last pixel reached lies at one end of the region.
  const int32_t end = BreadthFirst(map, static_cast<int32_t>(first - map.labels.begin())).back();
  const std::vector<int32_t> from_end = BreadthFirst(map, end);
  // The nearer half is in one piece. What is left may not be: its largest piece
  // becomes the new region, and the others touch the nearer half only.
  constexpr uint16_t kNearer = UINT16_MAX;
  for (size_t i = 0; i < from_end.size() / 2; ++i) {
    map.labels[static_cast<size_t>(from_end[i])] = kNearer;
  }
  std::vector<int32_t> largest;
  for (size_t i = from_end.size() / 2; i < from_end.size(); ++i) {
    if (map.labels[static_cast<size_t>(from_end[i])] != label) continue;
    std::vector<int32_t> piece = BreadthFirst(map, from_end[i]);
    for (const int32_t pixel : piece) map.labels[static_cast<size_t>(pixel)] = kNearer;
    if (piece.size() > largest.size()) largest = std::move(piece);
  }
  for (const int32_t pixel : from_end) map.labels[static_cast<size_t>(pixel)] = label;
  for (const int32_t pixel : largest) map.labels[static_cast<size_t>(pixel)] = half;
}

}  // namespace

LabelMap ConnectRegions(const LabelMap& clusters, int max_small) {
  RegionGraph graph(clusters);
  graph.JoinSmall(max_small);
  return graph.Labels();
}

LabelMap WithExactRegions(const LabelMap& map, int regions) {
  RegionGraph graph(map);
  if (graph.num_groups() >= regions) {
    while (graph.num_groups() > std::max(regions, 1)) graph.JoinSmallest();
    return graph.Labels();
  }
  LabelMap split = graph.Labels();
  std::vector<int64_t> sizes(static_cast<size_t>(graph.num_groups()), 0);
  for (const uint16_t label : split.labels) ++sizes[label];
  while (sizes.size() < static_cast<size_t>(regions)) {
    const auto largest = std::max_element(sizes.begin(), sizes.end());
    if (*largest < 2) break;
    const auto label = static_cast<uint16_t>(largest - sizes.begin());
    const auto half = static_cast<uint16_t>(sizes.size());
    Halve(split, label, half);
    const int64_t moved = std::count(split.labels.begin(), split.labels.end(), half);
    sizes[label] -= moved;
    sizes.push_back(moved);
  }
  return ConnectRegions(split, 0);
}

}  // namespace g2ll::data
