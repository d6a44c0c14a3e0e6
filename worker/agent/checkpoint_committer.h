#ifndef WORKER_AGENT_CHECKPOINT_COMMITTER_H_
#define WORKER_AGENT_CHECKPOINT_COMMITTER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "g2ll/trainer/v1/trainer.pb.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "worker/agent/lease.h"
#include "worker/agent/telemetry_outbox.h"

namespace g2ll::agent {

// Makes the checkpoints of one attempt count: waits until everything reported before
// is stored, then asks the coordinator, again and again while it is not reached.
class CheckpointCommitter {
 public:
  struct Identity {
    std::string worker;
    std::string incarnation;
    // Newest term in which the coordinator has spoken to this agent.
    const std::atomic<int64_t>& term;
  };
  using Done = std::function<void(const trainer::v1::CheckpointVerdict&)>;

  // The references outlive this object.
  CheckpointCommitter(Identity identity, AttemptKey attempt, TelemetryOutbox& outbox,
                      v1::WorkerService::StubInterface& stub, const Lease& lease);
  // Cancels what is under way; its `done` is not called.
  ~CheckpointCommitter();

  // Queues a commit. `done` gets the verdict, on this object's thread.
  void Submit(const trainer::v1::CheckpointWritten& checkpoint, Done done)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Request {
    trainer::v1::CheckpointWritten checkpoint;
    TelemetryMarks marks;  // what must be acknowledged before
    Done done;
  };

  void Loop(std::stop_token stop);
  std::optional<Request> Next(std::stop_token stop) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Commit(const Request& request, std::stop_token stop);
  absl::Status CallOnce(const v1::CommitCheckpointRequest& request, std::stop_token stop);

  const Identity identity_;
  const AttemptKey attempt_;
  TelemetryOutbox& outbox_;
  v1::WorkerService::StubInterface& stub_;
  const Lease& lease_;
  absl::Mutex mutex_;
  std::deque<Request> queue_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_CHECKPOINT_COMMITTER_H_
