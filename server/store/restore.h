#ifndef SERVER_STORE_RESTORE_H_
#define SERVER_STORE_RESTORE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace g2ll::store {

struct RestoreResult {
  // Where the store went that was there before; empty if there was none.
  std::string put_away;
  int64_t num_jobs = 0;
  // Of them, jobs that ran when the backup was made; they wait again.
  int64_t num_stopped = 0;
  int64_t term = 0;
};

// Puts a backup in the place of a data directory's store. No coordinator may use the
// directory. The backup is copied, read through and brought to the newest schema
// before anything is changed; at any moment the directory holds the old store or the
// new one.
//
// Nothing that ran after the backup was made can commit afterwards: the term and the
// epoch of every job and attempt grow beyond all that were ever given, attempts that
// were live are ended as lost, and their jobs wait again with all their budgets.
// Numbers of changes grow too, so that watchers read everything anew.
//
// Errors, each one line: FailedPrecondition (a coordinator holds the directory; the
// file is of a newer or another program), InvalidArgument (`file` is no file),
// DataLoss (`file` is damaged), ResourceExhausted, PermissionDenied, Internal.
absl::StatusOr<RestoreResult> RestoreStore(const std::string& file, const std::string& data_dir,
                                           absl::Time now);

}  // namespace g2ll::store

#endif  // SERVER_STORE_RESTORE_H_
