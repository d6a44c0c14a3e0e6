#ifndef SERVER_STORAGE_STORAGE_ROOT_H_
#define SERVER_STORAGE_STORAGE_ROOT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace g2ll::storage {

// One file of a checkpoint as its manifest says.
struct ManifestFile {
  std::string name;
  int64_t size = 0;
  // SHA-256 in hexadecimal.
  std::string sha256;
};

// What a checkpoint's manifest.json says.
struct Manifest {
  std::string job_uid;
  int64_t epoch = 0;
  int64_t step = 0;
  std::vector<ManifestFile> files;
};

// The folder that coordinator and workers share. All functions read the disk, so
// they are for pool threads. Thread safe.
class StorageRoot {
 public:
  // Makes the folder and its token file where they are missing. The token is kept
  // between starts, so that running workers need not prove themselves again.
  // Errors name the folder and the cause.
  static absl::StatusOr<StorageRoot> Open(const std::string& path);

  // What a worker must find in the token file.
  const std::string& token() const { return token_; }

  // Absolute path of `relative`. Error: InvalidArgument if it is absolute, has
  // an empty, `.` or `..` part, or leaves the root through a link.
  absl::StatusOr<std::string> Resolve(std::string_view relative) const;

  // Reads and parses manifest.json of a checkpoint directory and compares its
  // SHA-256 and the sizes of the files with it. Errors: InvalidArgument (path),
  // DataLoss (anything missing or different; names it).
  absl::StatusOr<Manifest> ReadManifest(std::string_view directory,
                                        std::string_view manifest_sha256) const;

  // ReadManifest, and then reads every file and compares its SHA-256. May take as long as
  // reading all of it. Errors: those of ReadManifest.
  absl::Status VerifyCheckpoint(std::string_view directory, std::string_view manifest_sha256) const;

  // Removes a directory with everything in it; none is fine. Links in it go, never what
  // they lead to. Errors: InvalidArgument (path), Internal (names the cause).
  absl::Status RemoveTree(std::string_view directory) const;

  // Regular files below a directory, relative to it, sorted. Links are left out.
  // Errors: InvalidArgument (path), NotFound.
  absl::StatusOr<std::vector<std::string>> ListFiles(std::string_view directory) const;

  // Bytes that may still be written below the root. Error: Unavailable (names the cause).
  absl::StatusOr<int64_t> FreeBytes() const;

 private:
  StorageRoot(std::string path, std::string token);

  // Canonical, without links.
  std::string path_;
  std::string token_;
};

// `path` (relative) lies below `folder` and names something in it, by its text alone.
bool IsInside(std::string_view path, std::string_view folder);

}  // namespace g2ll::storage

#endif  // SERVER_STORAGE_STORAGE_ROOT_H_
