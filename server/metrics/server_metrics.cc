#include "server/metrics/server_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <string_view>

namespace g2ll::metrics {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Histogram;

const Histogram::BucketBoundaries kCommitSeconds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                    0.05,   0.1,   0.25,   0.5,   1,    5};
const Histogram::BucketBoundaries kCycleSeconds = {0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1};
const Histogram::BucketBoundaries kLagSeconds = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                 0.25,  0.5,   1,    2.5,   10};
const Histogram::BucketBoundaries kCallSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                  0.25,  0.5,    1,     5,    20,    60};

// Every kind of stream and every limit is shown from the start, at 0, so that an alert
// has something to compare with.
constexpr const char* kStreamKinds[] = {"metrics", "logs", "jobs", "watch"};
constexpr const char* kLimits[] = {"streams_per_client", "streams_total",     "slow_reader",
                                   "stream_age",         "call_deadline",     "metric_series",
                                   "points_per_second",  "log_line_bytes",    "metric_queries",
                                   "points_per_job",     "log_bytes_per_job", "store_bytes"};

}  // namespace

struct ServerMetrics::Series {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Gauge>& jobs =
      BuildGauge().Name("g2ll_jobs").Help("Jobs by state.").Register(registry);
  prometheus::Family<prometheus::Gauge>& workers =
      BuildGauge().Name("g2ll_workers").Help("Workers by state.").Register(registry);
  prometheus::Counter& metric_points = BuildCounter()
                                           .Name("g2ll_metric_points_stored_total")
                                           .Help("Metric points stored.")
                                           .Register(registry)
                                           .Add({});
  prometheus::Counter& log_lines = BuildCounter()
                                       .Name("g2ll_log_lines_stored_total")
                                       .Help("Log lines stored.")
                                       .Register(registry)
                                       .Add({});
  prometheus::Histogram& commit_seconds = BuildHistogram()
                                              .Name("g2ll_store_commit_seconds")
                                              .Help("Time of one synced store transaction.")
                                              .Register(registry)
                                              .Add({}, kCommitSeconds);
  prometheus::Counter& commit_failures = BuildCounter()
                                             .Name("g2ll_store_commit_failures_total")
                                             .Help("Store transactions that failed.")
                                             .Register(registry)
                                             .Add({});
  prometheus::Gauge& store_damaged = BuildGauge()
                                         .Name("g2ll_store_damaged")
                                         .Help("1 if a check of the store has found damage.")
                                         .Register(registry)
                                         .Add({});
  prometheus::Histogram& cycle_seconds = BuildHistogram()
                                             .Name("g2ll_scheduler_cycle_seconds")
                                             .Help("Time of one scheduling decision.")
                                             .Register(registry)
                                             .Add({}, kCycleSeconds);
  prometheus::Family<prometheus::Counter>& fenced_writes =
      BuildCounter()
          .Name("g2ll_fenced_writes_total")
          .Help("Writes refused because who wrote was replaced.")
          .Register(registry);
  prometheus::Counter& disk_low = BuildCounter()
                                      .Name("g2ll_disk_low_total")
                                      .Help("Checkpoints not begun for lack of room.")
                                      .Register(registry)
                                      .Add({});
  prometheus::Family<prometheus::Gauge>& stalls =
      BuildGauge()
          .Name("g2ll_stalls")
          .Help("What ought to move and does not; must be 0.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& subscribers =
      BuildGauge().Name("g2ll_stream_subscribers").Help("Open streams by kind.").Register(registry);
  prometheus::Family<prometheus::Histogram>& stream_lag =
      BuildHistogram()
          .Name("g2ll_stream_lag_seconds")
          .Help("Time from a row's commit to its sending to a live follower.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& stream_disk_reads =
      BuildCounter()
          .Name("g2ll_stream_disk_reads_total")
          .Help("Pages that late or slow followers read from the store.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& limit_hits =
      BuildCounter()
          .Name("g2ll_limit_hits_total")
          .Help("What was refused, delayed or cut because of a limit.")
          .Register(registry);
  prometheus::Gauge& store_queue_depth = BuildGauge()
                                             .Name("g2ll_store_queue_depth")
                                             .Help("Commands that the next commit takes.")
                                             .Register(registry)
                                             .Add({});
  prometheus::Family<prometheus::Histogram>& calls =
      BuildHistogram()
          .Name("g2ll_grpc_server_handling_seconds")
          .Help("Time from a call's beginning to its end; of a stream, its whole life.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& build_info =
      BuildGauge().Name("g2ll_build_info").Help("Version of the program.").Register(registry);
};

ServerMetrics::ServerMetrics(const std::string& version) : series_(std::make_unique<Series>()) {
  series_->build_info.Add({{"version", version}}).Set(1);
  for (const char* kind : kStreamKinds) {
    AddSubscribers(kind, 0);
    series_->stream_lag.Add({{"kind", kind}}, kLagSeconds);
    series_->stream_disk_reads.Add({{"kind", kind}});
  }
  for (const char* kind : {"epoch", "attempt", "worker", "incarnation", "term"}) {
    series_->fenced_writes.Add({{"kind", kind}});
  }
  for (const char* kind : {"undriven", "late_stop", "held_slot"}) {
    SetStalls(kind, 0);
  }
  for (const char* limit : kLimits) {
    AddLimitHit(limit, 0);
  }
  // Nothing that was reported is ever dropped; a rule that watches the name must find it.
  BuildCounter()
      .Name("g2ll_telemetry_dropped_total")
      .Help("Points and lines that were accepted and then lost; always 0.")
      .Register(series_->registry)
      .Add({});
  SetJobs({});
  SetWorkers({});
}

ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::SetJobs(const std::map<cluster::JobState, int64_t>& count) {
  for (const cluster::JobState state : cluster::kAllJobStates) {
    const auto found = count.find(state);
    series_->jobs.Add({{"state", std::string(cluster::Name(state))}})
        .Set(found == count.end() ? 0 : static_cast<double>(found->second));
  }
}

void ServerMetrics::SetWorkers(const std::map<cluster::WorkerState, int64_t>& count) {
  for (const cluster::WorkerState state : cluster::kAllWorkerStates) {
    const auto found = count.find(state);
    series_->workers.Add({{"state", std::string(cluster::Name(state))}})
        .Set(found == count.end() ? 0 : static_cast<double>(found->second));
  }
}

void ServerMetrics::AddMetricPoints(int64_t count) {
  series_->metric_points.Increment(static_cast<double>(count));
}

void ServerMetrics::AddLogLines(int64_t count) {
  series_->log_lines.Increment(static_cast<double>(count));
}

void ServerMetrics::ObserveCommit(absl::Duration duration) {
  series_->commit_seconds.Observe(absl::ToDoubleSeconds(duration));
}

void ServerMetrics::AddCommitFailure() { series_->commit_failures.Increment(); }

void ServerMetrics::SetStoreDamaged(bool is_damaged) {
  series_->store_damaged.Set(is_damaged ? 1 : 0);
}

void ServerMetrics::ObserveSchedulerCycle(absl::Duration duration) {
  series_->cycle_seconds.Observe(absl::ToDoubleSeconds(duration));
}

void ServerMetrics::AddFencedWrite(const std::string& kind) {
  series_->fenced_writes.Add({{"kind", kind}}).Increment();
}

void ServerMetrics::AddDiskLow() { series_->disk_low.Increment(); }

void ServerMetrics::SetStalls(const std::string& kind, int64_t count) {
  series_->stalls.Add({{"kind", kind}}).Set(static_cast<double>(count));
}

void ServerMetrics::AddSubscribers(const std::string& kind, int delta) {
  series_->subscribers.Add({{"kind", kind}}).Increment(delta);
}

void ServerMetrics::ObserveStreamLag(const std::string& kind, absl::Duration lag) {
  series_->stream_lag.Add({{"kind", kind}}, kLagSeconds).Observe(absl::ToDoubleSeconds(lag));
}

void ServerMetrics::AddStreamDiskRead(const std::string& kind) {
  series_->stream_disk_reads.Add({{"kind", kind}}).Increment();
}

void ServerMetrics::AddLimitHit(const std::string& limit, int64_t count) {
  series_->limit_hits.Add({{"limit", limit}}).Increment(static_cast<double>(count));
}

void ServerMetrics::SetStoreQueueDepth(size_t depth) {
  series_->store_queue_depth.Set(static_cast<double>(depth));
}

void ServerMetrics::ObserveCall(const std::string& method, const std::string& code,
                                absl::Duration duration) {
  series_->calls.Add({{"method", method}, {"code", code}}, kCallSeconds)
      .Observe(absl::ToDoubleSeconds(duration));
}

std::string ServerMetrics::Serialize() const {
  return prometheus::TextSerializer().Serialize(series_->registry.Collect());
}

}  // namespace g2ll::metrics
