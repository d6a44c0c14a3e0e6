#include "client/api/unary_call.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"

namespace g2ll::client {
namespace {

// Spread of the pauses, as a share of each.
constexpr double kJitter = 0.4;

// A call that waited for a connection in vain has not reached the server: that is
// UNAVAILABLE, unless the time was the user's own limit.
absl::Status Explain(const grpc::Status& status, grpc::Channel& channel, absl::Duration timeout,
                     const ClientOptions& options) {
  const bool never_connected =
      options.wait_for_ready && status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
      channel.GetState(false) != GRPC_CHANNEL_READY && absl::Now() < options.deadline;
  if (never_connected) {
    return absl::UnavailableError(
        absl::StrCat("nothing answers there after ", absl::FormatDuration(timeout)));
  }
  return FromAnswer(status);
}

}  // namespace

CallContext::CallContext(absl::Time deadline, const std::stop_token& stop, bool wait_for_ready)
    : cancel_(stop, [this] { context_.TryCancel(); }) {
  if (deadline != absl::InfiniteFuture()) context_.set_deadline(absl::ToChronoTime(deadline));
  if (wait_for_ready) context_.set_wait_for_ready(true);
}

absl::Duration Backoff(int attempt, double random, const ClientOptions& options) {
  absl::Duration pause = options.first_backoff;
  for (int i = 1; i < attempt && pause < options.max_backoff; ++i) pause *= 2;
  return std::min(pause, options.max_backoff) * (1 - kJitter / 2 + kJitter * random);
}

absl::Duration RandomBackoff(int attempt, const ClientOptions& options) {
  thread_local std::minstd_rand generator{std::random_device{}()};
  return Backoff(attempt, std::uniform_real_distribution<double>(0, 1)(generator), options);
}

bool SleepUnlessStopped(absl::Duration duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  woken.wait_for(lock, stop, absl::ToChronoNanoseconds(duration), [] { return false; });
  return stop.stop_requested();
}

absl::Status FromAnswer(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::CANCELLED) return net::FromGrpcStatus(status);
  return absl::UnavailableError("the server is going away");
}

absl::Status CallWithRetries(const ClientOptions& options, grpc::Channel& channel,
                             absl::Duration timeout, Retry retry,
                             const std::function<grpc::Status(grpc::ClientContext*)>& call,
                             int* num_tries) {
  for (int attempt = 1;; ++attempt) {
    if (num_tries != nullptr) *num_tries = attempt;
    CallContext context(std::min(absl::Now() + timeout, options.deadline), options.stop,
                        options.wait_for_ready);
    const grpc::Status answer = call(context.get());
    if (answer.ok()) return absl::OkStatus();
    if (options.stop.stop_requested()) return absl::CancelledError("stopped");
    const absl::Status status = Explain(answer, channel, timeout, options);
    const bool again =
        absl::IsUnavailable(status) && retry == Retry::kIfUnavailable && attempt < options.attempts;
    const absl::Duration pause = RandomBackoff(attempt, options);
    if (!again || absl::Now() + pause > options.deadline) return status;
    if (SleepUnlessStopped(pause, options.stop)) return absl::CancelledError("stopped");
  }
}

}  // namespace g2ll::client
