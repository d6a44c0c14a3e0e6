#include "server/store/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/common/status_macros.h"

namespace g2ll::store {
namespace {

absl::Status FileError(const std::string& path, const char* action) {
  const int error = errno;
  const std::string message = absl::StrCat(
      "cannot ", action, " ", path, ": ", std::strerror(error), "; ",
      error == ENOSPC || error == EDQUOT ? "make room on the disk, or name another data directory"
                                         : "name a data directory that this user can write");
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

// The lines of the file; none if it cannot be read.
std::vector<std::string> ReadLines(int descriptor) {
  char text[64] = {};
  const ssize_t size = pread(descriptor, text, sizeof(text) - 1, 0);
  return absl::StrSplit(size > 0 ? text : "", '\n', absl::SkipWhitespace());
}

}  // namespace

absl::StatusOr<std::unique_ptr<LockFile>> LockFile::Acquire(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return FileError(path, "open");
  }
  std::unique_ptr<LockFile> lock(new LockFile(path, descriptor));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return FileError(path, "lock");
    }
    const std::vector<std::string> lines = ReadLines(descriptor);
    return absl::FailedPreconditionError(absl::StrCat(
        path, " is held by another coordinator (pid ", lines.empty() ? "unknown" : lines.front(),
        "): stop it first, or choose another data directory"));
  }
  const std::vector<std::string> lines = ReadLines(descriptor);
  int64_t noted = 0;
  if (lines.size() > 1 && !absl::SimpleAtoi(lines[1], &noted)) {
    noted = 0;
  }
  G2LL_RETURN_IF_ERROR(lock->Note(noted));
  return lock;
}

absl::Status LockFile::Note(int64_t number) {
  // One write, and longer numbers only replace shorter ones: readers see whole lines.
  const std::string text = absl::StrCat(getpid(), "\n", number, "\n");
  if (pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      (noted_ == 0 && ftruncate(descriptor_, static_cast<off_t>(text.size())) != 0)) {
    return FileError(path_, "write");
  }
  noted_ = number;
  return absl::OkStatus();
}

LockFile::~LockFile() { close(descriptor_); }

}  // namespace g2ll::store
