#ifndef SERVER_SCHEDULER_ORDER_H_
#define SERVER_SCHEDULER_ORDER_H_

#include <cstdint>
#include <vector>

#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// Gives out the pending jobs in the order in which they are served: priority, then
// what their projects have used by weight, then queue time, then project and name.
// Strict and total; does not depend on the order of the snapshot's lists. What is
// charged on the way counts for the jobs that are still to come.
class JobOrder {
 public:
  // `snapshot` outlives it.
  explicit JobOrder(const ClusterSnapshot& snapshot);

  // Index of the next job in `pending`, or -1 after the last.
  int32_t Next();
  void Charge(int32_t project, double slot_seconds) { used_[project] += slot_seconds; }

 private:
  // Jobs of one priority and one project that are still to come, in `sorted_`.
  struct Line {
    size_t next = 0;
    size_t end = 0;
    // Share of its project when the line was put into the heap.
    double share = 0;
  };

  bool ComesBefore(int32_t left, int32_t right) const;
  // For a heap whose first element is served first.
  bool IsServedAfter(const Line& a, const Line& b) const;
  double ShareOf(int32_t project) const;
  void PushLine(Line line);
  void StartClass();

  const ClusterSnapshot& snapshot_;
  // By project.
  std::vector<double> used_;
  std::vector<int32_t> sorted_;
  // Where the next priority class begins in `sorted_`.
  size_t next_class_ = 0;
  // Heap of the class that is being served.
  std::vector<Line> lines_;
  // The line that the last job came from; `next == end` if it is empty.
  Line last_;
};

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_ORDER_H_
