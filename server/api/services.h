#ifndef SERVER_API_SERVICES_H_
#define SERVER_API_SERVICES_H_

#include <grpcpp/impl/service_type.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/api/open_streams.h"
#include "server/coordinator/coordinator.h"
#include "server/metrics/server_metrics.h"
#include "server/storage/storage_root.h"
#include "server/store/backup.h"
#include "server/store/job_store.h"
#include "server/telemetry/hub.h"
#include "server/telemetry/io_pool.h"

namespace g2ll::api {

// What the server says of itself.
struct ServerIdentity {
  std::string version;
  int64_t term = 0;
  absl::Time start_time;
  std::string http_address;
};

// What the services work with. All are borrowed and outlive the services.
struct ServiceContext {
  coordinator::Coordinator* coordinator = nullptr;
  telemetry::TelemetryHub* hub = nullptr;
  store::TelemetryReader* reader = nullptr;
  telemetry::IoPool* pool = nullptr;
  const storage::StorageRoot* storage = nullptr;
  metrics::ServerMetrics* metrics = nullptr;
  OpenStreams* streams = nullptr;
  const ServerIdentity* identity = nullptr;
  store::BackupMaker* backups = nullptr;
};

// The services of package g2ll.v1. Their methods never block a gRPC thread.
std::unique_ptr<grpc::Service> MakeJobService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeTelemetryService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeCheckpointService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeQueueService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeAdminService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeWorkerService(const ServiceContext& context);

}  // namespace g2ll::api

#endif  // SERVER_API_SERVICES_H_
