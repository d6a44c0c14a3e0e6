#ifndef CLIENT_API_UNARY_CALL_H_
#define CLIENT_API_UNARY_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/api/options.h"

namespace g2ll::client {

// The one place where a call's context is made, so that none goes without a deadline.
// A stop cancels the call. Not thread safe.
class CallContext {
 public:
  // `deadline` InfiniteFuture is for streams alone.
  CallContext(absl::Time deadline, const std::stop_token& stop, bool wait_for_ready = false);

  grpc::ClientContext* get() { return &context_; }

 private:
  grpc::ClientContext context_;
  // After what it cancels, so that it ends before it.
  std::stop_callback<std::function<void()>> cancel_;
};

// Whether a call may be sent again after it did not reach the server.
enum class Retry {
  kNever,          // a second arrival could have a second effect
  kIfUnavailable,  // it reads, is idempotent, or carries a request id
};

// Pause before try number `attempt` + 1, from `attempt` 1: doubles from the first to the
// longest, and spread by `random` in [0, 1) so that many clients do not return at once.
absl::Duration Backoff(int attempt, double random, const ClientOptions& options);
// The same with a random number of its own.
absl::Duration RandomBackoff(int attempt, const ClientOptions& options);

// Waits; returns early, with true, when a stop is asked for.
bool SleepUnlessStopped(absl::Duration duration, const std::stop_token& stop);

// The status of a call that nobody here cancelled: CANCELLED comes from a server that is
// going away then, and is UNAVAILABLE.
absl::Status FromAnswer(const grpc::Status& status);

// Makes a call until it is answered, at most options.attempts times, and only
// UNAVAILABLE leads to another try. `num_tries` gets how often it was sent.
// UNAVAILABLE is returned where the server was not reached, DEADLINE_EXCEEDED where it
// did not answer in time, CANCELLED after a stop.
absl::Status CallWithRetries(const ClientOptions& options, grpc::Channel& channel,
                             absl::Duration timeout, Retry retry,
                             const std::function<grpc::Status(grpc::ClientContext*)>& call,
                             int* num_tries = nullptr);

}  // namespace g2ll::client

#endif  // CLIENT_API_UNARY_CALL_H_
