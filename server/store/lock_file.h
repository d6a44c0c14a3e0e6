#ifndef SERVER_STORE_LOCK_FILE_H_
#define SERVER_STORE_LOCK_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace g2ll::store {

// An exclusive lock on a file for as long as the object lives; the system frees
// it when the process dies. The file holds the holder's process id.
class LockFile {
 public:
  // Errors: FailedPrecondition if another process holds it, naming that process;
  // PermissionDenied or Internal if the file cannot be written.
  static absl::StatusOr<std::unique_ptr<LockFile>> Acquire(const std::string& path);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

 private:
  explicit LockFile(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace g2ll::store

#endif  // SERVER_STORE_LOCK_FILE_H_
