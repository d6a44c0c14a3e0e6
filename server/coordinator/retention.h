#ifndef SERVER_COORDINATOR_RETENTION_H_
#define SERVER_COORDINATOR_RETENTION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/records.h"

// How long what is stored is kept. Pure: what goes is decided from facts and the time.
namespace g2ll::coordinator {

// Limits. A duration that is infinite and a number that is 0 are none.
struct RetentionPolicy {
  // Ended jobs with everything that belongs to them, from their end on.
  absl::Duration finished_jobs = absl::Hours(90 * 24);
  // Log lines, and how many bytes of them one job has.
  absl::Duration logs = absl::Hours(30 * 24);
  int64_t log_bytes_per_job = int64_t{1} << 30;
  // Metric points that one job has.
  int64_t points_per_job = 10'000'000;
  // Memory of requests: for so long a repeated CreateJob makes no second job.
  absl::Duration requests = absl::Hours(7 * 24);
  // Size of the store; beyond it the telemetry of the jobs that ended first goes.
  int64_t total_bytes = int64_t{50} << 30;
};

// What is known of one job.
struct RetentionFacts {
  bool has_ended = false;
  absl::Time end_time = absl::InfinitePast();
  // A checkpoint of it is pinned, or another job is going to use one.
  bool is_in_use = false;
  int64_t last_metric_seq = 0;
  int64_t last_log_seq = 0;
  cluster::KeptTelemetry kept;
};

// What goes of one job.
struct RetentionCut {
  // The job with everything.
  bool removes_job = false;
  // What is kept from now on; equal to what was kept if nothing goes.
  cluster::KeptTelemetry kept;
  // Why, for people; one sentence for each cut.
  std::vector<std::string> reasons;
  // Names of the limits that were hit, for g2ll_limit_hits_total. Age is none.
  std::vector<std::string> limits;
};

RetentionCut Retain(const RetentionPolicy& policy, const RetentionFacts& facts, absl::Time now);

// Cuts all telemetry, because the store is too large.
RetentionCut CutForSpace(const RetentionPolicy& policy, const RetentionFacts& facts,
                         int64_t used_bytes);

// Counts lines in what is kept: `bytes` of text in lines up to `last_seq`, stored at
// `now`. A segment is closed when it is large or old enough to go as a whole.
void NoteLogs(const RetentionPolicy& policy, int64_t last_seq, int64_t bytes, absl::Time now,
              cluster::KeptTelemetry* kept);

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_RETENTION_H_
