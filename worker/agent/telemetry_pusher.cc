#include "worker/agent/telemetry_pusher.h"

#include <atomic>
#include <memory>

#include "worker/agent/backoff.h"

namespace g2ll::agent {

TelemetryPusher::TelemetryPusher(TelemetryOutbox& outbox, v1::WorkerService::StubInterface& stub)
    : outbox_(outbox), stub_(stub), thread_([this](std::stop_token stop) { Loop(stop); }) {}

TelemetryPusher::~TelemetryPusher() { thread_.request_stop(); }

void TelemetryPusher::Loop(std::stop_token stop) {
  Backoff backoff;
  while (!stop.stop_requested()) {
    if (RunStream(stop)) backoff.Reset();
    if (!SleepFor(backoff.Next(), stop)) return;
  }
}

bool TelemetryPusher::RunStream(std::stop_token stop) {
  grpc::ClientContext context;
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  const auto stream = stub_.PushTelemetry(&context);
  outbox_.Rewind();

  std::atomic<bool> acked = false;
  // Ended by the reader when the coordinator closes, so that the writer does not
  // wait for new items on a dead connection.
  std::stop_source broken;
  const std::stop_callback forward(stop, [&broken] { broken.request_stop(); });
  std::jthread reader([&] {
    v1::TelemetryAck ack;
    while (stream->Read(&ack)) {
      acked = true;
      outbox_.OnAck(ack);
    }
    broken.request_stop();
  });
  while (const auto batch = outbox_.TakeBatch(broken.get_token())) {
    if (!stream->Write(*batch)) break;
  }
  context.TryCancel();
  reader.join();
  // The reason does not matter here: the session, on the same channel, reports it.
  static_cast<void>(stream->Finish());
  return acked;
}

}  // namespace g2ll::agent
