#ifndef WORKER_AGENT_TELEMETRY_PUSHER_H_
#define WORKER_AGENT_TELEMETRY_PUSHER_H_

#include <stop_token>
#include <thread>

#include "g2ll/v1/worker.grpc.pb.h"
#include "worker/agent/telemetry_outbox.h"

namespace g2ll::agent {

// Sends what is in the outbox over PushTelemetry for as long as it lives; a broken
// stream is opened again, and what was not acknowledged goes out again.
class TelemetryPusher {
 public:
  // Both outlive this object.
  TelemetryPusher(TelemetryOutbox& outbox, v1::WorkerService::StubInterface& stub);
  // Ends at once; WaitAcked before, where it matters.
  ~TelemetryPusher();

 private:
  void Loop(std::stop_token stop);
  // One connection, until it breaks. True if anything was acknowledged on it.
  bool RunStream(std::stop_token stop);

  TelemetryOutbox& outbox_;
  v1::WorkerService::StubInterface& stub_;
  std::jthread thread_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_TELEMETRY_PUSHER_H_
