#ifndef CLIENT_LOCAL_LOCAL_CLUSTER_H_
#define CLIENT_LOCAL_LOCAL_CLUSTER_H_

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/local/process.h"

// A coordinator and workers on this machine as background processes, for
// `g2ll local`. Everything about them lies in one folder D:
//   local.json   what runs, with addresses        local.lock  one change at a time
//   data/        the coordinator's store          storage/    the storage root
//   logs/        a file per program               worker-N/   work folders
// Nothing restarts by itself.
namespace g2ll::local {

// What `up` is asked for.
struct UpOptions {
  std::string dir;          // absolute
  std::string program_dir;  // where g2ll-coordinator and g2ll-worker are
  int num_workers = 2;      // at least 1
  int slots = 1;            // ranks per worker, at least 1
  std::string listen;       // host:port; empty: that of the last `up`, else 127.0.0.1:0
  std::stop_token stop;     // asks a call that waits to give up
};

// One worker's process.
struct WorkerProcess {
  std::string name;
  std::string http_address;
  ProcessId process;
};

// What is known about a folder's programs. A process that has died has pid 0.
struct ClusterState {
  std::string dir;
  std::string address;  // the coordinator's gRPC address; empty: never started
  std::string http_address;
  ProcessId coordinator;
  std::vector<WorkerProcess> workers;
};

// Names of the workers that the coordinator at `address` holds ready, or why it
// cannot tell. Lets this folder stay free of gRPC.
using ListReadyWorkers =
    std::function<absl::StatusOr<std::vector<std::string>>(const std::string& address)>;

// `${XDG_STATE_HOME:-~/.local/state}/g2ll/local`.
std::string DefaultDir();

// Starts what does not run and returns when all workers are ready. What was started
// by a call that fails is stopped again. Errors: AlreadyExists (another call works
// on the folder), Unavailable (a program ended or did not get ready; with the last
// lines of its log), InvalidArgument, NotFound (a program is missing), Cancelled.
absl::StatusOr<ClusterState> Up(const UpOptions& options, const ListReadyWorkers& list_ready);

// Stops everything and returns when nothing runs. Data, logs and addresses stay.
// Without anything to stop it does nothing. Errors: AlreadyExists, as above.
absl::Status Down(const std::string& dir);

// Reads what is known; never changes anything. A folder without a cluster gives
// an empty state. Errors: DataLoss (local.json cannot be understood).
absl::StatusOr<ClusterState> Status(const std::string& dir);

}  // namespace g2ll::local

#endif  // CLIENT_LOCAL_LOCAL_CLUSTER_H_
