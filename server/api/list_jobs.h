#ifndef SERVER_API_LIST_JOBS_H_
#define SERVER_API_LIST_JOBS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "g2ll/v1/job.pb.h"
#include "server/api/list_filter.h"
#include "server/coordinator/core.h"

namespace g2ll::api {

// A list of jobs as asked for.
struct ListJobsQuery {
  // Empty is all projects.
  std::string project;
  int32_t page_size = 100;
  JobFilter filter;
  std::vector<OrderKey> order;
  // Only jobs behind this one, whose sorted fields and uid are set.
  std::optional<cluster::JobRecord> after;
};

// One page.
struct JobPage {
  std::vector<coordinator::JobPtr> jobs;
  bool has_more = false;
  // Jobs that fit in all.
  int64_t total = 0;
};

// Project of `projects/{project}`: empty text is `default`, `projects/-` is all and
// gives an empty name. Error: InvalidArgument.
absl::StatusOr<std::string> ReadParentOrAll(const std::string& parent);

// Reads a request. Errors: InvalidArgument (INVALID_SPEC for the parent, BAD_PAGE_SIZE,
// BAD_PAGE_TOKEN, BAD_FILTER, BAD_ORDER_BY).
absl::StatusOr<ListJobsQuery> ReadListRequest(const v1::ListJobsRequest& request);

// Filters, sorts and cuts. Pure.
JobPage PageOf(const std::vector<coordinator::JobPtr>& jobs, const ListJobsQuery& query);

// The token that continues a list behind `last`; it fits no other filter or order.
std::string NextPageToken(const v1::ListJobsRequest& request, const cluster::JobRecord& last);

}  // namespace g2ll::api

#endif  // SERVER_API_LIST_JOBS_H_
