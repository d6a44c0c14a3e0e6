#ifndef SERVER_SCHEDULER_ORDER_H_
#define SERVER_SCHEDULER_ORDER_H_

#include <cstdint>
#include <vector>

#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// Indices of the pending jobs in the order in which they are served. Strict and
// total; does not depend on the order of the snapshot.
std::vector<int32_t> OrderOf(const ClusterSnapshot& snapshot);

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_ORDER_H_
