#ifndef CLIENT_CLI_EXIT_CODE_H_
#define CLIENT_CLI_EXIT_CODE_H_

#include "absl/status/status.h"
#include "g2ll/v1/job.pb.h"

namespace g2ll::cli {

// Exit codes of `g2ll`, which scripts rely on.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,       // the job failed or the check is false
  kBadInput = 2,     // wrong usage or invalid input
  kCancelled = 3,    // the job was cancelled
  kUnreachable = 4,  // the server was not reached
  kNotFound = 5,
  kRefused = 6,   // permission, quota, state, name taken, part not installed
  kTimedOut = 7,  // time ran out
  kInterrupted = 130,
};

// Exit code of an error. A CANCELLED error is a Ctrl-C.
int ExitCodeOf(const absl::Status& status);

// Exit code of a job that has ended: 0, 1 or 3; 1 for any other state.
int ExitCodeOf(v1::Job::State state);

// SUCCEEDED, FAILED or CANCELLED.
bool HasEnded(v1::Job::State state);

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_EXIT_CODE_H_
