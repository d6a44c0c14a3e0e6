#ifndef SERVER_STORE_BACKUP_H_
#define SERVER_STORE_BACKUP_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace g2ll::store {

// A copy of a store as it was at one moment, made in parts while the store goes on
// being written. Goes with the object. Used by one thread at a time.
class Backup {
 public:
  virtual ~Backup() = default;

  // Does the next part of the work; true once the copy is complete and was read
  // through. A part takes milliseconds, the last one a second for 100 MB.
  // Errors: ResourceExhausted (the disk is full), DataLoss (the store is damaged),
  // Internal. Nothing is left behind.
  virtual absl::StatusOr<bool> Step() = 0;

  // One file, complete once Step has returned true.
  virtual const std::string& path() const = 0;
};

// Begins copies. Thread safe.
class BackupMaker {
 public:
  virtual ~BackupMaker() = default;

  // The copy will hold what is committed now. Errors: ResourceExhausted (no room for
  // a copy, which would leave none for the store itself; or another copy is being
  // made), Internal.
  virtual absl::StatusOr<std::unique_ptr<Backup>> Begin() = 0;
};

}  // namespace g2ll::store

#endif  // SERVER_STORE_BACKUP_H_
