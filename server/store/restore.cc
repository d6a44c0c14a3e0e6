#include "server/store/restore.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/status_macros.h"
#include "server/cluster/states.h"
#include "server/store/data_dir.h"
#include "server/store/integrity.h"
#include "server/store/lock_file.h"
#include "server/store/schema.h"
#include "server/store/sqlite.h"

namespace g2ll::store {
namespace {

namespace fs = std::filesystem;
using cluster::JobState;

// By how much numbers grow at least.
constexpr int64_t kJump = 1'000'000;

absl::Status FileError(const std::string& what, const std::error_code& error) {
  const std::string message = absl::StrCat(what, ": ", error.message());
  if (error == std::errc::no_space_on_device) {
    return absl::ResourceExhaustedError(absl::StrCat(message, "; make room on the disk"));
  }
  return error == std::errc::permission_denied ? absl::PermissionDeniedError(message)
                                               : absl::InternalError(message);
}

absl::Status WithFile(const absl::Status& status, const std::string& file) {
  return status.ok()
             ? status
             : absl::Status(status.code(), absl::StrCat(file, ": ", std::string(status.message())));
}

absl::Status CheckBackupFile(const std::string& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, " is no file: name one that `g2ll admin backup` has written"));
  }
  if (fs::file_size(file + "-wal", ignored) > 0 && !ignored) {
    return absl::FailedPreconditionError(
        absl::StrCat(file, " is a store in use, not a backup (", file,
                     "-wal is beside it): make one with `g2ll admin backup`"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ReadNumber(Database* database, const char* sql) {
  G2LL_ASSIGN_OR_RETURN(Query query, database->Prepare(sql));
  G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
  return found ? query.Int() : 0;
}

// The largest number that workers or watchers may know. 0 if the store cannot be read.
int64_t LargestNumber(Database* database) {
  return ReadNumber(database,
                    "SELECT max((SELECT ifnull(max(epoch), 0) FROM jobs), "
                    "(SELECT value FROM meta WHERE key = 'term'))")
      .value_or(0);
}

// Reads what the old store can still tell and leaves it closed, without a log.
int64_t CloseOldStore(const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return 0;
  }
  const absl::StatusOr<std::unique_ptr<Database>> old =
      Database::Open(path, Database::Mode::kReadWrite);
  if (!old.ok()) {
    return 0;  // Damaged: it is put away as it is.
  }
  (*old)->Execute("PRAGMA wal_checkpoint(TRUNCATE)").IgnoreError();
  return LargestNumber(old->get());
}

// Ends everything that ran, and lifts all numbers by `jump`.
absl::Status Fence(Database* database, int64_t jump, int64_t acknowledged, absl::Time now) {
  G2LL_RETURN_IF_ERROR(database->Execute("BEGIN IMMEDIATE"));
  const auto run = [&](const char* sql, auto... values) -> absl::Status {
    G2LL_ASSIGN_OR_RETURN(Query query, database->Prepare(sql));
    (query.Bind(values), ...);
    return query.Run();
  };
  G2LL_RETURN_IF_ERROR(run("UPDATE meta SET value = value + ? WHERE key = 'term'", jump));
  G2LL_RETURN_IF_ERROR(
      run("INSERT INTO meta VALUES ('changes', ?1 + 1) ON CONFLICT (key) DO "
          "UPDATE SET value = max(value, ?1) + 1",
          acknowledged));
  // Live jobs are all but those that wait and those that have ended.
  G2LL_RETURN_IF_ERROR(
      run("INSERT INTO events (job_uid, time, actor, type, message) SELECT uid, ?, 'coordinator', "
          "'RESTORED', 'the store was restored from a backup; the job waits to go on from its last "
          "checkpoint of that time' FROM jobs WHERE state NOT IN (?, ?, ?, ?, ?)",
          now, JobState::kPending, JobState::kPaused, JobState::kSucceeded, JobState::kFailed,
          JobState::kCancelled));
  G2LL_RETURN_IF_ERROR(
      run("UPDATE attempts SET outcome = ?, end_time = ?, state = ? WHERE state <> ?",
          cluster::AttemptOutcome::kLost, now, cluster::AttemptState::kEnded,
          cluster::AttemptState::kEnded));
  G2LL_RETURN_IF_ERROR(run("UPDATE attempts SET epoch = epoch + ?", jump));
  G2LL_RETURN_IF_ERROR(
      run("UPDATE jobs SET reason_code = 'RESTORED', reason_message = 'the store was restored from "
          "a backup', end_time = iif(state = ?1, ?2, end_time), state = CASE state WHEN ?1 THEN ?3 "
          "WHEN ?4 THEN ?5 ELSE ?6 END WHERE state NOT IN (?5, ?6, ?3, ?7, ?8)",
          JobState::kCancelling, now, JobState::kCancelled, JobState::kPausing, JobState::kPaused,
          JobState::kPending, JobState::kSucceeded, JobState::kFailed));
  G2LL_RETURN_IF_ERROR(
      run("UPDATE jobs SET epoch = epoch + ?1, revision = revision + 1, "
          "change_seq = change_seq + ?1",
          jump));
  G2LL_RETURN_IF_ERROR(run("UPDATE tombstones SET change_seq = change_seq + ?", jump));
  // They count what attempts reported under epochs that nobody has any more.
  G2LL_RETURN_IF_ERROR(run("DELETE FROM cursors"));
  return database->Execute("COMMIT");
}

// Checks the copy, makes it new and closes it, so that it is one synced file.
absl::Status Prepare(const std::string& copy, int64_t known, int64_t acknowledged, absl::Time now,
                     RestoreResult* result) {
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                        Database::Open(copy, Database::Mode::kReadWrite));
  G2LL_RETURN_IF_ERROR(CheckOwner(database.get()));
  G2LL_ASSIGN_OR_RETURN(const int64_t tables,
                        ReadNumber(database.get(), "SELECT count(*) FROM sqlite_schema"));
  if (tables == 0) {
    return absl::FailedPreconditionError("it holds no store: name a backup");
  }
  // A log would be a second file; FULL syncs before a commit returns.
  G2LL_RETURN_IF_ERROR(
      database->Execute("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;"
                        "PRAGMA foreign_keys = ON"));
  G2LL_RETURN_IF_ERROR(CheckTables(database.get(), TableKind::kAll));
  G2LL_RETURN_IF_ERROR(Migrate(database.get()));
  // The clock keeps two restores of one backup apart where the old store is unreadable.
  const int64_t jump =
      std::max({known, LargestNumber(database.get()), absl::ToUnixSeconds(now)}) + kJump;
  G2LL_ASSIGN_OR_RETURN(
      result->num_stopped,
      ReadNumber(database.get(), "SELECT count(*) FROM attempts WHERE state <> 5"));
  G2LL_RETURN_IF_ERROR(Fence(database.get(), jump, acknowledged, now));
  G2LL_ASSIGN_OR_RETURN(result->num_jobs,
                        ReadNumber(database.get(), "SELECT count(*) FROM jobs WHERE removed = 0"));
  G2LL_ASSIGN_OR_RETURN(result->term,
                        ReadNumber(database.get(), "SELECT value FROM meta WHERE key = 'term'"));
  return absl::OkStatus();
}

// Gives the old store a second name, so that it never lacks one; empty if there is none.
absl::StatusOr<std::string> PutAway(const std::string& path, absl::Time now) {
  const std::string name = absl::StrCat(
      path, ".before-restore-", absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone()));
  std::error_code error;
  if (!fs::exists(path, error)) {
    return std::string();
  }
  for (const char* ending : {"", "-wal"}) {
    std::error_code ignored;
    if (!fs::exists(path + ending, ignored)) {
      continue;
    }
    fs::remove(name + ending, ignored);
    fs::create_hard_link(path + ending, name + ending, error);
    if (error) {
      return FileError(absl::StrCat("cannot put away ", path, ending, " as ", name, ending), error);
    }
  }
  return name;
}

}  // namespace

