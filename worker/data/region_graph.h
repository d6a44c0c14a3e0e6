#ifndef WORKER_DATA_REGION_GRAPH_H_
#define WORKER_DATA_REGION_GRAPH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/data/resize.h"

namespace g2ll::data {

// The 4-connected parts of a label map, numbered as rows are read, and which of them
// were joined. Works on runs of equal labels along the rows: a map has a few
// thousand of them where it has 65,536 pixels.
class RegionGraph {
 public:
  explicit RegionGraph(const LabelMap& map);

  // Groups of joined parts.
  int num_groups() const { return num_groups_; }

  // Joins every group of at most `max_small` pixels to the neighbor it shares the
  // longest border with (ties: the one that comes first), until none is left.
  void JoinSmall(int max_small);

  // Joins the smallest group (ties: the one that comes first) to the neighbor with
  // the longest border. There must be two groups.
  void JoinSmallest();

  // Groups as labels, numbered in the order in which rows are read.
  LabelMap Labels();

 private:
  // Pixels begin .. end - 1, all in one row.
  struct Run {
    int32_t begin = 0;
    int32_t end = 0;
    int32_t part = 0;
  };
  // The pixel sides between a group and a neighbor.
  struct Border {
    int32_t group = 0;
    int32_t neighbor = 0;
    int64_t length = 0;
  };

  void FindRuns(const LabelMap& map);
  void JoinRunsToParts(const LabelMap& map);
  void NumberParts();
  void FindBorders();
  template <typename Touch>
  void ForEachVerticalTouch(Touch touch) const;

  int32_t Find(int32_t part);
  void Join(int32_t root_a, int32_t root_b);
  // Borders of the groups with at most `max_small` pixels, sorted, one a neighbor.
  std::vector<Border> BordersOfSmall(int64_t max_small);
  bool JoinSmallOnce(int64_t max_small);

  int height_ = 0;
  int width_ = 0;
  std::vector<Run> runs_;
  std::vector<size_t> row_starts_;  // first run of each row, and the end
  std::vector<Border> borders_;     // between parts, both ways
  std::vector<int32_t> parent_;     // by part; before that by run
  std::vector<int64_t> sizes_;      // pixels of a root's group
  int num_groups_ = 0;
};

}  // namespace g2ll::data

#endif  // WORKER_DATA_REGION_GRAPH_H_
