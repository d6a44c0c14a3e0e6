#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/telemetry.grpc.pb.h"
#include "server/api/metric_query.h"
#include "server/api/services.h"
#include "server/api/stream_driver.h"
#include "server/api/telemetry_source.h"

namespace g2ll::api {
namespace {

using coordinator::Core;
using coordinator::JobPtr;

// Opens a stream on a job that is looked up first.
template <typename Kind>
grpc::ServerWriteReactor<typename Kind::Response>* Open(
    grpc::CallbackServerContext* call, const ServiceContext& context, const std::string& job_name,
    std::function<std::pair<Kind, StreamRange>(const cluster::JobRecord&)> choose) {
  auto [driver, reactor] =
      StreamDriver<typename Kind::Response>::Make(call, context.pool, context.streams);
  context.coordinator->Call<JobPtr>(
      [job_name](Core& core, absl::Time) { return core.GetJob(job_name); },
      [context, driver = driver, choose = std::move(choose)](absl::StatusOr<JobPtr> job) {
        if (!job.ok()) {
          driver->End(job.status());
          return;
        }
        auto [kind, range] = choose(**job);
        driver->Start(std::make_unique<TelemetrySource<Kind>>(
            context, std::move(kind), range, (*job)->uid, [weak = std::weak_ptr(driver)] {
              if (const auto live = weak.lock()) {
                live->Wake();
              }
            }));
      });
  return reactor;
}

// A job has no more series than this.
constexpr int kMostNames = 256;

absl::Status CheckNames(int count) {
  if (count <= kMostNames) {
    return absl::OkStatus();
  }
  return net::WithReason(absl::InvalidArgumentError(absl::StrCat(
                             "names: ", count, " are given, at most ", kMostNames, " are allowed")),
                         "TOO_MANY_NAMES");
}

// Ends a stream before it begins.
template <typename Response>
grpc::ServerWriteReactor<Response>* Refuse(grpc::CallbackServerContext* call,
                                           const ServiceContext& context,
                                           const absl::Status& status) {
  auto [driver, reactor] = StreamDriver<Response>::Make(call, context.pool, context.streams);
  driver->End(status);
  return reactor;
}

class TelemetryService final : public v1::TelemetryService::CallbackService {
 public:
  explicit TelemetryService(const ServiceContext& context) : context_(context) {}

  grpc::ServerWriteReactor<v1::StreamMetricsResponse>* StreamMetrics(
      grpc::CallbackServerContext* call, const v1::StreamMetricsRequest* request) override {
    // Looked at before the request is copied: it may hold a message full of names.
    if (const absl::Status status = CheckNames(request->names_size()); !status.ok()) {
      return Refuse<v1::StreamMetricsResponse>(call, context_, status);
    }
    return Open<MetricKind>(
        call, context_, request->job(), [request = *request](const cluster::JobRecord& job) {
          MetricKind kind;
          kind.names = {request.names().begin(), request.names().end()};
          kind.attempt = request.attempt();
          if (!request.follow()) {
            kind.superseded = telemetry::Superseded(job);
          }
          return std::pair(std::move(kind), StreamRange{request.from_seq(), request.follow()});
        });
  }

  grpc::ServerWriteReactor<v1::StreamLogsResponse>* StreamLogs(
      grpc::CallbackServerContext* call, const v1::StreamLogsRequest* request) override {
    return Open<LogKind>(
        call, context_, request->job(), [request = *request](const cluster::JobRecord& job) {
          LogKind kind;
          kind.attempt = request.attempt();
          if (request.has_rank()) {
            kind.rank = request.rank();
          }
          const int64_t from =
              request.tail() > 0 ? job.last_log_seq - request.tail() + 1 : request.from_seq();
          return std::pair(std::move(kind), StreamRange{from, request.follow()});
        });
  }

  grpc::ServerUnaryReactor* QueryMetrics(grpc::CallbackServerContext* call,
                                         const v1::QueryMetricsRequest* request,
                                         v1::QueryMetricsResponse* response) override {
    return OpenMetricQuery(call, context_, *request, response);
  }

 private:
  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTelemetryService(const ServiceContext& context) {
  return std::make_unique<TelemetryService>(context);
}

}  // namespace g2ll::api
