#include "server/coordinator/retention.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace g2ll::coordinator {
namespace {

using cluster::KeptTelemetry;
using cluster::LogSegment;

// A log goes in so many parts: as finely as it is cut, as many parts are remembered.
constexpr int64_t kLogSegments = 16;
// Points go by a hundredth at a time, so that not every tick cuts some.
constexpr int64_t kPointParts = 100;

std::string Days(absl::Duration duration) {
  return absl::StrCat(absl::ToInt64Hours(duration) / 24, " days");
}

void CutPoints(const RetentionPolicy& policy, const RetentionFacts& facts, RetentionCut* cut) {
  const int64_t limit = policy.points_per_job;
  KeptTelemetry& kept = cut->kept;
  if (limit <= 0 || facts.last_metric_seq - kept.first_metric_seq + 1 <= limit) {
    return;
  }
  kept.first_metric_seq = facts.last_metric_seq - limit + 1 + limit / kPointParts;
  cut->reasons.push_back(absl::StrCat("metric points up to number ", kept.first_metric_seq - 1,
                                      " are no longer kept: a job has at most ", limit));
  cut->limits.push_back("points_per_job");
}

// Removes the first segment; the number of the first line that stays.
int64_t DropSegment(int64_t last_log_seq, std::vector<LogSegment>* segments) {
  segments->erase(segments->begin());
  return segments->empty() ? last_log_seq + 1 : segments->front().first_seq;
}

void CutLogs(const RetentionPolicy& policy, const RetentionFacts& facts, absl::Time now,
             RetentionCut* cut) {
  KeptTelemetry& kept = cut->kept;
  int64_t bytes = 0;
  for (const LogSegment& segment : kept.log_segments) {
    bytes += segment.bytes;
  }
  const int64_t before = kept.first_log_seq;
  bool too_large = false;
  while (!kept.log_segments.empty()) {
    const LogSegment& oldest = kept.log_segments.front();
    const bool too_old = oldest.last_time + policy.logs <= now;
    const bool over = policy.log_bytes_per_job > 0 && bytes > policy.log_bytes_per_job;
    if (!too_old && !over) {
      break;
    }
    too_large = too_large || !too_old;
    bytes -= oldest.bytes;
    kept.first_log_seq = DropSegment(facts.last_log_seq, &kept.log_segments);
  }
  if (kept.first_log_seq > before) {
    cut->reasons.push_back(absl::StrCat(
        "log lines up to number ", kept.first_log_seq - 1, " are no longer kept: ",
        too_large ? absl::StrCat("a job has at most ", policy.log_bytes_per_job >> 20, " MiB")
                  : absl::StrCat("they are older than ", Days(policy.logs))));
    if (too_large) {
      cut->limits.push_back("log_bytes_per_job");
    }
  }
}

}  // namespace

RetentionCut Retain(const RetentionPolicy& policy, const RetentionFacts& facts, absl::Time now) {
  RetentionCut cut;
  cut.kept = facts.kept;
  if (facts.has_ended && !facts.is_in_use && facts.end_time + policy.finished_jobs <= now) {
    cut.removes_job = true;
    cut.reasons.push_back(absl::StrCat("it ended more than ", Days(policy.finished_jobs), " ago"));
    return cut;
  }
  CutPoints(policy, facts, &cut);
  CutLogs(policy, facts, now, &cut);
  return cut;
}

RetentionCut CutForSpace(const RetentionPolicy& policy, const RetentionFacts& facts,
                         int64_t used_bytes) {
  RetentionCut cut;
  cut.kept.first_metric_seq = facts.last_metric_seq + 1;
  cut.kept.first_log_seq = facts.last_log_seq + 1;
  cut.reasons.push_back(absl::StrCat("metrics and logs are no longer kept: the store has ",
                                     used_bytes >> 20, " MiB and may have ",
                                     policy.total_bytes >> 20));
  cut.limits.push_back("store_bytes");
  return cut;
}

void NoteLogs(const RetentionPolicy& policy, int64_t last_seq, int64_t bytes, absl::Time now,
              KeptTelemetry* kept) {
  std::vector<LogSegment>& segments = kept->log_segments;
  const int64_t next_seq = segments.empty() ? kept->first_log_seq : segments.back().last_seq + 1;
  const bool is_full = segments.empty() ||
                       (policy.log_bytes_per_job > 0 &&
                        segments.back().bytes >= policy.log_bytes_per_job / kLogSegments) ||
                       now - segments.back().first_time >= policy.logs / kLogSegments;
  if (is_full) {
    segments.push_back({.first_seq = next_seq, .first_time = now});
  }
  segments.back().last_seq = last_seq;
  segments.back().bytes += bytes;
  segments.back().last_time = now;
}

}  // namespace g2ll::coordinator
