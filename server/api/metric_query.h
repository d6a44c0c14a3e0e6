#ifndef SERVER_API_METRIC_QUERY_H_
#define SERVER_API_METRIC_QUERY_H_

#include <grpcpp/server_context.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "g2ll/v1/telemetry.pb.h"
#include "server/api/services.h"
#include "server/telemetry/down_sampler.h"
#include "server/telemetry/superseded.h"

namespace g2ll::api {

// Makes the curves of one job out of its stored points, page by page. Its memory depends
// on the size of the answer alone. Not thread safe.
class MetricQuery {
 public:
  // Most points of all curves of one answer: that many fit into a message.
  static constexpr int64_t kMostPoints = 40000;
  static constexpr int64_t kPageRows = 2000;

  // Errors: InvalidArgument (BAD_RANGE, BAD_MAX_POINTS).
  static absl::Status Check(const v1::QueryMetricsRequest& request);

  // The request has been checked. `job` is the job as it stands.
  MetricQuery(const v1::QueryMetricsRequest& request, const cluster::JobRecord& job);

  // Reads at most `pages` pages. True once there is nothing more to read.
  absl::StatusOr<bool> Advance(store::TelemetryReader& reader, int pages);
  v1::QueryMetricsResponse Result() const;

 private:
  void Add(const cluster::MetricRecord& point);

  const std::string job_uid_;
  const std::set<std::string> names_;
  const int64_t min_step_;
  const int64_t max_step_;
  const bool include_superseded_;
  const telemetry::Superseded superseded_;
  const int64_t last_seq_;
  int64_t most_points_;
  int64_t next_seq_ = 1;
  std::map<std::string, telemetry::DownSampler> curves_;
};

// Answers QueryMetrics on pool threads, a few pages at a time so that others have their
// turn. Errors, beside those of the query: NotFound (JOB_NOT_FOUND), ResourceExhausted
// (TOO_MANY_QUERIES).
grpc::ServerUnaryReactor* OpenMetricQuery(grpc::CallbackServerContext* call,
                                          const ServiceContext& context,
                                          const v1::QueryMetricsRequest& request,
                                          v1::QueryMetricsResponse* response);

}  // namespace g2ll::api

#endif  // SERVER_API_METRIC_QUERY_H_
