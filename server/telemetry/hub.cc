#include "server/telemetry/hub.h"

#include <utility>

namespace g2ll::telemetry {
namespace {

// A commit with more rows makes several blocks.
constexpr size_t kBlockRows = 256;
constexpr size_t kTailBytes = size_t{1} << 20;

}  // namespace

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

template <typename Record>
void TelemetryHub::Publish(const std::string& job_uid, const std::vector<Record>& rows,
                           Tail<Record> Entry::*tail) {
  // Made before the lock is taken: readers must not wait for the copy.
  std::vector<std::shared_ptr<Block<Record>>> blocks;
  const absl::Time now = clock_();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i % kBlockRows == 0) {
      blocks.push_back(std::make_shared<Block<Record>>());
      blocks.back()->time = now;
    }
    blocks.back()->rows.push_back(rows[i]);
  }
  absl::MutexLock lock(&mutex_);
  Tail<Record>& target = entries_[job_uid].*tail;
  for (auto& block : blocks) {
    target.Append(std::move(block), tail_capacity_, kTailBytes);
  }
}

void TelemetryHub::PublishMetrics(const std::string& job_uid,
                                  const std::vector<cluster::MetricRecord>& rows) {
  Publish(job_uid, rows, &Entry::metrics);
}

void TelemetryHub::PublishLogs(const std::string& job_uid,
                               const std::vector<cluster::LogRecord>& rows) {
  Publish(job_uid, rows, &Entry::logs);
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

template <typename Record>
std::optional<Page<Record>> TelemetryHub::Read(const std::string& job_uid, int64_t from_seq,
                                               size_t limit, Tail<Record> Entry::*tail) const {
  std::optional<std::vector<std::shared_ptr<const Block<Record>>>> blocks;
  {
    absl::MutexLock lock(&mutex_);
    const auto entry = entries_.find(job_uid);
    if (entry != entries_.end()) {
      blocks = (entry->second.*tail).Read(from_seq, limit);
    }
  }
  if (!blocks.has_value()) {
    return std::nullopt;
  }
  Page<Record> page;
  for (const auto& block : *blocks) {
    const int64_t before = std::max<int64_t>(0, from_seq - block->rows.front().seq);
    for (auto row = block->rows.begin() + before;
         row != block->rows.end() && page.rows.size() < limit; ++row) {
      page.rows.push_back(*row);
    }
    page.time = block->time;
  }
  return page;
}

std::optional<Page<cluster::MetricRecord>> TelemetryHub::ReadMetrics(const std::string& job_uid,
                                                                     int64_t from_seq,
                                                                     size_t limit) const {
  return Read(job_uid, from_seq, limit, &Entry::metrics);
}

std::optional<Page<cluster::LogRecord>> TelemetryHub::ReadLogs(const std::string& job_uid,
                                                               int64_t from_seq,
                                                               size_t limit) const {
  return Read(job_uid, from_seq, limit, &Entry::logs);
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
