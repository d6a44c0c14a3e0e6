#ifndef WORKER_JOB_OUTCOME_H_
#define WORKER_JOB_OUTCOME_H_

#include <functional>

#include "absl/status/status.h"
#include "g2ll/v1/job.pb.h"

namespace g2ll::job {

// Calls `run` and turns what it throws into a status with a FailureKind: a lost
// peer, memory that ran out, or a fault of LibTorch. The one place where
// third-party exceptions of a run end.
absl::Status CatchExceptions(const std::function<absl::Status()>& run);

// The trainer's exit code: 0 done, 75 preempted, 76 fenced, 77 config, 78 data,
// 79 non-finite, 80 out of memory, 81 collective, 1 anything else.
int ExitCodeOf(const absl::Status& status);

// How the service names the failure; CLASS_UNSPECIFIED for a run that ended
// because it was told to (preempted, fenced) or did not fail.
v1::Failure::Class FailureClassOf(const absl::Status& status);

}  // namespace g2ll::job

#endif  // WORKER_JOB_OUTCOME_H_
