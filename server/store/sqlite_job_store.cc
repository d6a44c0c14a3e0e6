#include "server/store/sqlite_job_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/common/status_macros.h"
#include "server/store/columns.h"
#include "server/store/schema.h"

namespace g2ll::store {
namespace {

using cluster::AttemptRecord;
using cluster::CheckpointRecord;
using cluster::JobRecord;

absl::Status WithPath(const absl::Status& status, const std::string& path) {
  return status.ok()
             ? status
             : absl::Status(status.code(), absl::StrCat(path, ": ", std::string(status.message())));
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!std::filesystem::is_directory(path)) {
    const std::string cause = error ? error.message() : "Not a directory";
    return absl::FailedPreconditionError(
        absl::StrCat("the data directory ", path, " cannot be used: ", cause));
  }
  return absl::OkStatus();
}

// As many parameters as there are columns in a list.
std::string Marks(const std::string& columns) {
  const auto commas = std::count(columns.begin(), columns.end(), ',');
  std::string marks = "?";
  for (int64_t i = 0; i < commas; ++i) {
    marks += ", ?";
  }
  return marks;
}

// The same columns of the row that was to be inserted.
std::string Excluded(const std::string& columns) {
  return absl::StrReplaceAll(absl::StrCat("excluded.", columns), {{", ", ", excluded."}});
}

absl::Status QuickCheck(Database* database) {
  G2LL_ASSIGN_OR_RETURN(Query query, database->Prepare("PRAGMA quick_check(1)"));
  G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
  const std::string answer = found ? query.Text() : "no answer";
  if (answer != "ok") {
    return absl::DataLossError(absl::StrCat("the store is damaged (", answer,
                                            "): restore it from a backup, or move it away to start "
                                            "with an empty one"));
  }
  return absl::OkStatus();
}

}  // namespace

SqliteJobStore::SqliteJobStore(std::unique_ptr<LockFile> lock, std::unique_ptr<Database> database)
    : lock_(std::move(lock)), database_(std::move(database)) {}

absl::StatusOr<std::unique_ptr<SqliteJobStore>> SqliteJobStore::Open(const std::string& data_dir) {
  G2LL_RETURN_IF_ERROR(MakeDirectory(data_dir));
  G2LL_ASSIGN_OR_RETURN(std::unique_ptr<LockFile> lock,
                        LockFile::Acquire(data_dir + "/coordinator.lock"));
  const std::string path = data_dir + "/g2ll.db";
  G2LL_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                        Database::Open(path, Database::Mode::kReadWrite));
  const absl::Status opened = database->Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
      "PRAGMA cache_size = -4096; PRAGMA journal_size_limit = 67108864;");
  G2LL_RETURN_IF_ERROR(WithPath(opened, path));
  G2LL_RETURN_IF_ERROR(WithPath(QuickCheck(database.get()), path));
  G2LL_RETURN_IF_ERROR(WithPath(Migrate(database.get()), path));
  return std::unique_ptr<SqliteJobStore>(new SqliteJobStore(std::move(lock), std::move(database)));
}

absl::StatusOr<int64_t> SqliteJobStore::NextTerm() {
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database_->Prepare("UPDATE meta SET value = value + 1 WHERE key = 'term' "
                                           "RETURNING value"));
  G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
  if (!found) {
    return absl::DataLossError("the store has lost its term");
  }
  const int64_t term = query.Int();
  // The change is durable only after the statement has run to its end.
  G2LL_RETURN_IF_ERROR(query.Run());
  return term;
}

absl::Status SqliteJobStore::Commit(const WriteBatch& batch) {
  if (batch.empty()) {
    return absl::OkStatus();
  }
  G2LL_RETURN_IF_ERROR(database_->Execute("BEGIN IMMEDIATE"));
  absl::Status written = WriteAll(batch);
  if (written.ok()) {
    written = database_->Execute("COMMIT");
  }
  if (!written.ok()) {
    // Fails only where SQLite has rolled back by itself already.
    database_->Execute("ROLLBACK").IgnoreError();
  }
  return written;
}

