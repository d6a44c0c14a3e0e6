#include "server/telemetry/hub.h"

#include <utility>

namespace g2ll::telemetry {

void TelemetryHub::PublishJob(const cluster::JobRecord& job) {
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[job.uid];
  entry.state = job.state;
  entry.metrics.SetLastSeq(job.last_metric_seq);
  entry.logs.SetLastSeq(job.last_log_seq);
  if (cluster::IsTerminal(job.state)) {
    entry.metrics.Forget();
    entry.logs.Forget();
  }
  WakeFollowers(job.uid);
}

void TelemetryHub::PublishMetrics(const std::string& job_uid,
                                  const std::vector<cluster::MetricRecord>& rows) {
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[job_uid];
  for (const cluster::MetricRecord& row : rows) {
    entry.metrics.Append(row, tail_capacity_);
  }
}

void TelemetryHub::PublishLogs(const std::string& job_uid,
                               const std::vector<cluster::LogRecord>& rows) {
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[job_uid];
  for (const cluster::LogRecord& row : rows) {
    entry.logs.Append(row, tail_capacity_);
  }
}

void TelemetryHub::PublishDeleted(const std::string& job_uid) {
  absl::MutexLock lock(&mutex_);
  entries_.erase(job_uid);
  WakeFollowers(job_uid);
}

std::optional<JobStanding> TelemetryHub::Standing(const std::string& job_uid) const {
  absl::MutexLock lock(&mutex_);
  const auto entry = entries_.find(job_uid);
  if (entry == entries_.end()) {
    return std::nullopt;
  }
  return JobStanding{entry->second.state, entry->second.metrics.last_seq(),
                     entry->second.logs.last_seq()};
}

std::optional<std::vector<cluster::MetricRecord>> TelemetryHub::ReadMetrics(
    const std::string& job_uid, int64_t from_seq, size_t limit) const {
  absl::MutexLock lock(&mutex_);
  const auto entry = entries_.find(job_uid);
  return entry == entries_.end() ? std::nullopt : entry->second.metrics.Read(from_seq, limit);
}

std::optional<std::vector<cluster::LogRecord>> TelemetryHub::ReadLogs(const std::string& job_uid,
                                                                      int64_t from_seq,
                                                                      size_t limit) const {
  absl::MutexLock lock(&mutex_);
  const auto entry = entries_.find(job_uid);
  return entry == entries_.end() ? std::nullopt : entry->second.logs.Read(from_seq, limit);
}

int64_t TelemetryHub::Follow(const std::string& job_uid, Wake wake) {
  absl::MutexLock lock(&mutex_);
  const int64_t follower = next_follower_++;
  followers_[job_uid].emplace(follower, std::move(wake));
  return follower;
}

void TelemetryHub::Unfollow(const std::string& job_uid, int64_t follower) {
  absl::MutexLock lock(&mutex_);
  const auto followers = followers_.find(job_uid);
  if (followers != followers_.end()) {
    followers->second.erase(follower);
    if (followers->second.empty()) {
      followers_.erase(followers);
    }
  }
}

void TelemetryHub::WakeFollowers(const std::string& job_uid) {
  const auto followers = followers_.find(job_uid);
  if (followers != followers_.end()) {
    for (const auto& [id, wake] : followers->second) {
      wake();
    }
  }
}

}  // namespace g2ll::telemetry
