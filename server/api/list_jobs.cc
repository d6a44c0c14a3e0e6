#include "server/api/list_jobs.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/common/grpc_status.h"
#include "proto/common/spec_validation.h"
#include "proto/common/status_macros.h"
#include "server/api/create_request.h"
#include "server/storage/sha256.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {
namespace {

using cluster::JobRecord;
using coordinator::JobPtr;

constexpr int32_t kDefaultPageSize = 100;
constexpr int32_t kLargestPageSize = 1000;
constexpr size_t kTokenParts = 8;

// Ties a page token to the list that it was made for.
std::string ListDigest(const v1::ListJobsRequest& request) {
  v1::ListJobsRequest list = request;
  list.clear_page_token();
  list.clear_page_size();
  return storage::Sha256Hex(wire::SerializeDeterministic(list)).substr(0, 16);
}

std::string MicrosText(absl::Time time) {
  return time == absl::InfinitePast() ? "" : absl::StrCat(absl::ToUnixMicros(time));
}

bool ReadMicros(const std::string& text, absl::Time* time) {
  int64_t micros = 0;
  if (!text.empty() && !absl::SimpleAtoi(text, &micros)) {
    return false;
  }
  *time = text.empty() ? absl::InfinitePast() : absl::FromUnixMicros(micros);
  return true;
}

// The sorted fields of the job that the last page ended with.
std::optional<JobRecord> ReadToken(const v1::ListJobsRequest& request) {
  const std::vector<std::string> parts = absl::StrSplit(request.page_token(), '.');
  JobRecord last;
  int state = 0;
  int priority = 0;
  if (parts.size() != kTokenParts || parts[7] != ListDigest(request) ||
      !ReadMicros(parts[0], &last.create_time) || !ReadMicros(parts[1], &last.start_time) ||
      !ReadMicros(parts[2], &last.end_time) || !absl::SimpleAtoi(parts[4], &state) ||
      !absl::SimpleAtoi(parts[5], &priority)) {
    return std::nullopt;
  }
  last.name = parts[3];
  last.state = static_cast<cluster::JobState>(state);
  last.priority = static_cast<cluster::Priority>(priority);
  last.uid = parts[6];
  return last;
}

bool HasLabels(const JobRecord& job, const std::map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = job.labels.find(label.first);
    return found != job.labels.end() && found->second == label.second;
  });
}

}  // namespace

absl::StatusOr<std::string> ReadParentOrAll(const std::string& parent) {
  return parent == "projects/-" ? std::string() : ReadParent(parent);
}

absl::StatusOr<ListJobsQuery> ReadListRequest(const v1::ListJobsRequest& request) {
  ListJobsQuery query;
  G2LL_ASSIGN_OR_RETURN(query.project, ReadParentOrAll(request.parent()));
  if (request.page_size() < 0 || request.page_size() > kLargestPageSize) {
    return net::WithReason(absl::InvalidArgumentError(
                               absl::StrCat("page_size: ", request.page_size(),
                                            " is not allowed, 0 to ", kLargestPageSize, " are")),
                           "BAD_PAGE_SIZE");
  }
  query.page_size = request.page_size() == 0 ? kDefaultPageSize : request.page_size();
  G2LL_ASSIGN_OR_RETURN(query.order, ParseOrder(request.order_by()));
  G2LL_ASSIGN_OR_RETURN(JobFilter filter, ParseFilter(request.filter()));
  const std::map<std::string, std::string> labels{request.labels().begin(), request.labels().end()};
  query.filter = [filter = std::move(filter), labels,
                  state = request.state()](const JobRecord& job) {
    return (state == v1::Job::STATE_UNSPECIFIED || static_cast<int>(job.state) == state) &&
           HasLabels(job, labels) && filter(job);
  };
  if (!request.page_token().empty()) {
    query.after = ReadToken(request);
    if (!query.after.has_value()) {
      return net::WithReason(
          absl::InvalidArgumentError("page_token: it does not belong to this list; start again "
                                     "without one"),
          "BAD_PAGE_TOKEN");
    }
  }
  return query;
}

JobPage PageOf(const std::vector<JobPtr>& jobs, const ListJobsQuery& query) {
  JobPage page;
  std::vector<JobPtr> behind;
  for (const JobPtr& job : jobs) {
    if (!query.filter(*job)) {
      continue;
    }
    ++page.total;
    if (!query.after.has_value() || ComesBefore(*query.after, *job, query.order)) {
      behind.push_back(job);
    }
  }
  const auto in_order = [&](const JobPtr& a, const JobPtr& b) {
    return ComesBefore(*a, *b, query.order);
  };
  const size_t size = std::min(behind.size(), static_cast<size_t>(query.page_size));
  std::partial_sort(behind.begin(), behind.begin() + static_cast<int64_t>(size), behind.end(),
                    in_order);
  page.has_more = behind.size() > size;
  behind.resize(size);
  page.jobs = std::move(behind);
  return page;
}

std::string NextPageToken(const v1::ListJobsRequest& request, const JobRecord& last) {
  return absl::StrCat(MicrosText(last.create_time), ".", MicrosText(last.start_time), ".",
                      MicrosText(last.end_time), ".", last.name, ".", static_cast<int>(last.state),
                      ".", static_cast<int>(last.priority), ".", last.uid, ".",
                      ListDigest(request));
}

}  // namespace g2ll::api
