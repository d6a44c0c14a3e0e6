#ifndef SERVER_STORE_LOCK_FILE_H_
#define SERVER_STORE_LOCK_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace g2ll::store {

// An exclusive lock on a file for as long as the object lives; the system frees
// it when the process dies. The file's first line is the holder's process id, its
// second the number of the last change that the holder has acknowledged.
class LockFile {
 public:
  // Errors: FailedPrecondition if another process holds it, naming that process;
  // PermissionDenied, ResourceExhausted or Internal if the file cannot be written.
  static absl::StatusOr<std::unique_ptr<LockFile>> Acquire(const std::string& path);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

  // Number that was noted last, by this holder or one before it; 0 if none was.
  int64_t noted() const { return noted_; }

  // Notes the number of a change that is durable. A crash of the process keeps the
  // note; a loss of power may bring an older one back, never a newer one.
  absl::Status Note(int64_t number);

 private:
  LockFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  const std::string path_;
  const int descriptor_;
  int64_t noted_ = 0;
};

}  // namespace g2ll::store

#endif  // SERVER_STORE_LOCK_FILE_H_
