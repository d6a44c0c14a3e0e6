#include "worker/data/region_graph.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <tuple>
#include <utility>

#include "worker/data/label_runs.h"

namespace g2ll::data {

RegionGraph::RegionGraph(const LabelMap& map) : height_(map.height), width_(map.width) {
  FindRuns(map);
  JoinRunsToParts(map);
  NumberParts();
  FindBorders();
}

void RegionGraph::FindRuns(const LabelMap& map) {
  runs_.reserve(static_cast<size_t>(height_) * 16);
  row_starts_.reserve(static_cast<size_t>(height_) + 1);
  for (int y = 0; y < height_; ++y) {
    row_starts_.push_back(runs_.size());
    const int32_t start = y * width_;
    for (int x = 0; x < width_;) {
      const int end = RunEnd(&map.labels[static_cast<size_t>(start)], x, width_);
      runs_.push_back({start + x, start + end, 0});
      x = end;
    }
  }
  row_starts_.push_back(runs_.size());
}

// Calls touch(upper run, lower run, shared columns) for runs that meet.
template <typename Touch>
void RegionGraph::ForEachVerticalTouch(Touch touch) const {
  for (size_t row = 1; row + 1 < row_starts_.size(); ++row) {
    size_t upper = row_starts_[row - 1];
    size_t lower = row_starts_[row];
    while (upper < row_starts_[row] && lower < row_starts_[row + 1]) {
      const int32_t upper_end = runs_[upper].end + width_;
      const int32_t shared = std::min(upper_end, runs_[lower].end) -
                             std::max(runs_[upper].begin + width_, runs_[lower].begin);
      touch(upper, lower, shared);
      if (upper_end <= runs_[lower].end) ++upper;
      if (upper_end >= runs_[lower].end) ++lower;
    }
  }
}

void RegionGraph::JoinRunsToParts(const LabelMap& map) {
  parent_.resize(runs_.size());
  std::iota(parent_.begin(), parent_.end(), 0);
  const auto label = [&](size_t run) { return map.labels[static_cast<size_t>(runs_[run].begin)]; };
  ForEachVerticalTouch([&](size_t upper, size_t lower, int32_t) {
    if (label(upper) != label(lower)) return;
    const int32_t a = Find(static_cast<int32_t>(upper));
    const int32_t b = Find(static_cast<int32_t>(lower));
    parent_[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
  });
}

// The first run of a part is its root, so parts are numbered as rows are read.
void RegionGraph::NumberParts() {
  for (size_t run = 0; run < runs_.size(); ++run) {
    const auto root = static_cast<size_t>(Find(static_cast<int32_t>(run)));
    if (root == run) {
      runs_[run].part = static_cast<int32_t>(sizes_.size());
      sizes_.push_back(0);
    } else {
      runs_[run].part = runs_[root].part;
    }
    sizes_[static_cast<size_t>(runs_[run].part)] += runs_[run].end - runs_[run].begin;
  }
  num_groups_ = static_cast<int>(sizes_.size());
  parent_.resize(sizes_.size());
  std::iota(parent_.begin(), parent_.end(), 0);
}

void RegionGraph::FindBorders() {
  const auto add = [&](size_t run_a, size_t run_b, int32_t length) {
    const int32_t a = runs_[run_a].part;
    const int32_t b = runs_[run_b].part;
    if (a == b) return;
    borders_.push_back({a, b, length});
    borders_.push_back({b, a, length});
  };
  for (size_t row = 0; row + 1 < row_starts_.size(); ++row) {
    for (size_t run = row_starts_[row] + 1; run < row_starts_[row + 1]; ++run) {
      add(run - 1, run, 1);
    }
  }
  ForEachVerticalTouch(add);
}

int32_t RegionGraph::Find(int32_t part) {
  int32_t root = part;
  while (parent_[static_cast<size_t>(root)] != root) root = parent_[static_cast<size_t>(root)];
  while (parent_[static_cast<size_t>(part)] != root) {
    part = std::exchange(parent_[static_cast<size_t>(part)], root);
  }
  return root;
}

// The part that is read first names the group.
void RegionGraph::Join(int32_t root_a, int32_t root_b) {
  const int32_t first = std::min(root_a, root_b);
  const int32_t second = std::max(root_a, root_b);
  parent_[static_cast<size_t>(second)] = first;
  sizes_[static_cast<size_t>(first)] += sizes_[static_cast<size_t>(second)];
  --num_groups_;
}

std::vector<RegionGraph::Border> RegionGraph::BordersOfSmall(int64_t max_small) {
  std::vector<Border> small;
  for (const Border& border : borders_) {
    const int32_t group = Find(border.group);
    const int32_t neighbor = Find(border.neighbor);
    if (group == neighbor || sizes_[static_cast<size_t>(group)] > max_small) continue;
    small.push_back({group, neighbor, border.length});
  }
  std::sort(small.begin(), small.end(), [](const Border& a, const Border& b) {
    return std::tie(a.group, a.neighbor) < std::tie(b.group, b.neighbor);
  });
  std::vector<Border> merged;
  for (const Border& border : small) {
    if (!merged.empty() && merged.back().group == border.group &&
        merged.back().neighbor == border.neighbor) {
      merged.back().length += border.length;
    } else {
      merged.push_back(border);
    }
  }
  return merged;
}

// Joins each small group to its longest neighbor once. Returns whether one was joined.
bool RegionGraph::JoinSmallOnce(int64_t max_small) {
  const std::vector<Border> borders = BordersOfSmall(max_small);
  bool joined = false;
  for (size_t begin = 0; begin < borders.size();) {
    size_t end = begin;
    size_t best = begin;
    for (; end < borders.size() && borders[end].group == borders[begin].group; ++end) {
      if (borders[end].length > borders[best].length) best = end;
    }
    // An earlier join of this round may have made it large enough already.
    const int32_t root = Find(borders[begin].group);
    const int32_t target = Find(borders[best].neighbor);
    if (root != target && sizes_[static_cast<size_t>(root)] <= max_small) {
      Join(root, target);
      joined = true;
    }
    begin = end;
  }
  return joined;
}

void RegionGraph::JoinSmall(int max_small) {
  while (JoinSmallOnce(max_small)) {
  }
}

void RegionGraph::JoinSmallest() {
  int32_t smallest = -1;
  for (size_t part = 0; part < sizes_.size(); ++part) {
    if (parent_[part] != static_cast<int32_t>(part)) continue;
    if (smallest < 0 || sizes_[part] < sizes_[static_cast<size_t>(smallest)]) {
      smallest = static_cast<int32_t>(part);
    }
  }
  const Border* longest = nullptr;
  const std::vector<Border> borders = BordersOfSmall(sizes_[static_cast<size_t>(smallest)]);
  for (const Border& border : borders) {
    if (border.group != smallest) continue;
    if (longest == nullptr || border.length > longest->length) longest = &border;
  }
  Join(smallest, longest->neighbor);
}

LabelMap RegionGraph::Labels() {
  LabelMap map{height_, width_,
               std::vector<uint16_t>(static_cast<size_t>(height_) * static_cast<size_t>(width_))};
  std::vector<int32_t> number(sizes_.size(), -1);
  int32_t next = 0;
  for (const Run& run : runs_) {
    int32_t& id = number[static_cast<size_t>(Find(run.part))];
    if (id < 0) id = next++;
    std::fill(map.labels.begin() + run.begin, map.labels.begin() + run.end,
              static_cast<uint16_t>(id));
  }
  return map;
}

}  // namespace g2ll::data
