#ifndef SERVER_TELEMETRY_HUB_H_
#define SERVER_TELEMETRY_HUB_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/cluster/records.h"

namespace g2ll::telemetry {

// Rows of one commit. Never changes, so that readers share it.
template <typename Record>
struct Block {
  // Not empty; numbers without gaps.
  std::vector<Record> rows;
  // When the commit was published.
  absl::Time time;
};

// Some rows in order.
template <typename Record>
struct Page {
  std::vector<Record> rows;
  // When the newest of them was published; InfinitePast if unknown.
  absl::Time time = absl::InfinitePast();
};

// Newest rows of one kind of one job, and how far its numbers go.
template <typename Record>
class Tail {
 public:
  using BlockPtr = std::shared_ptr<const Block<Record>>;

  int64_t last_seq() const { return last_seq_; }
  void SetLastSeq(int64_t last_seq) { last_seq_ = last_seq; }

  // Keeps at most `most_rows` rows of `most_bytes` bytes together, but at least one block.
  void Append(BlockPtr block, size_t most_rows, size_t most_bytes) {
    last_seq_ = block->rows.back().seq;
    rows_ += block->rows.size();
    bytes_ += BytesOf(*block);
    blocks_.push_back(std::move(block));
    while (blocks_.size() > 1 && (rows_ > most_rows || bytes_ > most_bytes)) {
      rows_ -= blocks_.front()->rows.size();
      bytes_ -= BytesOf(*blocks_.front());
      blocks_.pop_front();
    }
  }
  void Forget() {
    blocks_ = {};
    rows_ = bytes_ = 0;
  }

  // Blocks with the rows from `from_seq` on, enough for `limit` rows; the first may begin
  // earlier. Nothing if the rows are no longer here; empty if there are none yet.
  std::optional<std::vector<BlockPtr>> Read(int64_t from_seq, size_t limit) const {
    if (blocks_.empty() || from_seq < blocks_.front()->rows.front().seq) {
      return std::nullopt;
    }
    auto block = std::partition_point(
        blocks_.begin(), blocks_.end(),
        [&](const BlockPtr& candidate) { return candidate->rows.back().seq < from_seq; });
    std::vector<BlockPtr> found;
    for (int64_t have = 0; block != blocks_.end() && have < static_cast<int64_t>(limit); ++block) {
      found.push_back(*block);
      have = (*block)->rows.back().seq - from_seq + 1;
    }
    return found;
  }

 private:
  static size_t BytesOf(const Block<Record>& block) {
    size_t bytes = 0;
    for (const Record& row : block.rows) {
      bytes += sizeof(Record) + TextBytes(row);
    }
    return bytes;
  }
  static size_t TextBytes(const cluster::MetricRecord& point) { return point.name.size(); }
  static size_t TextBytes(const cluster::LogRecord& line) { return line.message.size(); }

  int64_t last_seq_ = 0;
  std::deque<BlockPtr> blocks_;
  size_t rows_ = 0;
  size_t bytes_ = 0;
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

  // Rows kept in memory per job and kind; never more than a megabyte of them.
  explicit TelemetryHub(
      size_t tail_capacity = 4096, std::function<absl::Time()> clock = [] { return absl::Now(); })
      : tail_capacity_(tail_capacity), clock_(std::move(clock)) {}

  // What is durable now. Called by the coordinator after a commit, in order.
  void PublishJob(const cluster::JobRecord& job) ABSL_LOCKS_EXCLUDED(mutex_);
  void PublishMetrics(const std::string& job_uid, const std::vector<cluster::MetricRecord>& rows)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void PublishLogs(const std::string& job_uid, const std::vector<cluster::LogRecord>& rows)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void PublishDeleted(const std::string& job_uid) ABSL_LOCKS_EXCLUDED(mutex_);

  // Nothing if the job does not exist.
  std::optional<JobStanding> Standing(const std::string& job_uid) const ABSL_LOCKS_EXCLUDED(mutex_);

  // At most `limit` rows from the tail; nothing if they have to be read from the store.
  std::optional<Page<cluster::MetricRecord>> ReadMetrics(const std::string& job_uid,
                                                         int64_t from_seq, size_t limit) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<Page<cluster::LogRecord>> ReadLogs(const std::string& job_uid, int64_t from_seq,
                                                   size_t limit) const ABSL_LOCKS_EXCLUDED(mutex_);

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

  template <typename Record>
  void Publish(const std::string& job_uid, const std::vector<Record>& rows,
               Tail<Record> Entry::*tail) ABSL_LOCKS_EXCLUDED(mutex_);
  template <typename Record>
  std::optional<Page<Record>> Read(const std::string& job_uid, int64_t from_seq, size_t limit,
                                   Tail<Record> Entry::*tail) const ABSL_LOCKS_EXCLUDED(mutex_);
  void WakeFollowers(const std::string& job_uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t tail_capacity_;
  const std::function<absl::Time()> clock_;
  mutable absl::Mutex mutex_;
  std::unordered_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::map<int64_t, Wake>> followers_ ABSL_GUARDED_BY(mutex_);
  int64_t next_follower_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace g2ll::telemetry

#endif  // SERVER_TELEMETRY_HUB_H_
