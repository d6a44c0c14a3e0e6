#include "server/api/metric_query.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"
#include "server/api/unary.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {
namespace {

using coordinator::Core;
using coordinator::JobPtr;

constexpr int32_t kDefaultPoints = 1000;
constexpr int32_t kFewestPoints = 4;
constexpr int32_t kMostPointsOfCurve = 10000;
constexpr int kPagesAtOnce = 8;
constexpr int64_t kMostQueries = 16;

// One query on its way: reads a few pages, and goes to the end of the pool's queue.
struct Task {
  std::shared_ptr<UnaryCall> call;
  ServiceContext context;
  MetricQuery query;
  v1::QueryMetricsResponse* response;

  static void Run(const std::shared_ptr<Task>& task) {
    if (task->call->ended()) {
      return;  // Nobody waits any more.
    }
    const absl::StatusOr<bool> done = task->query.Advance(*task->context.reader, kPagesAtOnce);
    if (!done.ok()) {
      task->call->Expire(done.status());
    } else if (!*done) {
      task->context.pool->Submit([task] { Run(task); });
    } else if (task->call->Claim()) {
      *task->response = task->query.Result();
      task->call->Finish(absl::OkStatus());
    }
  }
};

}  // namespace

absl::Status MetricQuery::Check(const v1::QueryMetricsRequest& request) {
  const int32_t points = request.max_points();
  if (points != 0 && (points < kFewestPoints || points > kMostPointsOfCurve)) {
    return net::WithReason(absl::InvalidArgumentError(absl::StrCat(
                               "max_points: ", points, " is not allowed, ", kFewestPoints, " to ",
                               kMostPointsOfCurve, " are, and 0 for ", kDefaultPoints)),
                           "BAD_MAX_POINTS");
  }
  const bool is_backwards = request.max_step() != 0 && request.max_step() < request.min_step();
  if (request.min_step() < 0 || request.max_step() < 0 || is_backwards) {
    return net::WithReason(
        absl::InvalidArgumentError(
            absl::StrCat("min_step ", request.min_step(), ", max_step ", request.max_step(),
                         ": steps are 0 or more, and the first must not lie behind the last")),
        "BAD_RANGE");
  }
  return absl::OkStatus();
}

MetricQuery::MetricQuery(const v1::QueryMetricsRequest& request, const cluster::JobRecord& job)
    : job_uid_(job.uid),
      names_(request.names().begin(), request.names().end()),
      min_step_(request.min_step()),
      max_step_(request.max_step() == 0 ? std::numeric_limits<int64_t>::max() : request.max_step()),
      include_superseded_(request.include_superseded()),
      superseded_(job),
      last_seq_(job.last_metric_seq),
      most_points_(request.max_points() == 0 ? kDefaultPoints : request.max_points()) {
  // Every metric that the job has, and the roll-backs, which are no value of the job.
  const auto known = static_cast<int64_t>(job.metrics.size()) + 1;
  const int64_t curves = names_.empty() ? known : std::min<int64_t>(known, names_.size());
  most_points_ = std::max<int64_t>(kFewestPoints, std::min(most_points_, kMostPoints / curves));
}

void MetricQuery::Add(const cluster::MetricRecord& point) {
  if ((!names_.empty() && !names_.contains(point.name)) || point.step < min_step_ ||
      point.step > max_step_) {
    return;
  }
  if (!include_superseded_ && superseded_.Covers(point)) {
    return;
  }
  telemetry::DownSampler& curve = curves_.try_emplace(point.name, most_points_).first->second;
  // With points of several attempts the steps go back; then stretches are of numbers.
  curve.Add(include_superseded_ ? point.seq : point.step, point);
}

absl::StatusOr<bool> MetricQuery::Advance(store::TelemetryReader& reader, int pages) {
  for (int i = 0; i < pages && next_seq_ <= last_seq_; ++i) {
    G2LL_ASSIGN_OR_RETURN(const std::vector<cluster::MetricRecord> page,
                          reader.ReadMetrics(job_uid_, next_seq_, kPageRows));
    for (const cluster::MetricRecord& point : page) {
      if (point.seq <= last_seq_) {
        Add(point);
      }
    }
    // Points that are no longer kept are left out.
    next_seq_ = page.empty() ? last_seq_ + 1 : page.back().seq + 1;
  }
  return next_seq_ > last_seq_;
}

v1::QueryMetricsResponse MetricQuery::Result() const {
  v1::QueryMetricsResponse response;
  for (const auto& [name, curve] : curves_) {
    v1::MetricSeries* series = response.add_series();
    series->set_name(name);
    series->set_total_points(curve.total());
    for (const cluster::MetricRecord& point : curve.Result()) {
      v1::MetricPoint* added = series->add_points();
      *added = wire::ToProto(point);
      added->set_superseded(superseded_.Covers(point));
    }
  }
  return response;
}

grpc::ServerUnaryReactor* OpenMetricQuery(grpc::CallbackServerContext* call,
                                          const ServiceContext& context,
                                          const v1::QueryMetricsRequest& request,
                                          v1::QueryMetricsResponse* response) {
  if (const absl::Status status = MetricQuery::Check(request); !status.ok()) {
    return FinishNow(call, status);
  }
  std::shared_ptr<void> slot = context.streams->TakeQuerySlot(kMostQueries);
  if (slot == nullptr) {
    return FinishNow(
        call, net::WithReason(absl::ResourceExhaustedError(absl::StrCat(
                                  kMostQueries, " queries of metrics run already: try again")),
                              "TOO_MANY_QUERIES"));
  }
  auto [open, reactor] = UnaryCall::Make(call, context.streams);
  context.coordinator->Call<JobPtr>(
      [name = request.job()](Core& core, absl::Time) { return core.GetJob(name); },
      [open = open, context, request, response, slot](const absl::StatusOr<JobPtr>& job) {
        if (!job.ok()) {
          open->Expire(job.status());
          return;
        }
        // The slot is given back when the last owner of the task goes.
        const std::shared_ptr<Task> task(
            new Task{open, context, MetricQuery(request, **job), response},
            [slot](Task* owned) { delete owned; });
        context.pool->Submit([task] { Task::Run(task); });
      });
  return reactor;
}

}  // namespace g2ll::api
