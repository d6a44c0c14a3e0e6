#ifndef CLIENT_LOCAL_PROCESS_H_
#define CLIENT_LOCAL_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace g2ll::local {

// A process that cannot be mistaken for a later one with the same pid.
struct ProcessId {
  pid_t pid = 0;             // 0: none
  uint64_t start_ticks = 0;  // since boot, from /proc
};

// True while that very process runs. A zombie does not run.
bool IsRunning(const ProcessId& process);

// Starts `argv` in a session of its own, with nothing of the caller open: standard
// input is empty, output goes to the end of `log_path`. Errors: NotFound or
// PermissionDenied (the program cannot be started; names it), Unavailable (the log
// cannot be opened).
absl::StatusOr<ProcessId> SpawnDetached(const std::vector<std::string>& argv,
                                        const std::string& log_path);

// Asks each process to end with SIGTERM, waits up to `grace` for all, then kills
// what is left with its process group. Returns when none of them runs.
void StopAll(const std::vector<ProcessId>& processes, absl::Duration grace);

// Last `num_lines` lines of a file, for error messages; empty if it has none.
std::string LastLines(const std::string& path, int num_lines);

}  // namespace g2ll::local

#endif  // CLIENT_LOCAL_PROCESS_H_
