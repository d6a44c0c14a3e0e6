#include "worker/agent/session_client.h"

#include <utility>

#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "worker/agent/backoff.h"
#include "worker/agent/proto_time.h"

namespace g2ll::agent {
namespace {

constexpr absl::Duration kDefaultHeartbeat = absl::Seconds(2);
constexpr absl::Duration kDefaultLease = absl::Seconds(15);
// Changes within this time travel in one message.
constexpr absl::Duration kCoalesce = absl::Milliseconds(20);
// A stream on which nothing came for so many heartbeats is taken for dead.
constexpr int kSilentHeartbeats = 8;
// How long the coordinator may take to close after the last state.
constexpr absl::Duration kCloseTimeout = absl::Seconds(1);

// Refusals that another try would not change.
bool IsFinal(const absl::Status& status) {
  return net::ReasonOf(status) == "SUPERSEDED" || net::ReasonOf(status) == "INVALID_WORKER" ||
         absl::IsInvalidArgument(status);
}

}  // namespace

SessionClient::SessionClient(std::string address, v1::WorkerService::StubInterface& stub,
                             Lease& lease, SessionHandler& handler)
    : address_(std::move(address)),
      stub_(stub),
      lease_(lease),
      handler_(handler),
      heartbeat_(kDefaultHeartbeat),
      thread_([this](std::stop_token stop) { Loop(stop); }) {}

SessionClient::~SessionClient() { thread_.request_stop(); }

void SessionClient::NotifyChange() {
  absl::MutexLock lock(&mutex_);
  ++changes_;
  changed_.NotifyAll();
}

bool SessionClient::FlushState(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const int64_t wanted = ++changes_;
  changed_.NotifyAll();
  return changed_.AwaitFor(mutex_, timeout, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return sent_changes_ >= wanted;
  });
}

void SessionClient::Loop(std::stop_token stop) {
  Backoff backoff;
  while (!stop.stop_requested()) {
    const absl::Status status = RunStream(stop);
    if (stop.stop_requested()) return;
    if (IsFinal(status)) return handler_.OnRejected(status);
    if (connected_.exchange(false)) backoff.Reset();
    LogLoss(status);
    handler_.OnTick();
    SleepFor(backoff.Next(), stop);
  }
}

void SessionClient::LogLoss(const absl::Status& status) {
  if (std::exchange(loss_logged_, true)) return;
  const std::string reason =
      status.ok() ? "the coordinator closed the session" : std::string(status.message());
  log::Warning("cannot reach the coordinator at " + address_ + ": " + reason + "; retrying");
}

absl::Status SessionClient::RunStream(std::stop_token stop) {
  grpc::ClientContext context;
  const auto stream = stub_.Session(&context);
  {
    absl::MutexLock lock(&mutex_);
    last_answer_ = Lease::Clock::now();
  }
  // Ends the writer when the reader has seen the end of the stream.
  std::stop_source ended;
  const std::stop_callback forward(stop, [&ended] { ended.request_stop(); });
  std::atomic<bool> reader_done = false;
  std::jthread reader([&] {
    ReadDesired(*stream);
    reader_done = true;
    ended.request_stop();
  });
  WriteStates(*stream, ended.get_token());
  if (stop.stop_requested()) {
    // The coordinator closes its side too, unless it is gone.
    stream->WritesDone();
    std::jthread limit([&context](std::stop_token closed) {
      if (SleepFor(kCloseTimeout, closed)) context.TryCancel();
    });
    reader.join();
  } else {
    // Not after the end: the coordinator's last word is the status.
    if (!reader_done) context.TryCancel();
    reader.join();
  }
  return net::FromGrpcStatus(stream->Finish());
}

void SessionClient::WriteStates(Stream& stream, std::stop_token stop) {
  while (!stop.stop_requested()) {
    int64_t included = 0;
    {
      absl::MutexLock lock(&mutex_);
      included = changes_;
    }
    handler_.OnTick();
    const v1::SessionRequest state = handler_.State();
    lease_.OnSent(state.sequence(), Lease::Clock::now());
    if (!stream.Write(state)) return;

    SleepFor(kCoalesce, stop);
    const std::stop_callback wake(stop, [this] {
      absl::MutexLock lock(&mutex_);
      changed_.NotifyAll();
    });
    absl::MutexLock lock(&mutex_);
    sent_changes_ = included;
    changed_.NotifyAll();
    if (absl::FromChrono(Lease::Clock::now() - last_answer_) > kSilentHeartbeats * heartbeat_) {
      return;
    }
    changed_.AwaitFor(mutex_, heartbeat_, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stop.stop_requested() || changes_ != included;
    });
  }
}

void SessionClient::ReadDesired(Stream& stream) {
  v1::DesiredState desired;
  while (stream.Read(&desired)) {
    const absl::Duration lease = FromProto(desired.lease());
    const absl::Duration heartbeat = FromProto(desired.heartbeat_interval());
    lease_.OnAnswer(desired.heard_sequence(), lease > absl::ZeroDuration() ? lease : kDefaultLease);
    {
      absl::MutexLock lock(&mutex_);
      last_answer_ = Lease::Clock::now();
      if (heartbeat > absl::ZeroDuration()) heartbeat_ = heartbeat;
    }
    if (!connected_.exchange(true)) {
      log::Info("connected to the coordinator", {{"address", address_}});
      loss_logged_ = false;
    }
    handler_.OnDesired(desired);
  }
}

}  // namespace g2ll::agent