absl::Status SqliteJobStore::WriteAll(const WriteBatch& batch) {
  for (const auto& job : batch.jobs) {
    G2LL_RETURN_IF_ERROR(WriteJob(*job));
  }
  for (const cluster::EventRecord& event : batch.events) {
    G2LL_ASSIGN_OR_RETURN(
        Query query, database_->Prepare("INSERT INTO events (job_uid, time, actor, type, message) "
                                        "VALUES (?, ?, ?, ?, ?)"));
    G2LL_RETURN_IF_ERROR(query.Bind(event.job_uid)
                             .Bind(event.time)
                             .Bind(event.actor)
                             .Bind(event.type)
                             .Bind(event.message)
                             .Run());
  }
  for (const CheckpointRecord& checkpoint : batch.checkpoints) {
    G2LL_RETURN_IF_ERROR(WriteCheckpoint(checkpoint));
  }
  for (const cluster::RequestRecord& request : batch.requests) {
    G2LL_ASSIGN_OR_RETURN(
        Query query, database_->Prepare("INSERT OR REPLACE INTO requests (request_id, fingerprint, "
                                        "job_uid, time) VALUES (?, ?, ?, ?)"));
    G2LL_RETURN_IF_ERROR(query.Bind(request.request_id)
                             .Bind(request.fingerprint)
                             .Bind(request.job_uid)
                             .Bind(request.time)
                             .Run());
  }
  for (const cluster::QueueRecord& queue : batch.queues) {
    G2LL_RETURN_IF_ERROR(WriteQueue(queue));
  }
  for (const cluster::ProjectRecord& project : batch.projects) {
    G2LL_RETURN_IF_ERROR(WriteProject(project));
  }
  for (const cluster::WorkerWish& wish : batch.wishes) {
    G2LL_RETURN_IF_ERROR(WriteWish(wish));
  }
  for (const cluster::TombstoneRecord& tombstone : batch.tombstones) {
    G2LL_RETURN_IF_ERROR(WriteTombstone(tombstone));
  }
  if (batch.forgotten_tombstones > 0) {
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database_->Prepare("DELETE FROM tombstones WHERE change_seq <= ?"));
    G2LL_RETURN_IF_ERROR(query.Bind(batch.forgotten_tombstones).Run());
  }
  for (const std::string& name : batch.deleted_queues) {
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database_->Prepare("DELETE FROM queues WHERE 'projects/' || project || "
                                             "'/queues/' || name = ?"));
    G2LL_RETURN_IF_ERROR(query.Bind(name).Run());
  }
  for (const auto& [job_uid, rows] : batch.telemetry) {
    G2LL_RETURN_IF_ERROR(WriteTelemetry(job_uid, rows));
  }
  for (const auto& [key, local_seq] : batch.cursors) {
    G2LL_RETURN_IF_ERROR(WriteCursor(key, local_seq));
  }
  for (const std::string& job_uid : batch.deleted_jobs) {
    G2LL_RETURN_IF_ERROR(DeleteJob(job_uid));
  }
  return absl::OkStatus();
}

