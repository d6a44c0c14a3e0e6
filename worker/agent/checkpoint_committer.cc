#include "worker/agent/checkpoint_committer.h"

#include <chrono>
#include <utility>

#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/agent/backoff.h"

namespace g2ll::agent {
namespace {

// The coordinator reads the whole directory before it answers.
constexpr std::chrono::minutes kCallTimeout{5};
constexpr absl::Duration kLeasePoll = absl::Milliseconds(100);

// A coordinator that was started again accepts commits once the session is open again.
bool IsRetryable(const absl::Status& status) {
  return net::ReasonOf(status) == "STALE_TERM" || absl::IsUnavailable(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

}  // namespace

CheckpointCommitter::CheckpointCommitter(Identity identity, AttemptKey attempt,
                                         TelemetryOutbox& outbox,
                                         v1::WorkerService::StubInterface& stub, const Lease& lease)
    : identity_(std::move(identity)),
      attempt_(std::move(attempt)),
      outbox_(outbox),
      stub_(stub),
      lease_(lease),
      thread_([this](std::stop_token stop) { Loop(stop); }) {}

CheckpointCommitter::~CheckpointCommitter() {
  thread_.request_stop();
  thread_.join();
}

void CheckpointCommitter::Submit(const trainer::v1::CheckpointWritten& checkpoint, Done done) {
  Request request{checkpoint, outbox_.Marks(attempt_), std::move(done)};
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(request));
}

std::optional<CheckpointCommitter::Request> CheckpointCommitter::Next(std::stop_token stop) {
  const std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mutex_); });
  absl::MutexLock lock(&mutex_);
  const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop.stop_requested() || !queue_.empty();
  };
  mutex_.Await(absl::Condition(&ready));
  if (stop.stop_requested()) return std::nullopt;
  Request request = std::move(queue_.front());
  queue_.pop_front();
  return request;
}

void CheckpointCommitter::Loop(std::stop_token stop) {
  while (const auto request = Next(stop)) {
    const absl::Status status = Commit(*request, stop);
    if (stop.stop_requested()) return;
    trainer::v1::CheckpointVerdict verdict;
    verdict.set_step(request->checkpoint.step());
    verdict.set_committed(status.ok());
    verdict.set_fenced(absl::IsAborted(status));
    verdict.set_message(std::string(status.message()));
    if (!status.ok()) {
      log::Warning("checkpoint was not committed", {{"job_uid", attempt_.job_uid},
                                                    {"epoch", attempt_.epoch},
                                                    {"step", request->checkpoint.step()},
                                                    {"reason", verdict.message()}});
    }
    request->done(verdict);
  }
}

absl::Status CheckpointCommitter::Commit(const Request& request, std::stop_token stop) {
  G2LL_RETURN_IF_ERROR(outbox_.WaitAcked(attempt_, request.marks, stop));
  v1::CommitCheckpointRequest call;
  call.set_worker(identity_.worker);
  call.set_incarnation(identity_.incarnation);
  call.set_job_uid(attempt_.job_uid);
  call.set_epoch(attempt_.epoch);
  call.set_step(request.checkpoint.step());
  call.set_path(request.checkpoint.path());
  call.set_manifest_sha256(request.checkpoint.manifest_sha256());
  call.set_size_bytes(request.checkpoint.size_bytes());
  *call.mutable_metrics() = request.checkpoint.metrics();
  call.set_best(request.checkpoint.best());
  Backoff backoff;
  while (true) {
    while (!lease_.Holds(Lease::Clock::now())) {
      if (!SleepFor(kLeasePoll, stop)) return absl::CancelledError("stopped");
    }
    call.set_coordinator_term(identity_.term);
    const absl::Status status = CallOnce(call, stop);
    if (!IsRetryable(status) || stop.stop_requested()) return status;
    if (!SleepFor(backoff.Next(), stop)) return status;
  }
}

absl::Status CheckpointCommitter::CallOnce(const v1::CommitCheckpointRequest& request,
                                           std::stop_token stop) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  v1::Checkpoint checkpoint;
  return net::FromGrpcStatus(stub_.CommitCheckpoint(&context, request, &checkpoint));
}

}  // namespace g2ll::agent
