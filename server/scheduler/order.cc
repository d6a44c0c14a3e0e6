#include "server/scheduler/order.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace g2ll::scheduler {

std::vector<int32_t> OrderOf(const ClusterSnapshot& snapshot) {
  std::vector<int32_t> order(snapshot.pending.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t left, int32_t right) {
    const PendingJob& a = snapshot.pending[left];
    const PendingJob& b = snapshot.pending[right];
    const std::string_view project_a = snapshot.projects[a.project].name;
    const std::string_view project_b = snapshot.projects[b.project].name;
    // A higher priority comes first, so its operands are swapped.
    return std::tie(b.priority, a.queue_time, project_a, a.name, a.uid) <
           std::tie(a.priority, b.queue_time, project_b, b.name, b.uid);
  });
  return order;
}

}  // namespace g2ll::scheduler
