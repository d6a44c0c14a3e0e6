#ifndef SERVER_API_UNARY_H_
#define SERVER_API_UNARY_H_

#include <grpcpp/server_context.h>

#include <functional>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "server/api/services.h"

namespace g2ll::api {

// Runs `command` on the coordinator's thread and, after the commit, `fill` with
// its result on a pool thread, so that making big answers does not hold up the
// coordinator. The call ends with the status of either.
template <typename Result>
grpc::ServerUnaryReactor* Answer(
    grpc::CallbackServerContext* call, const ServiceContext& context,
    std::function<absl::StatusOr<Result>(coordinator::Core&, absl::Time)> command,
    std::function<absl::Status(Result)> fill) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  G2LL_FAILPOINT("api.call.received");
  context.coordinator->Call<Result>(
      std::move(command),
      [reactor, pool = context.pool, fill = std::move(fill)](absl::StatusOr<Result> result) {
        if (!result.ok()) {
          reactor->Finish(net::ToGrpcStatus(result.status()));
          return;
        }
        pool->Submit([reactor, fill, value = *std::move(result)] {
          G2LL_FAILPOINT("api.call.committed");
          reactor->Finish(net::ToGrpcStatus(fill(value)));
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
