#ifndef TESTS_SERVER_MEMORY_STORE_H_
#define TESTS_SERVER_MEMORY_STORE_H_

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/store/job_store.h"

namespace g2ll::testing {

// What a MemoryStore holds; outlives it as a file outlives a program. Thread safe
// through its mutex.
struct MemoryDisk {
  struct Job {
    cluster::JobRecord record;
    std::vector<cluster::EventRecord> events;
    std::map<int64_t, cluster::MetricRecord> metrics;
    std::map<int64_t, cluster::LogRecord> logs;
  };
  struct Content {
    int64_t term = 0;
    std::map<std::string, Job> jobs;
    std::map<std::string, cluster::CheckpointRecord> checkpoints;
    std::map<std::string, cluster::RequestRecord> requests;
    std::map<cluster::CursorKey, int64_t> cursors;
    // By full name, name, worker and change_seq.
    std::map<std::string, cluster::QueueRecord> queues;
    std::map<std::string, cluster::ProjectRecord> projects;
    std::map<std::string, cluster::WorkerWish> wishes;
    std::map<int64_t, cluster::TombstoneRecord> tombstones;
    std::map<std::string, cluster::KeptTelemetry> kept;
    std::set<std::string> removed_jobs;
  };
  absl::Mutex mutex;
  Content content;
};

// The smallest store that keeps every promise of JobStore within one process. It
// shows what another one, for example on PostgreSQL, has to do.
class MemoryStore final : public store::JobStore, public store::TelemetryReader {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

  absl::StatusOr<store::StoredState> Load() override {
    absl::MutexLock lock(&disk_->mutex);
    const MemoryDisk::Content& content = disk_->content;
    store::StoredState state;
    state.term = content.term;
    for (const auto& [uid, job] : content.jobs) {
      state.jobs.push_back(job.record);
      state.last_change_seq = std::max(state.last_change_seq, job.record.change_seq);
    }
    const auto copy = [](const auto& from, auto* to) {
      for (const auto& [key, record] : from) to->push_back(record);
    };
    copy(content.checkpoints, &state.checkpoints);
    copy(content.requests, &state.requests);
    copy(content.queues, &state.queues);
    copy(content.projects, &state.projects);
    copy(content.wishes, &state.wishes);
    copy(content.tombstones, &state.tombstones);
    for (const auto& [change_seq, tombstone] : content.tombstones) {
      state.last_change_seq = std::max(state.last_change_seq, change_seq);
    }
    state.cursors = content.cursors;
    state.kept = content.kept;
    state.removed_jobs = {content.removed_jobs.begin(), content.removed_jobs.end()};
    return state;
  }

  absl::StatusOr<int64_t> NextTerm() override {
    absl::MutexLock lock(&disk_->mutex);
    return ++disk_->content.term;
  }

  absl::Status Commit(const store::WriteBatch& batch) override {
    absl::MutexLock lock(&disk_->mutex);
    MemoryDisk::Content next = disk_->content;
    absl::Status written = Write(batch, &next);
    if (written.ok()) {
      disk_->content = std::move(next);
    }
    return written;
  }

  absl::StatusOr<int64_t> Purge(int64_t max_rows) override {
    absl::MutexLock lock(&disk_->mutex);
    int64_t num_removed = 0;
    const auto purge = [&](auto& rows, int64_t first_kept) {
      while (num_removed < max_rows && !rows.empty() && rows.begin()->first < first_kept) {
        rows.erase(rows.begin());
        ++num_removed;
      }
    };
    for (const auto& [uid, kept] : disk_->content.kept) {
      purge(disk_->content.jobs.at(uid).metrics, kept.first_metric_seq);
      purge(disk_->content.jobs.at(uid).logs, kept.first_log_seq);
    }
    return num_removed;
  }

  absl::StatusOr<int64_t> UsedBytes() override {
    absl::MutexLock lock(&disk_->mutex);
    int64_t bytes = 0;
    for (const auto& [uid, job] : disk_->content.jobs) {
      bytes += static_cast<int64_t>(100 * (1 + job.metrics.size() + job.logs.size()));
    }
    return bytes;
  }

  absl::StatusOr<std::vector<cluster::MetricRecord>> ReadMetrics(const std::string& job_uid,
                                                                 int64_t from_seq,
                                                                 int64_t limit) override {
    return ReadRows<cluster::MetricRecord>(job_uid, from_seq, limit, &MemoryDisk::Job::metrics);
  }

  absl::StatusOr<std::vector<cluster::LogRecord>> ReadLogs(const std::string& job_uid,
                                                           int64_t from_seq,
                                                           int64_t limit) override {
    return ReadRows<cluster::LogRecord>(job_uid, from_seq, limit, &MemoryDisk::Job::logs);
  }

