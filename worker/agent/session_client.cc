#include "worker/agent/session_client.h"

#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
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
}

bool SessionClient::FlushState(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const int64_t wanted = ++changes_;
  const auto sent = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return sent_changes_ >= wanted; };
  return mutex_.AwaitWithTimeout(absl::Condition(&sent), timeout);
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
  lease_.OnNewStream();
  const auto stream = stub_.Session(&context);
  {
    absl::MutexLock lock(&mutex_);
    last_answer_ = absl::Now();
  }
  // Ends the writer when the reader has seen the end of the stream.
  std::stop_source ended;
  const std::stop_callback forward(stop, [&ended] { ended.request_stop(); });
  absl::Notification reader_done;
  std::jthread reader([&] {
    ReadDesired(*stream);
    ended.request_stop();
    reader_done.Notify();
  });
  WriteStates(*stream, ended.get_token());
  if (stop.stop_requested()) {
    stream->WritesDone();
    reader_done.WaitForNotificationWithTimeout(kCloseTimeout);
  }
  if (!reader_done.HasBeenNotified()) context.TryCancel();
  reader.join();
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
    lease_.OnSent(Lease::Clock::now());
    if (!stream.Write(state)) return;

    SleepFor(kCoalesce, stop);
    const std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mutex_); });
    absl::MutexLock lock(&mutex_);
    sent_changes_ = included;
    if (absl::Now() - last_answer_ > kSilentHeartbeats * heartbeat_) return;
    const auto due = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stop.stop_requested() || changes_ != included;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&due), heartbeat_);
  }
}

void SessionClient::ReadDesired(Stream& stream) {
  v1::DesiredState desired;
  while (stream.Read(&desired)) {
    const absl::Duration lease = FromProto(desired.lease());
    const absl::Duration heartbeat = FromProto(desired.heartbeat_interval());
    lease_.OnAnswer(lease > absl::ZeroDuration() ? lease : kDefaultLease);
    {
      absl::MutexLock lock(&mutex_);
      last_answer_ = absl::Now();
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
