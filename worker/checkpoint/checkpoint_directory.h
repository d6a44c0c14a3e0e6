#ifndef WORKER_CHECKPOINT_CHECKPOINT_DIRECTORY_H_
#define WORKER_CHECKPOINT_CHECKPOINT_DIRECTORY_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace g2ll::checkpoint {

inline constexpr std::string_view kManifestName = "manifest.json";

struct FileRecord {
  uint64_t size = 0;
  std::string sha256;  // lower-case hexadecimal
};

// What `manifest.json` says.
struct Manifest {
  int format = 1;
  std::string job;
  std::string job_uid;
  std::string kind;        // for example `PretrainJob`
  int64_t epoch = 0;       // epoch of the attempt that wrote it
  int64_t step = 0;        // optimiser updates finished
  double train_epoch = 0;  // passes over the data finished
  std::string config_digest;
  std::map<std::string, FileRecord> files;  // filled by CheckpointWriter
};

struct CheckpointSummary {
  std::filesystem::path directory;  // the finished one
  std::string manifest_sha256;
  uint64_t total_bytes = 0;  // of all files and the manifest
};

// Builds a checkpoint directory so that it exists either completely or not at
// all: the files are written under a temporary name beside the final one, synced
// to disk and renamed in one step. Not thread-safe.
class CheckpointWriter {
 public:
  // Makes `parent` as needed and in it a temporary directory `.{name}.tmp-XXXXXX`.
  // Errors: InvalidArgument (`name` is not one path component), Unavailable.
  static absl::StatusOr<CheckpointWriter> Create(const std::filesystem::path& parent,
                                                 const std::string& name);

  CheckpointWriter(CheckpointWriter&& other) noexcept;
  CheckpointWriter& operator=(CheckpointWriter&& other) noexcept;
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Removes the temporary directory unless Finish succeeded.
  ~CheckpointWriter();

  // Where the caller writes the files; regular files only, no folders.
  const std::filesystem::path& directory() const { return temporary_; }

  // Writes a small text file into directory(). Error: Unavailable.
  absl::Status WriteFile(const std::string& name, std::string_view content) const;

  // Digests all files, writes the manifest from `fields` (its `files` are replaced),
  // syncs everything and renames. May be called once.
  // Errors: AlreadyExists (the final directory is there), Unavailable,
  // FailedPrecondition (called twice, or something that is not a regular file).
  absl::StatusOr<CheckpointSummary> Finish(Manifest fields);

 private:
  CheckpointWriter(std::filesystem::path temporary, std::filesystem::path final);

  std::filesystem::path temporary_;  // empty: moved from or finished
  std::filesystem::path final_;
};

// Reads `manifest.json` and checks its form, not the files.
// Errors: NotFound (no directory or no manifest), DataLoss (damaged), Unavailable.
absl::StatusOr<Manifest> ReadManifest(const std::filesystem::path& directory);

// Reads every file and compares sizes and digests with the manifest.
// Errors: those of ReadManifest; DataLoss that names the first file that is
// missing, extra, of another size or of other content; FailedPrecondition for
// something that is not a regular file.
absl::Status VerifyCheckpoint(const std::filesystem::path& directory);

// Lower-case hexadecimal SHA-256. Errors: NotFound, Unavailable.
absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path);
std::string Sha256Of(std::string_view bytes);

}  // namespace g2ll::checkpoint

#endif  // WORKER_CHECKPOINT_CHECKPOINT_DIRECTORY_H_
