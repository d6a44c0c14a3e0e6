#include "server/store/sqlite_job_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/common/failpoint.h"
#include "proto/common/status_macros.h"
#include "server/store/columns.h"
#include "server/store/data_dir.h"
#include "server/store/integrity.h"
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

absl::StatusOr<int64_t> ReadNumber(Database* database, const char* sql) {
  G2LL_ASSIGN_OR_RETURN(Query query, database->Prepare(sql));
  G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
  return found ? query.Int() : 0;
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

constexpr char kDurable[] = "journal_mode=wal synchronous=2 foreign_keys=1";

absl::StatusOr<std::string> ReadDurability(Database* database) {
  G2LL_ASSIGN_OR_RETURN(
      Query query,
      database->Prepare("SELECT 'journal_mode=' || journal_mode || ' synchronous=' || synchronous "
                        "|| ' foreign_keys=' || foreign_keys FROM pragma_journal_mode, "
                        "pragma_synchronous, pragma_foreign_keys"));
  G2LL_RETURN_IF_ERROR(query.Step().status());
  return query.Text();
}

// SQLite goes on without a word where a file system cannot do what was asked for.
absl::Status CheckDurability(Database* database) {
  G2LL_ASSIGN_OR_RETURN(const std::string durability, ReadDurability(database));
  return durability == kDurable
             ? absl::OkStatus()
             : absl::FailedPreconditionError(absl::StrCat(
                   "this file system cannot hold a store (", durability, " instead of ", kDurable,
                   "): name a data directory on a local disk"));
}

// The file must have every change that was acknowledged.
absl::Status CheckNewestChange(Database* database, int64_t acknowledged) {
  G2LL_ASSIGN_OR_RETURN(const int64_t stored,
                        ReadNumber(database, "SELECT value FROM meta WHERE key = 'changes'"));
  if (stored >= acknowledged) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      "the store ends at change ", stored, ", but ", acknowledged,
      " were acknowledged: its log g2ll.db-wal was removed or damaged, or an older file was put in "
      "its place; put the right files back, or to go on without those changes remove ",
      "coordinator.lock, or "));
}

// Opens the file, checks what Load reads and brings the schema up to date.
absl::StatusOr<std::unique_ptr<Database>> OpenChecked(const std::string& path,
                                                      int64_t acknowledged) {
  G2LL_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                        Database::Open(path, Database::Mode::kReadWrite));
  G2LL_RETURN_IF_ERROR(CheckOwner(database.get()));
  G2LL_RETURN_IF_ERROR(database->Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
      "PRAGMA cache_size = -4096; PRAGMA journal_size_limit = 67108864;"));
  G2LL_RETURN_IF_ERROR(CheckDurability(database.get()));
  G2LL_RETURN_IF_ERROR(CheckTables(database.get(), TableKind::kState));
  G2LL_RETURN_IF_ERROR(Migrate(database.get()));
  G2LL_RETURN_IF_ERROR(CheckNewestChange(database.get(), acknowledged));
  return database;
}

}  // namespace

SqliteJobStore::SqliteJobStore(std::unique_ptr<LockFile> lock, std::unique_ptr<Database> database)
    : lock_(std::move(lock)), database_(std::move(database)) {}

absl::StatusOr<std::unique_ptr<SqliteJobStore>> SqliteJobStore::Open(const std::string& data_dir) {
  G2LL_RETURN_IF_ERROR(PrepareDataDirectory(data_dir));
  G2LL_ASSIGN_OR_RETURN(std::unique_ptr<LockFile> lock, LockFile::Acquire(LockPath(data_dir)));
  G2LL_FAILPOINT_STATUS("store.open.locked");
  G2LL_RETURN_IF_ERROR(CheckStoreFiles(data_dir));
  RemoveLeftovers(data_dir);
  const std::string path = StorePath(data_dir);
  absl::StatusOr<std::unique_ptr<Database>> database = OpenChecked(path, lock->noted());
  if (!database.ok()) {
    const absl::Status fault = WithPath(database.status(), path);
    return absl::IsDataLoss(fault) ? absl::DataLossError(absl::StrCat(std::string(fault.message()),
                                                                      "; ", RepairAdvice(data_dir)))
                                   : fault;
  }
  G2LL_FAILPOINT_STATUS("store.open.ready");
  return std::unique_ptr<SqliteJobStore>(new SqliteJobStore(std::move(lock), *std::move(database)));
}

absl::Status SqliteJobStore::NoteFault(absl::Status status) {
  if (absl::IsDataLoss(status) && fault_.ok()) {
    fault_ = status;
  }
  return status;
}

absl::StatusOr<std::string> SqliteJobStore::Durability() { return ReadDurability(database_.get()); }

absl::StatusOr<int64_t> SqliteJobStore::NextTerm() {
  G2LL_FAILPOINT_STATUS("store.term.before");
  int64_t term = 0;
  G2LL_RETURN_IF_ERROR(RunTransaction([&]() -> absl::Status {
    G2LL_ASSIGN_OR_RETURN(term, ReadNumber(database_.get(),
                                           "UPDATE meta SET value = value + 1 WHERE key = 'term' "
                                           "RETURNING value"));
    return term > 0 ? absl::OkStatus() : absl::DataLossError("the store has lost its term");
  }));
  G2LL_FAILPOINT("store.term.after");
  return term;
}

absl::Status SqliteJobStore::Commit(const WriteBatch& batch) {
  if (batch.empty()) {
    return absl::OkStatus();
  }
  G2LL_FAILPOINT_STATUS("store.commit.before");
  absl::Status written = RunTransaction([&]() -> absl::Status {
    G2LL_RETURN_IF_ERROR(WriteAll(batch));
    return G2LL_FAILPOINT_ERROR("store.commit.written");
  });
  if (written.ok()) {
    NotePurges(batch);
  }
  G2LL_FAILPOINT("store.commit.after");
  return written;
}

absl::Status SqliteJobStore::RunTransaction(absl::FunctionRef<absl::Status()> write) {
  G2LL_RETURN_IF_ERROR(fault_);
  G2LL_RETURN_IF_ERROR(NoteFault(database_->Execute("BEGIN IMMEDIATE")));
  absl::Status written = write();
  int64_t change = 0;
  if (written.ok()) {
    const absl::StatusOr<int64_t> counted =
        ReadNumber(database_.get(),
                   "INSERT INTO meta VALUES ('changes', 1) ON CONFLICT (key) DO UPDATE SET value = "
                   "value + 1 RETURNING value");
    change = counted.value_or(0);
    written = counted.status();
  }
  if (written.ok()) {
    written = database_->Execute("COMMIT");
  }
  if (written.ok()) {
    // From here on the change is stored whatever happens: the note only helps to
    // find out at the next start that the file has gone back.
    lock_->Note(change).IgnoreError();
    return written;
  }
  // Fails only where SQLite has rolled back by itself already.
  database_->Execute("ROLLBACK").IgnoreError();
  return NoteFault(written);
}

absl::Status SqliteJobStore::WriteAll(const WriteBatch& batch) {
  for (const std::string& job_uid : batch.deleted_jobs) {
    G2LL_RETURN_IF_ERROR(DeleteJob(job_uid));
  }
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
  return WriteForgotten(batch);
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

}  // namespace g2ll::store
