#ifndef SERVER_TELEMETRY_HUB_H_
#define SERVER_TELEMETRY_HUB_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/cluster/records.h"

namespace g2ll::telemetry {

// Newest rows of one kind of one job, and how far its numbers go.
template <typename Record>
class Tail {
 public:
  int64_t last_seq() const { return last_seq_; }
  void SetLastSeq(int64_t last_seq) { last_seq_ = last_seq; }

  void Append(Record record, size_t capacity) {
    last_seq_ = record.seq;
    recent_.push_back(std::move(record));
    if (recent_.size() > capacity) {
      recent_.pop_front();
    }
  }
  void Forget() { recent_ = std::deque<Record>(); }

  // Rows from `from_seq` on, at most `limit`; nothing if they are no longer here.
  std::optional<std::vector<Record>> Read(int64_t from_seq, size_t limit) const {
    if (recent_.empty() || from_seq < recent_.front().seq) {
      return std::nullopt;
    }
    std::vector<Record> page;
    if (from_seq > recent_.back().seq) {
      return page;
    }
    for (auto row = recent_.begin() + (from_seq - recent_.front().seq);
         row != recent_.end() && page.size() < limit; ++row) {
      page.push_back(*row);
    }
    return page;
  }

 private:
  int64_t last_seq_ = 0;
  std::deque<Record> recent_;
};

// Where a job's telemetry stands, for a reader.
struct JobStanding {
  cluster::JobState state = cluster::JobState::kPending;
  int64_t last_metric_seq = 0;
  int64_t last_log_seq = 0;
};

// Tells followers that a job has more. Followers are woken, never queued for: they
// read at their own pace from the tail in memory or from the store, so a slow one
// costs nothing. Thread safe.
class TelemetryHub {
 public:
  using Wake = std::function<void()>;

  // Rows kept in memory per job and kind.
  explicit TelemetryHub(size_t tail_capacity = 4096) : tail_capacity_(tail_capacity) {}

  // What is durable now. Called by the coordinator after a commit, in order.
  void PublishJob(const cluster::JobRecord& job) ABSL_LOCKS_EXCLUDED(mutex_);
  void PublishMetrics(const std::string& job_uid, const std::vector<cluster::MetricRecord>& rows)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void PublishLogs(const std::string& job_uid, const std::vector<cluster::LogRecord>& rows)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void PublishDeleted(const std::string& job_uid) ABSL_LOCKS_EXCLUDED(mutex_);

  // Nothing if the job does not exist.
  std::optional<JobStanding> Standing(const std::string& job_uid) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Rows from the tail; nothing if they have to be read from the store.
  std::optional<std::vector<cluster::MetricRecord>> ReadMetrics(const std::string& job_uid,
                                                                int64_t from_seq,
                                                                size_t limit) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<std::vector<cluster::LogRecord>> ReadLogs(const std::string& job_uid,
                                                          int64_t from_seq, size_t limit) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // `wake` is called after every change of the job until Unfollow returns. It
  // runs with a lock held: it MUST only hand the news on and never call the hub.
  int64_t Follow(const std::string& job_uid, Wake wake) ABSL_LOCKS_EXCLUDED(mutex_);
  void Unfollow(const std::string& job_uid, int64_t follower) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    cluster::JobState state = cluster::JobState::kPending;
    Tail<cluster::MetricRecord> metrics;
    Tail<cluster::LogRecord> logs;
  };

  void WakeFollowers(const std::string& job_uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t tail_capacity_;
  mutable absl::Mutex mutex_;
  std::unordered_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::map<int64_t, Wake>> followers_ ABSL_GUARDED_BY(mutex_);
  int64_t next_follower_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace g2ll::telemetry

#endif  // SERVER_TELEMETRY_HUB_H_
