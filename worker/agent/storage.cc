#include "worker/agent/storage.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "proto/common/log.h"

namespace g2ll::agent {
namespace {

namespace fs = std::filesystem;

constexpr char kTokenFile[] = ".g2ll-storage-token";
constexpr size_t kMaxTokenBytes = 256;

std::string Mebibytes(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

bool IsBelow(const fs::path& path, const fs::path& root) {
  const auto [in_root, in_path] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  // A root written with a slash at its end has an empty last part.
  return in_root == root.end() || (std::next(in_root) == root.end() && in_root->empty());
}

}  // namespace

absl::StatusOr<std::string> ReadStorageToken(const std::string& storage_root) {
  const std::string path = storage_root + "/" + kTokenFile;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const std::string reason = std::strerror(errno);
    return absl::NotFoundError("cannot read " + path + " (" + reason +
                               "): is --storage-root the coordinator's folder?");
  }
  std::string token(kMaxTokenBytes, '\0');
  file.read(token.data(), static_cast<std::streamsize>(token.size()));
  token.resize(static_cast<size_t>(file.gcount()));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.empty()) return absl::NotFoundError(path + " is empty");
  return token;
}

absl::Status CheckStorageWritable(const std::string& storage_root, int64_t min_free_bytes) {
  struct statvfs info {};
  if (::statvfs(storage_root.c_str(), &info) != 0) {
    return absl::NotFoundError("storage root " + storage_root + ": " + std::strerror(errno));
  }
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  if (free_bytes < static_cast<uint64_t>(min_free_bytes)) {
    return absl::ResourceExhaustedError(
        "storage root " + storage_root + " has " + Mebibytes(free_bytes) + " free, a start needs " +
        Mebibytes(static_cast<uint64_t>(min_free_bytes)) + ": remove files or use another volume");
  }
  if (::access(storage_root.c_str(), W_OK) != 0) {
    return absl::PermissionDeniedError("storage root " + storage_root +
                                       " cannot be written to: " + std::strerror(errno));
  }
  return absl::OkStatus();
}

absl::Status CheckDataSource(const std::string& source,
                             const std::vector<std::string>& data_roots) {
  if (source.starts_with("synthetic:")) return absl::OkStatus();
  const std::string shown = log::EscapeControl(source);
  if (!source.starts_with('/') || source.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("data source " + shown + " is no absolute path");
  }
  std::error_code error;
  const fs::path path = fs::canonical(source, error);
  if (error == std::errc::no_such_file_or_directory) {
    return absl::NotFoundError("data folder " + shown + " does not exist");
  }
  if (error) return absl::NotFoundError("data folder " + shown + ": " + error.message());
  for (const std::string& root : data_roots) {
    const fs::path canonical_root = fs::canonical(root, error);
    if (!error && IsBelow(path, canonical_root)) return absl::OkStatus();
  }
  return absl::PermissionDeniedError("data folder " + shown +
                                     " is not below a --data-root of this worker");
}

}  // namespace g2ll::agent
