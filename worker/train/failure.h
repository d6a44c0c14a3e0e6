#ifndef WORKER_TRAIN_FAILURE_H_
#define WORKER_TRAIN_FAILURE_H_

#include <string>

#include "absl/status/status.h"

namespace g2ll::train {

// Why a run ended early; decides the trainer's exit code and whether the job is
// tried again.
enum class FailureKind {
  kUnknown,
  kConfig,       // the job's settings
  kData,         // the data set
  kNonFinite,    // a loss or gradient that is NaN or infinite
  kOutOfMemory,  // of the device or the host
  kCollective,   // a peer was lost or a collective timed out
  kStorage,      // a checkpoint or report could not be read or written
  kPreempted,    // asked to stop
  kFenced,       // a newer attempt exists
};

// `status` with `kind` attached; an OK status and one that already carries a
// kind come back unchanged, so the innermost knowledge wins.
absl::Status WithFailure(absl::Status status, FailureKind kind);

// The kind attached to `status`, else kUnknown.
FailureKind FailureOf(const absl::Status& status);

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_FAILURE_H_
