#include "server/api/unary.h"

#include <utility>

namespace g2ll::api {

// Forwards what gRPC says. Deletes itself at the end, as gRPC wants.
class UnaryCall::Reactor final : public grpc::ServerUnaryReactor {
 public:
  explicit Reactor(std::shared_ptr<UnaryCall> call) : call_(std::move(call)) {}
  void OnCancel() override { call_->Expire(absl::CancelledError("the client went away")); }
  void OnDone() override {
    call_->registry_->RemoveCall(call_);
    delete this;
  }

 private:
  const std::shared_ptr<UnaryCall> call_;
};

std::pair<std::shared_ptr<UnaryCall>, grpc::ServerUnaryReactor*> UnaryCall::Make(
    grpc::CallbackServerContext* call, OpenStreams* registry) {
  const std::shared_ptr<UnaryCall> open(new UnaryCall(registry));
  auto* reactor = new Reactor(open);
  open->reactor_ = reactor;
  if (call->deadline() == std::chrono::system_clock::time_point::max()) {
    registry->AddCall(open, absl::Now() + registry->limits().call_deadline);
  }
  return {open, reactor};
}

bool UnaryCall::ended() {
  absl::MutexLock lock(&mutex_);
  return claimed_;
}

bool UnaryCall::Claim() {
  absl::MutexLock lock(&mutex_);
  return !std::exchange(claimed_, true);
}

// gRPC may delete the reactor before Finish returns, so this call holds itself.
void UnaryCall::Finish(const absl::Status& status) {
  const auto self = shared_from_this();
  reactor_->Finish(net::ToGrpcStatus(status));
}

void UnaryCall::Expire(const absl::Status& status) {
  if (Claim()) {
    Finish(status);
  }
}

}  // namespace g2ll::api