absl::Status SqliteJobStore::WriteJob(const JobRecord& job) {
  // The order of binding below and of reading in sqlite_load.cc.
  static const std::string kSql = absl::StrCat(
      "INSERT INTO jobs (", kJobColumns, ") VALUES (", Marks(kJobColumns),
      ") ON CONFLICT (uid) DO UPDATE SET (", kJobColumns, ") = (", Excluded(kJobColumns), ")");
  const std::string labels = ToColumn(job.labels);
  const std::string dependencies = ToColumn(job.dependencies);
  const std::string excluded_workers = ToColumn(job.excluded_workers);
  const std::string progress = ToColumn(job.progress);
  const std::string metrics = ToColumn(job.metrics);
  const std::string best_metric = ToColumn(job.best_metric);
  const std::string lineage = ToColumn(job.lineage);
  G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare(kSql.c_str()));
  query.Bind(job.uid).Bind(job.project).Bind(job.name).Bind(job.kind).Bind(labels);
  query.BindBlob(*job.spec).Bind(job.min_ranks).Bind(job.max_ranks).Bind(job.global_batch);
  query.Bind(job.priority).Bind(job.device).Bind(job.cpus_per_rank).Bind(job.max_retries);
  query.Bind(job.max_infra_retries).Bind(job.source).Bind(dependencies).Bind(job.data_source);
  query.Bind(job.data_split).Bind(job.needs_masks).Bind(job.create_time);
  query.Bind(job.revision).Bind(job.state).Bind(job.reason.code).Bind(job.reason.message);
  query.Bind(job.data_checked).Bind(job.start_time).Bind(job.end_time).Bind(job.not_before);
  query.Bind(job.used_retries).Bind(job.used_infra_retries).Bind(job.epoch).Bind(progress);
  query.Bind(metrics).Bind(best_metric).Bind(job.latest_checkpoint);
  query.Bind(job.latest_checkpoint_step).Bind(lineage).Bind(job.report_path);
  query.Bind(job.last_metric_seq).Bind(job.last_log_seq).Bind(job.last_metric_step);
  query.Bind(job.queue).Bind(job.preemptible).Bind(job.max_runtime).Bind(job.min_runtime);
  query.Bind(job.grace).Bind(job.on_failed_dependency).Bind(job.desired).Bind(job.held);
  query.Bind(job.preemptions).Bind(job.without_progress).Bind(job.failed_starts);
  query.Bind(excluded_workers).Bind(job.change_seq);
  G2LL_RETURN_IF_ERROR(query.Run());

  // One batch starts at most one attempt, so older ones than the last two are as stored.
  const size_t count = job.attempts.size();
  for (size_t i = count > 2 ? count - 2 : 0; i < count; ++i) {
    G2LL_RETURN_IF_ERROR(WriteAttempt(job.uid, job.attempts[i]));
  }
  return absl::OkStatus();
}

absl::Status SqliteJobStore::WriteAttempt(const std::string& job_uid,
                                          const AttemptRecord& attempt) {
  static const std::string kSql = absl::StrCat("INSERT OR REPLACE INTO attempts (", kAttemptColumns,
                                               ") VALUES (", Marks(kAttemptColumns), ")");
  const std::string workers = ToColumn(attempt.workers);
  const std::string failure = ToColumn(attempt.failure);
  G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare(kSql.c_str()));
  query.Bind(job_uid).Bind(attempt.number).Bind(attempt.epoch).Bind(attempt.state);
  query.Bind(attempt.outcome).Bind(workers).Bind(attempt.start_time).Bind(attempt.end_time);
  query.Bind(attempt.state_time).Bind(failure).Bind(attempt.store_address);
  query.Bind(attempt.resume_path).Bind(attempt.resume_step).Bind(attempt.source_path);
  query.Bind(attempt.run_time).Bind(attempt.stop_deadline).Bind(attempt.stop_reason);
  query.Bind(attempt.stopped_for).Bind(attempt.kill).Bind(attempt.lost_steps);
  return query.Run();
}

