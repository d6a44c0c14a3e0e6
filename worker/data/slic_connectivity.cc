#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "worker/data/slic.h"

namespace g2ll::data {
namespace {

// The 4-connected parts of a label map, numbered as rows are read.
struct Parts {
  std::vector<int32_t> part_of;  // by pixel
  std::vector<int32_t> sizes;    // by part
};

Parts FindParts(const LabelMap& map) {
  const int width = map.width;
  const auto num_pixels = static_cast<int32_t>(map.labels.size());
  Parts parts;
  parts.part_of.assign(map.labels.size(), -1);
  std::vector<int32_t> stack;
  for (int32_t start = 0; start < num_pixels; ++start) {
    if (parts.part_of[static_cast<size_t>(start)] >= 0) continue;
    const auto part = static_cast<int32_t>(parts.sizes.size());
    const uint16_t label = map.labels[static_cast<size_t>(start)];
    int32_t size = 0;
    const auto visit = [&](int32_t pixel) {
      if (parts.part_of[static_cast<size_t>(pixel)] >= 0 ||
          map.labels[static_cast<size_t>(pixel)] != label) {
        return;
      }
      parts.part_of[static_cast<size_t>(pixel)] = part;
      ++size;
      stack.push_back(pixel);
    };
    visit(start);
    while (!stack.empty()) {
      const int32_t pixel = stack.back();
      stack.pop_back();
      const int32_t x = pixel % width;
      if (x > 0) visit(pixel - 1);
      if (x + 1 < width) visit(pixel + 1);
      if (pixel >= width) visit(pixel - width);
      if (pixel + width < num_pixels) visit(pixel + width);
    }
    parts.sizes.push_back(size);
  }
  return parts;
}

// Sets of parts that were joined.
class Groups {
 public:
  explicit Groups(const std::vector<int32_t>& sizes) : parent_(sizes.size()), sizes_(sizes) {
    for (size_t i = 0; i < parent_.size(); ++i) parent_[i] = static_cast<int32_t>(i);
  }
  int32_t Find(int32_t part) {
    int32_t root = part;
    while (parent_[static_cast<size_t>(root)] != root) root = parent_[static_cast<size_t>(root)];
    while (parent_[static_cast<size_t>(part)] != root) {
      part = std::exchange(parent_[static_cast<size_t>(part)], root);
    }
    return root;
  }
  int32_t Size(int32_t root) const { return sizes_[static_cast<size_t>(root)]; }
  void Join(int32_t root_a, int32_t root_b) {
    // The part that is read first names the group.
    const auto [first, second] = std::minmax(root_a, root_b);
    parent_[static_cast<size_t>(second)] = first;
    sizes_[static_cast<size_t>(first)] += sizes_[static_cast<size_t>(second)];
  }

 private:
  std::vector<int32_t> parent_;
  std::vector<int32_t> sizes_;
};

// A pixel side between a small group and another one.
using Border = std::pair<int32_t, int32_t>;  // small group, its neighbor

std::vector<Border> BordersOfSmall(const Parts& parts, int width, int max_small, Groups& groups) {
  std::vector<Border> borders;
  const auto add = [&](size_t a, size_t b) {
    if (parts.part_of[a] == parts.part_of[b]) return;
    const int32_t group_a = groups.Find(parts.part_of[a]);
    const int32_t group_b = groups.Find(parts.part_of[b]);
    if (group_a == group_b) return;
    if (groups.Size(group_a) <= max_small) borders.emplace_back(group_a, group_b);
    if (groups.Size(group_b) <= max_small) borders.emplace_back(group_b, group_a);
  };
  const auto stride = static_cast<size_t>(width);
  for (size_t pixel = 0; pixel < parts.part_of.size(); ++pixel) {
    if (pixel % stride + 1 < stride) add(pixel, pixel + 1);
    if (pixel + stride < parts.part_of.size()) add(pixel, pixel + stride);
  }
  std::sort(borders.begin(), borders.end());
  return borders;
}

// Joins each small group to its longest neighbor once. Returns whether one was joined.
bool JoinSmall(const std::vector<Border>& borders, int max_small, Groups& groups) {
  bool joined = false;
  for (size_t begin = 0; begin < borders.size();) {
    const int32_t small = borders[begin].first;
    int32_t best = -1;
    size_t longest = 0;
    size_t end = begin;
    while (end < borders.size() && borders[end].first == small) {
      size_t run = end;
      while (run < borders.size() && borders[run] == borders[end]) ++run;
      if (run - end > longest) {
        longest = run - end;
        best = borders[end].second;
      }
      end = run;
    }
    // An earlier join of this round may have made it large enough already.
    const int32_t root = groups.Find(small);
    const int32_t target = groups.Find(best);
    if (root != target && groups.Size(root) <= max_small) {
      groups.Join(root, target);
      joined = true;
    }
    begin = end;
  }
  return joined;
}

}  // namespace

LabelMap ConnectRegions(const LabelMap& clusters, int max_small) {
  const Parts parts = FindParts(clusters);
  Groups groups(parts.sizes);
  while (true) {
    const std::vector<Border> borders = BordersOfSmall(parts, clusters.width, max_small, groups);
    if (!JoinSmall(borders, max_small, groups)) break;
  }
  LabelMap result{clusters.height, clusters.width, {}};
  result.labels.reserve(clusters.labels.size());
  std::vector<int32_t> number(parts.sizes.size(), -1);
  int32_t next = 0;
  for (const int32_t part : parts.part_of) {
    int32_t& id = number[static_cast<size_t>(groups.Find(part))];
    if (id < 0) id = next++;
    result.labels.push_back(static_cast<uint16_t>(id));
  }
  return result;
}

}  // namespace g2ll::data
