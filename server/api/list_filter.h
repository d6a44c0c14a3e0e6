#ifndef SERVER_API_LIST_FILTER_H_
#define SERVER_API_LIST_FILTER_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/cluster/records.h"

namespace g2ll::api {

// Whether a job fits. Pure and thread safe.
using JobFilter = std::function<bool(const cluster::JobRecord&)>;

// Reads a filter as in ListJobsRequest, for example
// `state = RUNNING AND labels.study = table1`; an empty one fits every job.
// Error: InvalidArgument BAD_FILTER that names the place, what was given and what may
// stand there. At most 4 KiB, 64 terms and 16 brackets inside each other.
absl::StatusOr<JobFilter> ParseFilter(std::string_view text);

// A key by which jobs are sorted.
struct OrderKey {
  enum class Field { kCreateTime, kStartTime, kEndTime, kName, kState, kPriority };
  Field field = Field::kCreateTime;
  bool descending = false;

  bool operator==(const OrderKey&) const = default;
};

// Reads an order as in ListJobsRequest, for example `priority desc, create_time`; an
// empty one is `create_time desc`. Error: InvalidArgument BAD_ORDER_BY.
absl::StatusOr<std::vector<OrderKey>> ParseOrder(std::string_view text);

// Whether `a` comes before `b`. Jobs that are equal in every key are in the order of
// their uids, so the order is total.
bool ComesBefore(const cluster::JobRecord& a, const cluster::JobRecord& b,
                 const std::vector<OrderKey>& order);

}  // namespace g2ll::api

#endif  // SERVER_API_LIST_FILTER_H_
