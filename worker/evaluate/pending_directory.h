#ifndef WORKER_EVALUATE_PENDING_DIRECTORY_H_
#define WORKER_EVALUATE_PENDING_DIRECTORY_H_

#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace g2ll::evaluate {

// A directory tree that appears under its final name complete or not at all:
// written beside it under a temporary name, synced to disk, renamed.
class PendingDirectory {
 public:
  // Makes the parents of `final` and a fresh temporary directory beside it.
  // Errors: AlreadyExists (`final` is there), Unavailable (names the folder).
  static absl::StatusOr<PendingDirectory> Create(const std::filesystem::path& final);

  PendingDirectory(PendingDirectory&& other) noexcept;
  PendingDirectory& operator=(PendingDirectory&&) = delete;
  // Removes the temporary directory unless Commit succeeded.
  ~PendingDirectory();

  // Where the caller writes.
  const std::filesystem::path& path() const { return temporary_; }

  // Syncs every file and folder, renames. May be called once. Error: Unavailable.
  absl::Status Commit();

 private:
  PendingDirectory(std::filesystem::path temporary, std::filesystem::path final);

  std::filesystem::path temporary_;  // empty: committed or moved from
  std::filesystem::path final_;
};

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_PENDING_DIRECTORY_H_
