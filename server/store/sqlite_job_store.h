#ifndef SERVER_STORE_SQLITE_JOB_STORE_H_
#define SERVER_STORE_SQLITE_JOB_STORE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/store/job_store.h"
#include "server/store/lock_file.h"
#include "server/store/sqlite.h"

namespace g2ll::store {

// The store in one SQLite file `g2ll.db` of a data directory: WAL, every commit
// synced to disk before Commit returns. An exclusive lock file keeps a second
// coordinator away. The directory MUST be on a local file system.
class SqliteJobStore final : public JobStore {
 public:
  // Makes what is missing, checks the file and brings its schema up to date.
  // Errors, each one line that names the path: FailedPrecondition (held by another
  // coordinator, written by a newer program), DataLoss (damaged),
  // PermissionDenied, ResourceExhausted, Internal.
  static absl::StatusOr<std::unique_ptr<SqliteJobStore>> Open(const std::string& data_dir);

  absl::StatusOr<StoredState> Load() override;
  absl::StatusOr<int64_t> NextTerm() override;
  absl::Status Commit(const WriteBatch& batch) override;

 private:
  SqliteJobStore(std::unique_ptr<LockFile> lock, std::unique_ptr<Database> database);

  absl::Status WriteAll(const WriteBatch& batch);
  absl::Status WriteJob(const cluster::JobRecord& job);
  absl::Status WriteAttempt(const std::string& job_uid, const cluster::AttemptRecord& attempt);
  absl::Status WriteCheckpoint(const cluster::CheckpointRecord& checkpoint);
  absl::Status WriteQueue(const cluster::QueueRecord& queue);
  absl::Status WriteProject(const cluster::ProjectRecord& project);
  absl::Status WriteWish(const cluster::WorkerWish& wish);
  absl::Status WriteTombstone(const cluster::TombstoneRecord& tombstone);
  absl::Status WriteTelemetry(const std::string& job_uid, const TelemetryRows& rows);
  absl::Status WriteCursor(const cluster::CursorKey& key, int64_t local_seq);
  absl::Status DeleteJob(const std::string& job_uid);

  absl::Status LoadJobs(StoredState* state);
  absl::Status LoadAttempts(StoredState* state);
  absl::Status LoadCheckpoints(StoredState* state);
  absl::Status LoadRequestsAndCursors(StoredState* state);
  absl::Status LoadQueuesAndProjects(StoredState* state);
  absl::Status LoadWishesAndTombstones(StoredState* state);

  std::unique_ptr<LockFile> lock_;
  std::unique_ptr<Database> database_;
};

// Reads the file that a SqliteJobStore in the same process writes, through a few
// read-only connections. Outlived by nothing of the store.
absl::StatusOr<std::unique_ptr<TelemetryReader>> OpenSqliteReader(const std::string& data_dir);

}  // namespace g2ll::store

#endif  // SERVER_STORE_SQLITE_JOB_STORE_H_