absl::Status SqliteJobStore::WriteCheckpoint(const CheckpointRecord& checkpoint) {
  const std::string metrics = ToColumn(checkpoint.metrics);
  G2LL_ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("INSERT OR REPLACE INTO checkpoints (id, job_uid, job, step, epoch, path, "
                         "size_bytes, sha256, state, pinned, best, create_time, metrics) "
                         "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  query.Bind(checkpoint.id).Bind(checkpoint.job_uid).Bind(checkpoint.job).Bind(checkpoint.step);
  query.Bind(checkpoint.epoch).Bind(checkpoint.path).Bind(checkpoint.size_bytes);
  query.Bind(checkpoint.sha256).Bind(checkpoint.state).Bind(checkpoint.pinned);
  query.Bind(checkpoint.best).Bind(checkpoint.create_time).Bind(metrics);
  return query.Run();
}

absl::Status SqliteJobStore::WriteQueue(const cluster::QueueRecord& queue) {
  G2LL_ASSIGN_OR_RETURN(
      Query query, database_->Prepare("INSERT OR REPLACE INTO queues (project, name, revision, "
                                      "stop, reason, max_waiting_jobs) VALUES (?, ?, ?, ?, ?, ?)"));
  query.Bind(queue.project).Bind(queue.name).Bind(queue.revision).Bind(queue.stop);
  return query.Bind(queue.reason).Bind(queue.max_waiting_jobs).Run();
}

absl::Status SqliteJobStore::WriteProject(const cluster::ProjectRecord& project) {
  G2LL_ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("INSERT OR REPLACE INTO projects (name, revision, weight, "
                         "guaranteed_slots, max_slots, max_running_jobs, max_waiting_jobs, "
                         "max_slot_hours, slot_seconds, recent_usage, usage_time) "
                         "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  query.Bind(project.name).Bind(project.revision).Bind(project.weight);
  query.Bind(project.guaranteed_slots).Bind(project.max_slots).Bind(project.max_running_jobs);
  query.Bind(project.max_waiting_jobs).Bind(project.max_slot_hours).Bind(project.slot_seconds);
  return query.Bind(project.recent_usage).Bind(project.usage_time).Run();
}

absl::Status SqliteJobStore::WriteWish(const cluster::WorkerWish& wish) {
  if (wish.schedulable == cluster::Schedulable::kAllowed) {
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database_->Prepare("DELETE FROM worker_wishes WHERE worker = ?"));
    return query.Bind(wish.worker).Run();
  }
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database_->Prepare("INSERT OR REPLACE INTO worker_wishes (worker, "
                                           "schedulable, reason, time) VALUES (?, ?, ?, ?)"));
  return query.Bind(wish.worker).Bind(wish.schedulable).Bind(wish.reason).Bind(wish.time).Run();
}

absl::Status SqliteJobStore::WriteTombstone(const cluster::TombstoneRecord& tombstone) {
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database_->Prepare("INSERT OR REPLACE INTO tombstones (change_seq, uid, "
                                           "project, name) VALUES (?, ?, ?, ?)"));
  return query.Bind(tombstone.change_seq)
      .Bind(tombstone.uid)
      .Bind(tombstone.project)
      .Bind(tombstone.name)
      .Run();
}

absl::Status SqliteJobStore::WriteTelemetry(const std::string& job_uid, const TelemetryRows& rows) {
  for (const cluster::MetricRecord& point : rows.metrics) {
    G2LL_ASSIGN_OR_RETURN(
        Query query, database_->Prepare("INSERT INTO metrics (job_uid, seq, attempt, step, epoch, "
                                        "name, value, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
    query.Bind(job_uid).Bind(point.seq).Bind(point.attempt).Bind(point.step).Bind(point.epoch);
    G2LL_RETURN_IF_ERROR(query.Bind(point.name).Bind(point.value).Bind(point.time).Run());
  }
  for (const cluster::LogRecord& line : rows.logs) {
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database_->Prepare("INSERT INTO logs (job_uid, seq, attempt, rank, time, "
                                             "level, message) VALUES (?, ?, ?, ?, ?, ?, ?)"));
    query.Bind(job_uid).Bind(line.seq).Bind(line.attempt).Bind(line.rank).Bind(line.time);
    G2LL_RETURN_IF_ERROR(query.Bind(line.level).Bind(line.message).Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteJobStore::WriteCursor(const cluster::CursorKey& key, int64_t local_seq) {
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database_->Prepare("INSERT OR REPLACE INTO cursors (job_uid, epoch, rank, "
                                           "local_seq) VALUES (?, ?, ?, ?)"));
  return query.Bind(key.job_uid).Bind(key.epoch).Bind(key.rank).Bind(local_seq).Run();
}

absl::Status SqliteJobStore::DeleteJob(const std::string& job_uid) {
  G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare("DELETE FROM jobs WHERE uid = ?"));
  return query.Bind(job_uid).Run();
}

}  // namespace g2ll::store
