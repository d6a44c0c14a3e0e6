#include "server/store/data_dir.h"

#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"

namespace g2ll::store {
namespace {

namespace fs = std::filesystem;

constexpr char kStoreFile[] = "g2ll.db";
constexpr char kLockFile[] = "coordinator.lock";
// Also what a restore that was interrupted has put away.
constexpr char kPutAway[] = "g2ll.db.before-restore-";

bool Exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// A name of a file that is not ours: hidden ones are left to the system and the user.
bool IsForeign(const fs::directory_entry& entry) {
  std::error_code ignored;
  const std::string name = entry.path().filename().string();
  return entry.symlink_status(ignored).type() == fs::file_type::regular && !name.starts_with('.') &&
         !name.starts_with(kStoreFile) && name != kLockFile;
}

// First file of something else; nothing if the directory is free or holds a store.
std::optional<std::string> ForeignFile(const std::string& data_dir) {
  if (Exists(StorePath(data_dir)) || Exists(LockPath(data_dir))) {
    return std::nullopt;
  }
  std::error_code error;
  for (fs::directory_iterator entry(data_dir, error), end; !error && entry != end;
       entry.increment(error)) {
    if (IsForeign(*entry)) {
      return entry->path().filename().string();
    }
  }
  return std::nullopt;
}

std::optional<fs::path> NewestFile(const std::string& folder, std::string_view prefix) {
  std::optional<fs::path> newest;
  fs::file_time_type newest_time;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    const std::string name = entry->path().filename().string();
    const bool is_copy = entry->is_regular_file(ignored) && name.starts_with(prefix) &&
                         !name.starts_with('.') && !absl::EndsWith(name, "-wal") &&
                         !absl::EndsWith(name, "-shm");
    const fs::file_time_type time = is_copy ? entry->last_write_time(ignored) : newest_time;
    if (is_copy && (!newest.has_value() || time > newest_time)) {
      newest = entry->path();
      newest_time = time;
    }
  }
  return newest;
}

}  // namespace

std::string StorePath(const std::string& data_dir) { return data_dir + "/" + kStoreFile; }
std::string LockPath(const std::string& data_dir) { return data_dir + "/" + kLockFile; }
std::string BackupDir(const std::string& data_dir) { return data_dir + "/backups"; }

std::string_view NetworkFileSystemName(uint64_t type) {
  switch (type & 0xffffffff) {  // The kernel's numbers have 32 bits; some are sign-extended.
    case 0x6969:
      return "NFS";
    case 0x517b:
      return "SMB";
    case 0xff534d42:
    case 0xfe534d42:
      return "CIFS";
    case 0x00c36400:
      return "CephFS";
    case 0x0bd00bd0:
      return "Lustre";
    case 0x19830326:
      return "BeeGFS";
    case 0x47504653:
      return "GPFS";
    case 0x5346414f:
    case 0x6b414653:
      return "AFS";
    default:
      return "";
  }
}

absl::Status PrepareDataDirectory(const std::string& data_dir) {
  std::error_code error;
  fs::create_directories(data_dir, error);
  std::error_code ignored;
  if (!fs::is_directory(data_dir, ignored)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data directory ", data_dir,
                     " cannot be used: ", error ? error.message() : "Not a directory",
                     "; name a directory that can be made and written"));
  }
  if (const std::optional<std::string> foreign = ForeignFile(data_dir); foreign.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the data directory ", data_dir, " holds the file ", *foreign,
        " and no store, so it belongs to something else: name an empty or new directory"));
  }
  struct statfs info = {};
  if (statfs(data_dir.c_str(), &info) == 0) {
    const std::string_view network = NetworkFileSystemName(static_cast<uint64_t>(info.f_type));
    if (!network.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the data directory ", data_dir, " lies on ", std::string(network),
          ", where a store is not safe: name a directory on a local disk or a block volume"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckStoreFiles(const std::string& data_dir) {
  const std::string path = StorePath(data_dir);
  const bool has_rest = Exists(path + "-wal") || NewestFile(data_dir, kPutAway).has_value();
  if (!Exists(path) && has_rest) {
    return absl::DataLossError(absl::StrCat(
        path, " is missing, but files that belong to it are there: ", RepairAdvice(data_dir)));
  }
  return absl::OkStatus();
}

void RemoveLeftovers(const std::string& data_dir) {
  std::error_code error;
  for (fs::directory_iterator entry(BackupDir(data_dir), error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with(".backup-")) {
      std::error_code ignored;
      fs::remove(entry->path(), ignored);
    }
  }
  for (const char* ending : {".restoring", ".restoring-wal", ".restoring-shm"}) {
    fs::remove(StorePath(data_dir) + ending, error);
  }
}

std::string RepairAdvice(const std::string& data_dir) {
  std::optional<fs::path> newest = NewestFile(BackupDir(data_dir), "");
  if (!newest.has_value()) {
    newest = NewestFile(data_dir, kPutAway);
  }
  return absl::StrCat("restore a backup with `g2ll admin restore --from ",
                      newest.has_value() ? newest->string() : "FILE", " --data-dir ", data_dir,
                      newest.has_value() ? "` (the newest copy here)" : "`",
                      ", or move the directory away to start empty");
}

absl::Status SyncDirectory(const std::string& path) {
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && fsync(directory) == 0;
  const int error = errno;
  if (directory >= 0) {
    close(directory);
  }
  return synced
             ? absl::OkStatus()
             : absl::InternalError(absl::StrCat("cannot sync ", path, ": ", std::strerror(error)));
}

}  // namespace g2ll::store