  absl::StatusOr<std::vector<cluster::EventRecord>> ReadEvents(const std::string& job_uid,
                                                               int64_t limit) override {
    absl::MutexLock lock(&disk_->mutex);
    const auto job = disk_->content.jobs.find(job_uid);
    if (job == disk_->content.jobs.end()) {
      return std::vector<cluster::EventRecord>();
    }
    const std::vector<cluster::EventRecord>& events = job->second.events;
    const auto count = std::min(static_cast<int64_t>(events.size()), limit);
    return std::vector<cluster::EventRecord>(events.end() - count, events.end());
  }

 private:
  static absl::Status Write(const store::WriteBatch& batch, MemoryDisk::Content* content) {
    for (const std::string& uid : batch.deleted_jobs) {
      content->jobs.erase(uid);
      content->kept.erase(uid);
      content->removed_jobs.insert(uid);
      std::erase_if(content->checkpoints, [&](const auto& c) { return c.second.job_uid == uid; });
      std::erase_if(content->cursors, [&](const auto& c) { return c.first.job_uid == uid; });
    }
    for (const auto& job : batch.jobs) {
      content->jobs[job->uid].record = *job;
    }
    const auto find = [&](const std::string& uid) -> absl::StatusOr<MemoryDisk::Job*> {
      const auto job = content->jobs.find(uid);
      if (job == content->jobs.end()) {
        return absl::InternalError(
            absl::StrCat("a row belongs to job ", uid, ", which is missing"));
      }
      return &job->second;
    };
    for (const cluster::EventRecord& event : batch.events) {
      const auto job = find(event.job_uid);
      if (!job.ok()) return job.status();
      (*job)->events.push_back(event);
    }
    for (const cluster::CheckpointRecord& checkpoint : batch.checkpoints) {
      if (const auto job = find(checkpoint.job_uid); !job.ok()) return job.status();
      content->checkpoints[checkpoint.id] = checkpoint;
    }
    for (const cluster::RequestRecord& request : batch.requests) {
      content->requests[request.request_id] = request;
    }
    for (const auto& [uid, rows] : batch.telemetry) {
      const auto job = find(uid);
      if (!job.ok()) return job.status();
      for (const cluster::MetricRecord& point : rows.metrics) {
        if (!(*job)->metrics.emplace(point.seq, point).second) return Twice(uid, point.seq);
      }
      for (const cluster::LogRecord& line : rows.logs) {
        if (!(*job)->logs.emplace(line.seq, line).second) return Twice(uid, line.seq);
      }
    }
    for (const auto& [key, local_seq] : batch.cursors) {
      if (const auto job = find(key.job_uid); !job.ok()) return job.status();
      content->cursors[key] = local_seq;
    }
    WriteRest(batch, content);
    return absl::OkStatus();
  }

  static void WriteRest(const store::WriteBatch& batch, MemoryDisk::Content* content) {
    for (const auto& queue : batch.queues) content->queues[queue.FullName()] = queue;
    for (const std::string& name : batch.deleted_queues) content->queues.erase(name);
    for (const auto& project : batch.projects) content->projects[project.name] = project;
    for (const auto& wish : batch.wishes) content->wishes[wish.worker] = wish;
    std::erase_if(content->wishes, [](const auto& wish) {
      return wish.second.schedulable == cluster::Schedulable::kAllowed;
    });
    for (const auto& tombstone : batch.tombstones) {
      content->tombstones[tombstone.change_seq] = tombstone;
    }
    std::erase_if(content->tombstones, [&](const auto& tombstone) {
      return tombstone.first <= batch.forgotten_tombstones;
    });
    for (const auto& [uid, kept] : batch.kept) content->kept[uid] = kept;
    for (const std::string& uid : batch.forgotten_jobs) content->removed_jobs.erase(uid);
    for (const std::string& id : batch.forgotten_requests) content->requests.erase(id);
  }

  static absl::Status Twice(const std::string& uid, int64_t seq) {
    return absl::InternalError(absl::StrCat("job ", uid, " has row ", seq, " already"));
  }

  template <typename Record>
  absl::StatusOr<std::vector<Record>> ReadRows(const std::string& job_uid, int64_t from_seq,
                                               int64_t limit,
                                               std::map<int64_t, Record> MemoryDisk::Job::*rows) {
    absl::MutexLock lock(&disk_->mutex);
    std::vector<Record> page;
    const auto job = disk_->content.jobs.find(job_uid);
    if (job == disk_->content.jobs.end()) {
      return page;
    }
    const std::map<int64_t, Record>& all = job->second.*rows;
    for (auto row = all.lower_bound(from_seq);
         row != all.end() && static_cast<int64_t>(page.size()) < limit; ++row) {
      page.push_back(row->second);
    }
    return page;
  }

  const std::shared_ptr<MemoryDisk> disk_;
};

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_MEMORY_STORE_H_
