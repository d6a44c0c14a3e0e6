#ifndef SERVER_API_UNARY_H_
#define SERVER_API_UNARY_H_

#include <grpcpp/server_context.h>

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "server/api/services.h"

namespace g2ll::api {

// One unary call, answered once: by its handler, or with an error when its client has
// gone or its time is over. Without a deadline from the client the server's own counts.
// Thread safe.
class UnaryCall final : public OpenCall, public std::enable_shared_from_this<UnaryCall> {
 public:
  // Makes the reactor that gRPC owns. `registry` outlives the call.
  static std::pair<std::shared_ptr<UnaryCall>, grpc::ServerUnaryReactor*> Make(
      grpc::CallbackServerContext* call, OpenStreams* registry);

  // Whether it has been claimed.
  bool ended() ABSL_LOCKS_EXCLUDED(mutex_);
  // True for the first: that one alone may write the response and MUST call Finish.
  bool Claim() ABSL_LOCKS_EXCLUDED(mutex_);
  // The caller has the claim.
  void Finish(const absl::Status& status);
  // Both at once where nothing has been claimed, for an answer without a response.
  void Expire(const absl::Status& status) override;

 private:
  class Reactor;

  explicit UnaryCall(OpenStreams* registry) : registry_(registry) {}

  OpenStreams* const registry_;
  absl::Mutex mutex_;
  bool claimed_ ABSL_GUARDED_BY(mutex_) = false;
  // Lives until Finish was called.
  Reactor* reactor_ = nullptr;
};

// Runs `command` on the coordinator's thread and, after the commit, `fill` with
// its result on a pool thread, so that making big answers does not hold up the
// coordinator. The call ends with the status of either. `fill` does not run once the
// call has ended; `command` does, so it MUST NOT use the request or the response.
template <typename Result>
grpc::ServerUnaryReactor* Answer(
    grpc::CallbackServerContext* call, const ServiceContext& context,
    std::function<absl::StatusOr<Result>(coordinator::Core&, absl::Time)> command,
    std::function<absl::Status(Result)> fill) {
  auto [open, reactor] = UnaryCall::Make(call, context.streams);
  G2LL_FAILPOINT("api.call.received");
  context.coordinator->Call<Result>(
      std::move(command),
      [open = open, pool = context.pool, fill = std::move(fill)](absl::StatusOr<Result> result) {
        if (!result.ok()) {
          open->Expire(result.status());
          return;
        }
        pool->Submit([open, fill, value = *std::move(result)] {
          G2LL_FAILPOINT("api.call.committed");
          if (open->Claim()) {
            open->Finish(fill(value));
          }
          G2LL_FAILPOINT("api.call.answered");
        });
      });
  return reactor;
}

// Ends a call at once with `status`, which may be OK.
inline grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* call,
                                           const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  reactor->Finish(net::ToGrpcStatus(status));
  return reactor;
}

}  // namespace g2ll::api

#endif  // SERVER_API_UNARY_H_
