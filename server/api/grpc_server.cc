#include "server/api/grpc_server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "server/api/call_timer.h"
#include "server/net/probe.h"

namespace g2ll::api {
namespace {

// The largest spec and what stands around it. What is larger is refused unread.
constexpr int kLargestRequest = (1 << 20) + (64 << 10);
constexpr int kLargestAnswer = 4 << 20;
constexpr int kLargestMetadata = 8 << 10;
constexpr int kStreamsPerConnection = 4096;
constexpr size_t kTransportBytes = size_t{512} << 20;
constexpr int kTransportThreads = 64;
constexpr std::chrono::seconds kWatchInterval(1);

// The library's own lines, in our format; what it calls errors is seldom one here.
void LogOfLibrary(gpr_log_func_args* line) { log::Debug(line->message, {{"source", "grpc"}}); }

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(std::min(duration, absl::Hours(24 * 20))));
}

void SetLimits(const GrpcOptions& options, const StreamLimits& streams,
               grpc::ServerBuilder* builder) {
  const auto set = [&](const char* name, int value) { builder->AddChannelArgument(name, value); };
  // Two coordinators on one port would share its connections.
  set(GRPC_ARG_ALLOW_REUSEPORT, 0);
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000);
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
  set(GRPC_ARG_MAX_METADATA_SIZE, kLargestMetadata);
  // Finds a dead client within 40 seconds. Clients and workers ping every 20 seconds.
  set(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  set(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(options.connection_idle));
  // Streams end by their own age first, and politely. A worker's session, which has none,
  // is cut at the end of the grace; it connects again within its lease.
  set(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(options.connection_age));
  set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Milliseconds(streams.max_age + absl::Minutes(1)));
  builder->SetMaxReceiveMessageSize(kLargestRequest);
  builder->SetMaxSendMessageSize(kLargestAnswer);
  grpc::ResourceQuota quota("g2ll");
  quota.Resize(kTransportBytes).SetMaxThreads(kTransportThreads);
  builder->SetResourceQuota(quota);
}

}  // namespace

GrpcServer::GrpcServer(const ServiceContext& context)
    : context_(context), places_jobs_(std::make_shared<std::atomic<bool>>(false)) {}

GrpcServer::~GrpcServer() = default;

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const net::HostPort& address,
                                                              const ServiceContext& context,
                                                              const GrpcOptions& options) {
  gpr_set_log_function(LogOfLibrary);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  std::unique_ptr<GrpcServer> server(new GrpcServer(context));
  server->services_.push_back(MakeJobService(context));
  server->services_.push_back(MakeTelemetryService(context));
  server->services_.push_back(MakeCheckpointService(context));
  server->services_.push_back(MakeQueueService(context));
  server->services_.push_back(MakeAdminService(context));
  server->services_.push_back(MakeWorkerService(context));

  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address.ToString(), grpc::InsecureServerCredentials(), &port);
  SetLimits(options, context.streams->limits(), &builder);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(MakeCallTimer(context.metrics));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  for (const std::unique_ptr<grpc::Service>& service : server->services_) {
    builder.RegisterService(service.get());
  }
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--listen ", address.ToString(), ": ", net::WhyNotListen(address)));
  }
  server->address_ = {address.host, static_cast<uint16_t>(port)};
  server->CheckHealth();
  server->watch_ = std::jthread([self = server.get()](std::stop_token stop) { self->Watch(stop); });
  return server;
}

void GrpcServer::Watch(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  while (!woken.wait_for(lock, stop, kWatchInterval, [&] { return stop.stop_requested(); })) {
    context_.streams->Sweep(absl::Now());
    CheckHealth();
  }
}

// Calls are answered from the start. Jobs are placed only once all workers of running
// jobs are back, or had the time to come back.
void GrpcServer::CheckHealth() {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  if (health == nullptr) {
    return;
  }
  const bool places_jobs = places_jobs_->load();
  health->SetServingStatus(kCoordinatorHealth, places_jobs);
  if (places_jobs) {
    return;  // Once it does, it does for good.
  }
  context_.coordinator->Post([flag = places_jobs_](coordinator::Core& core, absl::Time now) {
    flag->store(!core.IsRecovering(now));
  });
}

void GrpcServer::Shutdown(absl::Duration grace) {
  watch_ = std::jthread();
  if (grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService()) {
    health->SetServingStatus(false);
  }
  context_.streams->EndAll(net::WithReason(
      absl::UnavailableError("the coordinator is stopping: connect again"), "STOPPING"));
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
  server_->Wait();
}

}  // namespace g2ll::api
