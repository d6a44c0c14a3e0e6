#ifndef WORKER_AGENT_PROCESS_SPAWNER_H_
#define WORKER_AGENT_PROCESS_SPAWNER_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/run/unique_fd.h"

namespace g2ll::agent {

// What to start.
struct SpawnRequest {
  // Program and arguments; the program is a path.
  std::vector<std::string> argv;
  // Variables set on top of the agent's own environment.
  std::vector<std::pair<std::string, std::string>> environment;
  // What the child gets as descriptor kChannelFd; none if invalid. The agent's copy
  // is closed once the child runs.
  run::UniqueFd channel;
  // Standard output and error go to pipes that the ChildProcess holds. Not piped:
  // output goes to /dev/null, error to the agent's own standard error.
  bool pipe_output = false;
  bool pipe_error = false;
  // Error goes where output goes.
  bool join_error_to_output = false;
};

// Descriptor under which a child finds its channel.
inline constexpr int kChannelFd = 3;

// How a process ended.
struct ExitStatus {
  int exit_code = 0;  // if `signal` is 0
  int signal = 0;     // signal that ended it, or 0
};

// A running or ended child, the leader of its own session and process group.
// Thread safe.
class ChildProcess {
 public:
  // Takes a child that was just started; the spawner does so.
  ChildProcess(pid_t pid, run::UniqueFd pidfd, run::UniqueFd output, run::UniqueFd error);
  // Kills the whole group if it still runs, and reaps the leader.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Becomes readable when the leader has ended; for poll.
  int pidfd() const { return pidfd_.get(); }
  // Read ends of the pipes; invalid where none was asked for.
  const run::UniqueFd& output() const { return output_; }
  const run::UniqueFd& error() const { return error_; }

  // Sends a signal to every process of the group; nothing after the leader was reaped.
  void SignalGroup(int signal) ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until the leader has ended or the time is over, then kills what is left of
  // its group and reaps it. Nothing: it still runs.
  std::optional<ExitStatus> Wait(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the group: SIGTERM, after `grace` SIGKILL. Returns how the leader ended.
  ExitStatus Terminate(absl::Duration grace);

 private:
  ExitStatus Reap() ABSL_LOCKS_EXCLUDED(mutex_);

  const pid_t pid_;
  const run::UniqueFd pidfd_;
  const run::UniqueFd output_;
  const run::UniqueFd error_;
  absl::Mutex mutex_;
  std::optional<ExitStatus> exit_status_ ABSL_GUARDED_BY(mutex_);
};

// Starts child processes that end with the agent.
//
// The kernel sends a parent-death signal when the *thread* that forked ends, so all
// children are forked by one thread that lives as long as this object; destroying it
// kills every child that still runs. A child gets no descriptor but the named ones.
// Thread safe.
class ProcessSpawner {
 public:
  ProcessSpawner();
  ~ProcessSpawner();
  ProcessSpawner(const ProcessSpawner&) = delete;
  ProcessSpawner& operator=(const ProcessSpawner&) = delete;

  // Starts a child. Errors: NotFound or PermissionDenied (the program cannot be
  // executed; names it), ResourceExhausted (no process or descriptor left).
  absl::StatusOr<std::unique_ptr<ChildProcess>> Spawn(SpawnRequest request);

 private:
  void Loop();

  absl::Mutex mutex_;
  std::vector<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_PROCESS_SPAWNER_H_
