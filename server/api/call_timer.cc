#include "server/api/call_timer.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace g2ll::api {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

class CallTimer final : public grpc::experimental::Interceptor {
 public:
  CallTimer(std::string method, metrics::ServerMetrics* metrics)
      : method_(std::move(method)), metrics_(metrics), start_(absl::Now()) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const auto code = static_cast<absl::StatusCode>(methods->GetSendStatus().error_code());
      metrics_->ObserveCall(method_, absl::StatusCodeToString(code), absl::Now() - start_);
    }
    methods->Proceed();
  }

 private:
  const std::string method_;
  metrics::ServerMetrics* const metrics_;
  const absl::Time start_;
};

class CallTimerFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallTimerFactory(metrics::ServerMetrics* metrics) : metrics_(metrics) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    const absl::string_view method = absl::StripPrefix(info->method(), "/");
    return new CallTimer(std::string(method), metrics_);
  }

 private:
  metrics::ServerMetrics* const metrics_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeCallTimer(
    metrics::ServerMetrics* metrics) {
  return std::make_unique<CallTimerFactory>(metrics);
}

}  // namespace g2ll::api
