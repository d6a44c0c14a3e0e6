#include "server/store/sqlite_backup.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/status_macros.h"
#include "server/store/data_dir.h"
#include "server/store/integrity.h"
#include "server/store/sqlite.h"

namespace g2ll::store {
namespace {

constexpr int kPagesPerStep = 256;
// Left to the store while a copy is made.
constexpr int64_t kSpareBytes = int64_t{64} << 20;

absl::Status CheckRoom(const std::string& data_dir) {
  struct statvfs info = {};
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(StorePath(data_dir), error);
  if (error || statvfs(data_dir.c_str(), &info) != 0) {
    return absl::InternalError(absl::StrCat("cannot look at ", StorePath(data_dir)));
  }
  const int64_t needed = static_cast<int64_t>(size) + kSpareBytes;
  const auto free = static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
  return free >= needed ? absl::OkStatus()
                        : absl::ResourceExhaustedError(absl::StrCat(
                              "a backup needs ", needed >> 20, " MiB in ", data_dir, " and ",
                              free >> 20, " MiB are free: make room on that disk"));
}

class SqliteBackup final : public Backup {
 public:
  // `running` is set back when the copy goes.
  SqliteBackup(std::string path, std::atomic<bool>* running)
      : path_(std::move(path)), running_(running) {}
  ~SqliteBackup() override {
    sqlite3_backup_finish(copying_);
    target_.reset();
    source_.reset();
    unlink(path_.c_str());
    *running_ = false;
  }

  absl::Status Open(const std::string& store_path) {
    G2LL_ASSIGN_OR_RETURN(source_, Database::Open(store_path, Database::Mode::kReadOnly));
    // The first read fixes the moment; SQLite starts a copy over where there is none.
    G2LL_RETURN_IF_ERROR(source_->Execute("BEGIN; SELECT count(*) FROM sqlite_schema;"));
    G2LL_ASSIGN_OR_RETURN(target_, Database::Open(path_, Database::Mode::kReadWrite));
    // Half a copy is worth nothing, so there is nothing to protect.
    G2LL_RETURN_IF_ERROR(
        target_->Execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
                         "PRAGMA cache_size = -1024;"));
    G2LL_FAILPOINT_STATUS("store.backup.begun");
    copying_ = sqlite3_backup_init(target_->connection(), "main", source_->connection(), "main");
    return copying_ != nullptr
               ? absl::OkStatus()
               : SqliteError(target_->connection(), sqlite3_errcode(target_->connection()));
  }

  absl::StatusOr<bool> Step() override {
    if (copying_ == nullptr) {
      return true;
    }
    const int code = sqlite3_backup_step(copying_, kPagesPerStep);
    if (code == SQLITE_OK) {
      return false;
    }
    const int finished = sqlite3_backup_finish(std::exchange(copying_, nullptr));
    if (code != SQLITE_DONE || finished != SQLITE_OK) {
      return SqliteError(nullptr, code != SQLITE_DONE ? code : finished);
    }
    source_.reset();
    // Without a log of its own, so that it is one file wherever it goes.
    G2LL_RETURN_IF_ERROR(target_->Execute("PRAGMA journal_mode = DELETE"));
    G2LL_RETURN_IF_ERROR(CheckTables(target_.get(), TableKind::kAll));
    target_.reset();
    G2LL_FAILPOINT_STATUS("store.backup.complete");
    return true;
  }

  const std::string& path() const override { return path_; }

 private:
  const std::string path_;
  std::atomic<bool>* const running_;
  std::unique_ptr<Database> source_;
  std::unique_ptr<Database> target_;
  sqlite3_backup* copying_ = nullptr;
};

class SqliteBackupMaker final : public BackupMaker {
 public:
  explicit SqliteBackupMaker(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  absl::StatusOr<std::unique_ptr<Backup>> Begin() override {
    if (running_.exchange(true)) {
      return absl::ResourceExhaustedError(
          "another backup is being made: try again when it is done");
    }
    // From here on the copy sets `running_` back, also where it fails.
    auto backup = std::make_unique<SqliteBackup>(
        absl::StrCat(BackupDir(data_dir_), "/.backup-", getpid()), &running_);
    G2LL_RETURN_IF_ERROR(CheckRoom(data_dir_));
    std::error_code error;
    std::filesystem::create_directory(BackupDir(data_dir_), error);
    if (error) {
      return absl::InternalError(
          absl::StrCat("cannot make ", BackupDir(data_dir_), ": ", error.message()));
    }
    G2LL_RETURN_IF_ERROR(backup->Open(StorePath(data_dir_)));
    return backup;
  }

 private:
  const std::string data_dir_;
  std::atomic<bool> running_ = false;
};

}  // namespace

std::unique_ptr<BackupMaker> MakeSqliteBackupMaker(const std::string& data_dir) {
  return std::make_unique<SqliteBackupMaker>(data_dir);
}

}  // namespace g2ll::store
