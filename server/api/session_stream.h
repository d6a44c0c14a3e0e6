#ifndef SERVER_API_SESSION_STREAM_H_
#define SERVER_API_SESSION_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include "g2ll/v1/worker.pb.h"
#include "server/api/services.h"

namespace g2ll::api {

// Reactors of the two streams of a worker; gRPC owns them.
grpc::ServerBidiReactor<v1::SessionRequest, v1::DesiredState>* OpenSession(
    const ServiceContext& context);
grpc::ServerBidiReactor<v1::PushTelemetryRequest, v1::TelemetryAck>* OpenTelemetry(
    const ServiceContext& context);

}  // namespace g2ll::api

#endif  // SERVER_API_SESSION_STREAM_H_
