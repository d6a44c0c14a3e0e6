#ifndef WORKER_AGENT_SESSION_CLIENT_H_
#define WORKER_AGENT_SESSION_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "proto/common/steady_time.h"
#include "worker/agent/lease.h"

namespace g2ll::agent {

// The agent behind a session. Called from the session's threads.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  // The worker's full state now, with a number above all earlier ones.
  virtual v1::SessionRequest State() = 0;
  // What the coordinator wants; the same may come again.
  virtual void OnDesired(const v1::DesiredState& desired) = 0;
  // Called at least every few seconds, connected or not.
  virtual void OnTick() = 0;
  // The coordinator refuses this worker for good; no call follows.
  virtual void OnRejected(const absl::Status& status) = 0;
};

// Keeps one Session stream open for as long as it lives: sends the state at every
// change, several changes in one message, and at every heartbeat; opens a new stream
// after a loss, with growing pauses. Losing the stream ends nothing.
class SessionClient {
 public:
  // All references outlive this object. `address` is for messages.
  SessionClient(std::string address, v1::WorkerService::StubInterface& stub, Lease& lease,
                SessionHandler& handler);
  // Sends one last state if the stream is open, then closes it.
  ~SessionClient();

  // The state has changed: send it soon.
  void NotifyChange() ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until a state made after this call is sent, or the time is over.
  bool FlushState(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // The stream is open and the coordinator has answered on it.
  bool connected() const { return connected_; }

 private:
  using Stream = grpc::ClientReaderWriterInterface<v1::SessionRequest, v1::DesiredState>;

  void Loop(std::stop_token stop);
  // One stream, until it breaks or `stop`. Returns why it ended.
  absl::Status RunStream(std::stop_token stop);
  void WriteStates(Stream& stream, std::stop_token stop) ABSL_LOCKS_EXCLUDED(mutex_);
  void ReadDesired(Stream& stream);
  void LogLoss(const absl::Status& status);

  const std::string address_;
  v1::WorkerService::StubInterface& stub_;
  Lease& lease_;
  SessionHandler& handler_;
  std::atomic<bool> connected_ = false;
  bool loss_logged_ = false;  // by Loop, until the next connection

  absl::Mutex mutex_;
  steady::Condition changed_;                         // of what mutex_ guards
  int64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;       // calls of NotifyChange
  int64_t sent_changes_ ABSL_GUARDED_BY(mutex_) = 0;  // of them in a state that was sent
  absl::Duration heartbeat_ ABSL_GUARDED_BY(mutex_);
  Lease::Clock::time_point last_answer_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_SESSION_CLIENT_H_
