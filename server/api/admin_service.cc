#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "g2ll/v1/admin.grpc.pb.h"
#include "server/api/backup_source.h"
#include "server/api/services.h"
#include "server/api/unary.h"
#include "server/wire/time_wire.h"
#include "server/wire/worker_wire.h"

namespace g2ll::api {
namespace {

using coordinator::Core;

class AdminService final : public v1::AdminService::CallbackService {
 public:
  explicit AdminService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* call,
                                        const v1::ListWorkersRequest*,
                                        v1::ListWorkersResponse* response) override {
    return Answer<std::vector<v1::Worker>>(
        call, context_,
        [](Core& core, absl::Time) -> absl::StatusOr<std::vector<v1::Worker>> {
          std::vector<v1::Worker> workers;
          for (const cluster::WorkerRecord& worker : core.ListWorkers()) {
            workers.push_back(wire::ToProto(
                worker, [&core](const std::string& uid) { return core.NameOf(uid); }));
          }
          return workers;
        },
        [response](const std::vector<v1::Worker>& workers) {
          for (const v1::Worker& worker : workers) {
            *response->add_workers() = worker;
          }
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* call,
                                          const v1::GetServerInfoRequest*,
                                          v1::ServerInfo* response) override {
    response->set_version(context_.identity->version);
    response->set_pid(getpid());
    response->set_term(context_.identity->term);
    *response->mutable_start_time() = wire::ToProto(context_.identity->start_time);
    response->set_http_address(context_.identity->http_address);
    return FinishNow(call, absl::OkStatus());
  }

  grpc::ServerWriteReactor<v1::FileChunk>* StreamBackup(grpc::CallbackServerContext*,
                                                        const v1::StreamBackupRequest*) override {
    auto [driver, reactor] = StreamDriver<v1::FileChunk>::Make(context_.pool, context_.streams);
    driver->Start(std::make_unique<BackupSource>(context_.backups, [weak = std::weak_ptr(driver)] {
      if (const auto live = weak.lock()) {
        live->Wake();
      }
    }));
    return reactor;
  }

 private:
  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(const ServiceContext& context) {
  return std::make_unique<AdminService>(context);
}

}  // namespace g2ll::api
