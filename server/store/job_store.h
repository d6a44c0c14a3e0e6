#ifndef SERVER_STORE_JOB_STORE_H_
#define SERVER_STORE_JOB_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/cluster/records.h"

namespace g2ll::store {

// Everything that a coordinator holds in memory, as stored.
struct StoredState {
  // Grows with every start of a coordinator.
  int64_t term = 0;
  std::vector<cluster::JobRecord> jobs;
  std::vector<cluster::CheckpointRecord> checkpoints;
  std::vector<cluster::RequestRecord> requests;
  std::vector<cluster::QueueRecord> queues;
  std::vector<cluster::ProjectRecord> projects;
  std::vector<cluster::WorkerWish> wishes;
  // Ascending change_seq.
  std::vector<cluster::TombstoneRecord> tombstones;
  // Last number given to a change of a job, deleted ones included.
  int64_t last_change_seq = 0;
  // Last stored local number of every reporter.
  std::map<cluster::CursorKey, int64_t> cursors;
  // Jobs that have lines, or of which something went.
  std::map<std::string, cluster::KeptTelemetry> kept;
  // Uids of deleted jobs that are not forgotten yet: they may still have folders.
  std::vector<std::string> removed_jobs;
};

// Points and lines of one job, numbers ascending.
struct TelemetryRows {
  std::vector<cluster::MetricRecord> metrics;
  std::vector<cluster::LogRecord> logs;
};

// Changes that become durable together or not at all.
struct WriteBatch {
  std::vector<std::shared_ptr<const cluster::JobRecord>> jobs;
  std::vector<cluster::EventRecord> events;
  std::vector<cluster::CheckpointRecord> checkpoints;
  std::vector<cluster::RequestRecord> requests;
  std::vector<cluster::QueueRecord> queues;
  std::vector<cluster::ProjectRecord> projects;
  // A wish that is kAllowed is removed.
  std::vector<cluster::WorkerWish> wishes;
  std::vector<cluster::TombstoneRecord> tombstones;
  // Tombstones up to this change go; 0 is none.
  int64_t forgotten_tombstones = 0;
  // Full names of queues that go.
  std::vector<std::string> deleted_queues;
  std::map<std::string, TelemetryRows> telemetry;
  std::map<cluster::CursorKey, int64_t> cursors;
  // What is kept of a job; rows before it go by Purge.
  std::map<std::string, cluster::KeptTelemetry> kept;
  // Uids of jobs that go with all that belongs to them, rows of telemetry by Purge.
  // Applied first, so that their names are free; nothing else of the batch is theirs.
  std::vector<std::string> deleted_jobs;
  // Uids of deleted jobs that nobody has to remember any more.
  std::vector<std::string> forgotten_jobs;
  std::vector<std::string> forgotten_requests;

  bool empty() const {
    return jobs.empty() && events.empty() && checkpoints.empty() && requests.empty() &&
           queues.empty() && projects.empty() && wishes.empty() && tombstones.empty() &&
           forgotten_tombstones == 0 && deleted_queues.empty() && telemetry.empty() &&
           cursors.empty() && kept.empty() && deleted_jobs.empty() && forgotten_jobs.empty() &&
           forgotten_requests.empty();
  }
};

// The durable side of the coordinator. Used by one thread.
class JobStore {
 public:
  virtual ~JobStore() = default;

  virtual absl::StatusOr<StoredState> Load() = 0;

  // Adds one to the stored term and returns it; durable on return.
  virtual absl::StatusOr<int64_t> NextTerm() = 0;

  // Makes the whole batch durable. On an error nothing of it is stored, unless the
  // error is DataLoss: then nobody can tell, because the disk failed at the wrong
  // moment, and the store refuses everything from then on. The process MUST end
  // without an answer; what a new one reads is the truth.
  virtual absl::Status Commit(const WriteBatch& batch) = 0;

  // Removes at most `max_rows` rows of telemetry that are not kept any more; durable on
  // return. Returns about how many went, 0 once nothing is left. Errors as of Commit.
  virtual absl::StatusOr<int64_t> Purge(int64_t max_rows) = 0;

  // How much room the kept rows take. Cheap.
  virtual absl::StatusOr<int64_t> UsedBytes() = 0;
};

// Reads what was committed, beside the writer. Thread safe.
class TelemetryReader {
 public:
  virtual ~TelemetryReader() = default;

  // At most `limit` rows from number `from_seq` on, ascending; fewer only at the end.
  virtual absl::StatusOr<std::vector<cluster::MetricRecord>> ReadMetrics(const std::string& job_uid,
                                                                         int64_t from_seq,
                                                                         int64_t limit) = 0;
  virtual absl::StatusOr<std::vector<cluster::LogRecord>> ReadLogs(const std::string& job_uid,
                                                                   int64_t from_seq,
                                                                   int64_t limit) = 0;

  // The newest `limit` changes of a job, oldest first.
  virtual absl::StatusOr<std::vector<cluster::EventRecord>> ReadEvents(const std::string& job_uid,
                                                                       int64_t limit) = 0;
};

}  // namespace g2ll::store

#endif  // SERVER_STORE_JOB_STORE_H_
