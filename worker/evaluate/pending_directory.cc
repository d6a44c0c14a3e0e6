#include "worker/evaluate/pending_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"

namespace g2ll::evaluate {
namespace {

namespace fs = std::filesystem;

absl::Status Unavailable(const char* what, const fs::path& path, const std::string& why) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", path.string(), ": ", why));
}

absl::Status SyncToDisk(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Unavailable("open", path, std::strerror(errno));
  }
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  return result == 0 ? absl::OkStatus() : Unavailable("sync", path, std::strerror(error));
}

}  // namespace

absl::StatusOr<PendingDirectory> PendingDirectory::Create(const fs::path& final) {
  std::error_code error;
  if (fs::exists(final, error)) {
    return absl::AlreadyExistsError(absl::StrCat(final.string(), " exists already"));
  }
  fs::create_directories(final.parent_path(), error);
  if (error) {
    return Unavailable("make", final.parent_path(), error.message());
  }
  std::string name =
      (final.parent_path() / absl::StrCat(".", final.filename().string(), ".tmp-XXXXXX")).string();
  if (mkdtemp(name.data()) == nullptr) {
    return Unavailable("make a folder in", final.parent_path(), std::strerror(errno));
  }
  // mkdtemp makes it private; a report is for everybody who may read the storage.
  chmod(name.c_str(), 0755);
  return PendingDirectory(name, final);
}

PendingDirectory::PendingDirectory(fs::path temporary, fs::path final)
    : temporary_(std::move(temporary)), final_(std::move(final)) {}

PendingDirectory::PendingDirectory(PendingDirectory&& other) noexcept
    : temporary_(std::exchange(other.temporary_, {})), final_(std::move(other.final_)) {}

PendingDirectory::~PendingDirectory() {
  if (!temporary_.empty()) {
    std::error_code ignored;  // nothing more can be done about it here
    fs::remove_all(temporary_, ignored);
  }
}

absl::Status PendingDirectory::Commit() {
  std::error_code error;
  for (fs::recursive_directory_iterator it(temporary_, error), end; !error && it != end;
       it.increment(error)) {
    G2LL_RETURN_IF_ERROR(SyncToDisk(it->path()));
  }
  if (error) {
    return Unavailable("list", temporary_, error.message());
  }
  G2LL_RETURN_IF_ERROR(SyncToDisk(temporary_));
  fs::rename(temporary_, final_, error);
  if (error) {
    return Unavailable("rename to", final_, error.message());
  }
  temporary_.clear();
  return SyncToDisk(final_.parent_path());
}

}  // namespace g2ll::evaluate
