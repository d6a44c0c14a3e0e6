#ifndef SERVER_STORE_SQLITE_JOB_STORE_H_
#define SERVER_STORE_SQLITE_JOB_STORE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
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
  // Only the tables that Load reads are checked here; CheckTelemetry does the rest.
  // Errors, each one line that names the path and says what to do:
  // FailedPrecondition (held by another coordinator, written by a newer or another
  // program, no place for a store), DataLoss (damaged, or changes are missing that
  // had been acknowledged), PermissionDenied, ResourceExhausted, Internal.
  static absl::StatusOr<std::unique_ptr<SqliteJobStore>> Open(const std::string& data_dir);

  absl::StatusOr<StoredState> Load() override;
  absl::StatusOr<int64_t> NextTerm() override;
  absl::Status Commit(const WriteBatch& batch) override;
  absl::StatusOr<int64_t> Purge(int64_t max_rows) override;
  absl::StatusOr<int64_t> UsedBytes() override;

  // Number of the last change; grows by one with every commit and every term.
  int64_t last_change() const { return lock_->noted(); }

  // How the writing connection keeps its promise, as it says itself:
  // `journal_mode=wal synchronous=2 foreign_keys=1`.
  absl::StatusOr<std::string> Durability();

 private:
  SqliteJobStore(std::unique_ptr<LockFile> lock, std::unique_ptr<Database> database);

  // Runs `write` as one transaction and notes its number.
  absl::Status RunTransaction(absl::FunctionRef<absl::Status()> write);
  // Keeps a DataLoss: the store is not used any more.
  absl::Status NoteFault(absl::Status status);
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

  // sqlite_purge.cc
  struct PurgedJob {
    int64_t first_metric_seq = 0;
    int64_t first_log_seq = 0;
    // The job's row goes too.
    bool is_last_trace = false;
  };
  absl::Status DeleteJob(const std::string& job_uid);
  absl::Status WriteForgotten(const WriteBatch& batch);
  // After a commit: what there is to purge.
  void NotePurges(const WriteBatch& batch);
  absl::Status LoadForgotten(StoredState* state);
  // Rows that went; fewer than `max_rows` if none of the job is left to go.
  absl::StatusOr<int64_t> PurgeJob(const std::string& job_uid, const PurgedJob& purge,
                                   int64_t max_rows);

  absl::Status LoadJobs(StoredState* state);
  absl::Status LoadAttempts(StoredState* state);
  absl::Status LoadCheckpoints(StoredState* state);
  absl::Status LoadRequestsAndCursors(StoredState* state);
  absl::Status LoadQueuesAndProjects(StoredState* state);
  absl::Status LoadWishesAndTombstones(StoredState* state);

  std::unique_ptr<LockFile> lock_;
  std::unique_ptr<Database> database_;
  // By uid.
  std::map<std::string, PurgedJob> purges_;
  // Not OK once the disk has failed.
  absl::Status fault_;
};

// Reads the file that a SqliteJobStore in the same process writes, through a few
// read-only connections. Outlived by nothing of the store.
absl::StatusOr<std::unique_ptr<TelemetryReader>> OpenSqliteReader(const std::string& data_dir);

}  // namespace g2ll::store

#endif  // SERVER_STORE_SQLITE_JOB_STORE_H_
