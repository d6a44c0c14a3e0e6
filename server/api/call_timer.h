#ifndef SERVER_API_CALL_TIMER_H_
#define SERVER_API_CALL_TIMER_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "server/metrics/server_metrics.h"

namespace g2ll::api {

// Times every call of every service for the metrics. `metrics` outlives the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeCallTimer(
    metrics::ServerMetrics* metrics);

}  // namespace g2ll::api

#endif  // SERVER_API_CALL_TIMER_H_
