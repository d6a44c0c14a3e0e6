#include "server/api/grpc_server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "server/net/probe.h"

namespace g2ll::api {
namespace {

constexpr int kLargestMessage = 4 << 20;

// The library's own lines, in our format; what it calls errors is seldom one here.
void LogOfLibrary(gpr_log_func_args* line) { log::Debug(line->message, {{"source", "grpc"}}); }

}  // namespace

GrpcServer::GrpcServer(OpenStreams* streams) : streams_(streams) {}

GrpcServer::~GrpcServer() = default;

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const net::HostPort& address,
                                                              const ServiceContext& context) {
  gpr_set_log_function(LogOfLibrary);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  std::unique_ptr<GrpcServer> server(new GrpcServer(context.streams));
  server->services_.push_back(MakeJobService(context));
  server->services_.push_back(MakeTelemetryService(context));
  server->services_.push_back(MakeCheckpointService(context));
  server->services_.push_back(MakeQueueService(context));
  server->services_.push_back(MakeAdminService(context));
  server->services_.push_back(MakeWorkerService(context));

  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address.ToString(), grpc::InsecureServerCredentials(), &port);
  // Two coordinators on one port would share its connections.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder.SetMaxReceiveMessageSize(kLargestMessage);
  for (const std::unique_ptr<grpc::Service>& service : server->services_) {
    builder.RegisterService(service.get());
  }
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--listen ", address.ToString(), ": ", net::WhyNotListen(address)));
  }
  server->address_ = {address.host, static_cast<uint16_t>(port)};
  return server;
}

void GrpcServer::Shutdown(absl::Duration grace) {
  if (grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService()) {
    health->SetServingStatus(false);
  }
  streams_->EndAll(net::WithReason(
      absl::UnavailableError("the coordinator is stopping: connect again"), "STOPPING"));
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
  server_->Wait();
}

}  // namespace g2ll::api