absl::StatusOr<RestoreResult> RestoreStore(const std::string& file, const std::string& data_dir,
                                           absl::Time now) {
  G2LL_RETURN_IF_ERROR(CheckBackupFile(file));
  G2LL_RETURN_IF_ERROR(PrepareDataDirectory(data_dir));
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<LockFile> lock,
                        LockFile::Acquire(LockPath(data_dir)));
  RemoveLeftovers(data_dir);
  const std::string path = StorePath(data_dir);
  const std::string copy = path + ".restoring";
  RestoreResult result;
  std::error_code error;
  fs::copy_file(file, copy, fs::copy_options::overwrite_existing, error);
  if (error) {
    RemoveLeftovers(data_dir);
    return FileError(absl::StrCat("cannot copy ", file, " to ", copy), error);
  }
  G2LL_FAILPOINT("store.restore.copied");
  const int64_t known = CloseOldStore(path);
  const absl::Status prepared = Prepare(copy, known, lock->noted(), now, &result);
  if (!prepared.ok()) {
    RemoveLeftovers(data_dir);
    return WithFile(prepared, file);
  }
  G2LL_FAILPOINT("store.restore.prepared");
  G2LL_ASSIGN_OR_RETURN(result.put_away, PutAway(path, now));
  G2LL_FAILPOINT("store.restore.put_away");
  // The old log must be gone before the new file is there: SQLite would apply it.
  fs::remove(path + "-wal", error);
  fs::remove(path + "-shm", error);
  G2LL_FAILPOINT("store.restore.unlogged");
  fs::rename(copy, path, error);
  if (error) {
    return FileError(absl::StrCat("cannot move ", copy, " to ", path), error);
  }
  G2LL_FAILPOINT("store.restore.placed");
  G2LL_RETURN_IF_ERROR(SyncDirectory(data_dir));
  return result;
}

}  // namespace g2ll::store
