#include "server/storage/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/status_macros.h"

namespace g2ll::storage {
namespace {

absl::Status FileError(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", std::strerror(errno)));
}

absl::Status WriteAll(int file, const std::string& path, std::string_view text) {
  const size_t size = G2LL_FAILPOINT_CUT("storage.file.created", text.size());
  if (write(file, text.data(), size) != static_cast<ssize_t>(size)) {
    return FileError(path);
  }
  if (size < text.size()) {
    failpoint::Crash();
  }
  G2LL_FAILPOINT("storage.file.written");
  return fsync(file) == 0 ? absl::OkStatus() : FileError(path);
}

// Makes a rename in the directory durable.
absl::Status SyncDirectoryOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const std::string directory = parent.empty() ? "." : parent;
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && fsync(descriptor) == 0;
  const absl::Status status = synced ? absl::OkStatus() : FileError(directory);
  if (descriptor >= 0) {
    close(descriptor);
  }
  return status;
}

}  // namespace

absl::Status WriteWholeFile(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) {
    return FileError(path);
  }
  absl::Status status = WriteAll(file, path, text);
  close(file);
  G2LL_FAILPOINT("storage.file.synced");
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = FileError(path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  G2LL_FAILPOINT("storage.file.renamed");
  return SyncDirectoryOf(path);
}

}  // namespace g2ll::storage
