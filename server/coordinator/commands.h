#ifndef SERVER_COORDINATOR_COMMANDS_H_
#define SERVER_COORDINATOR_COMMANDS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/cluster/explanation.h"
#include "server/cluster/records.h"
#include "server/cluster/worker_records.h"

// What the core is asked for and what it answers with.
namespace g2ll::coordinator {

// What CreateJob is asked for. `job` holds what the request and its spec say;
// uid, dependencies, state and times are filled in by the core.
struct CreateJobCommand {
  cluster::JobRecord job;
  // Short names from `dependsOn`, in order.
  std::vector<std::string> depends_on;
  std::string request_id;
  // Digest of everything that was asked for.
  std::string fingerprint;
  bool validate_only = false;
};

// What a user asks of one job.
struct JobRequest {
  // Full name.
  std::string name;
  // For the event; may be empty.
  std::string reason = {};
  // Only if the job still has this etag; empty is always.
  std::string etag = {};
};

// Applies a change of settings to a copy of a job; an error leaves the job as it was.
using JobChange = std::function<absl::Status(cluster::JobRecord& job)>;

// How and why a job is asked to stop.
struct StopRequest {
  // kCancelAsked, kPauseAsked or kPreemptAsked; the last two stop at a checkpoint.
  cluster::JobEvent event = cluster::JobEvent::kPreemptAsked;
  cluster::StateReason reason;
  // As in EventRecord.
  std::string actor;
  // Uid of the job that the places are for; empty: for none.
  std::string stopped_for = {};
  // Processes are killed at once.
  bool kill = false;
};

// Who wants to write on behalf of an attempt.
struct Writer {
  std::string worker;
  std::string incarnation;
  std::string job_uid;
  int64_t epoch = 0;
  // Newest term in which the coordinator has spoken to it; 0 if unknown.
  int64_t coordinator_term = 0;
};

// What a worker asks before a checkpoint is written.
struct BeginCheckpointCommand {
  Writer writer;
  int64_t step = 0;
  // 0 if unknown.
  int64_t size_bytes = 0;
};

// Where a checkpoint goes.
struct CheckpointPlan {
  // Relative to the storage root.
  std::string parent;
  // What it will about take; 0 if nobody knows.
  int64_t size_bytes = 0;
};

// What a worker asks to be made a checkpoint. The directory has been verified.
struct CommitCheckpointCommand {
  std::string worker;
  std::string incarnation;
  // As in Writer.
  int64_t coordinator_term = 0;
  cluster::CheckpointRecord checkpoint;
};

// A queue with what is in it.
struct QueueState {
  cluster::QueueRecord queue;
  int64_t waiting = 0;
  int64_t running = 0;
};

// A project with what it uses; `recent_usage` has faded up to now.
struct ProjectState {
  cluster::ProjectRecord project;
  int64_t waiting = 0;
  int64_t running = 0;
  int64_t used_slots = 0;
};

// Some of the waiting jobs in scheduling order, and how many there are in all.
struct WaitingPage {
  std::vector<cluster::JobExplanation> jobs;
  int64_t total = 0;
};

// The coordinator's end of a worker's stream. Called on the coordinator's thread;
// MUST return at once.
class WorkerSession {
 public:
  virtual ~WorkerSession() = default;
  // The newest desired state replaces one that is not sent yet.
  virtual void Push(const cluster::DesiredWorker& desired, const cluster::PushStamp& stamp) = 0;
  // Ends the stream.
  virtual void Close(absl::Status status) = 0;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_COMMANDS_H_
