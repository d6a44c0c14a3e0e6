#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "server/api/backup_source.h"
#include "server/api/services.h"
#include "server/api/unary.h"
#include "server/wire/time_wire.h"
#include "server/wire/worker_wire.h"

namespace g2ll::api {
namespace {

using cluster::Schedulable;
using coordinator::Core;

constexpr size_t kMostReasonBytes = 4000;  // 1,000 characters of UTF-8.

// A worker as clients see it; for the coordinator's thread, which knows the jobs' names.
v1::Worker Show(const Core& core, const cluster::WorkerRecord& worker) {
  return wire::ToProto(worker, [&core](const std::string& uid) { return core.NameOf(uid); });
}

absl::Status CheckReason(const std::string& reason) {
  if (reason.size() <= kMostReasonBytes) {
    return absl::OkStatus();
  }
  const std::string fault =
      absl::StrCat(reason.size(), " bytes, at most ", kMostReasonBytes, " are allowed");
  return net::WithViolations(
      net::WithReason(absl::InvalidArgumentError(absl::StrCat("reason: ", fault)),
                      "INVALID_REASON"),
      {{"reason", fault}});
}

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
            workers.push_back(Show(core, worker));
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

  grpc::ServerUnaryReactor* GetWorker(grpc::CallbackServerContext* call,
                                      const v1::GetWorkerRequest* request,
                                      v1::Worker* response) override {
    return AnswerWorker(
        call, [name = request->name()](Core& core, absl::Time) { return core.GetWorker(name); },
        response);
  }

  grpc::ServerUnaryReactor* CordonWorker(grpc::CallbackServerContext* call,
                                         const v1::CordonWorkerRequest* request,
                                         v1::Worker* response) override {
    return SetWish(call, request->name(), Schedulable::kCordoned, request->reason(), response);
  }

  grpc::ServerUnaryReactor* UncordonWorker(grpc::CallbackServerContext* call,
                                           const v1::UncordonWorkerRequest* request,
                                           v1::Worker* response) override {
    return SetWish(call, request->name(), Schedulable::kAllowed, "", response);
  }

  grpc::ServerUnaryReactor* DrainWorker(grpc::CallbackServerContext* call,
                                        const v1::DrainWorkerRequest* request,
                                        v1::Worker* response) override {
    return SetWish(call, request->name(), Schedulable::kDraining, request->reason(), response);
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

  grpc::ServerWriteReactor<v1::FileChunk>* StreamBackup(grpc::CallbackServerContext* call,
                                                        const v1::StreamBackupRequest*) override {
    auto [driver, reactor] =
        StreamDriver<v1::FileChunk>::Make(call, context_.pool, context_.streams);
    driver->Start(std::make_unique<BackupSource>(context_.backups));
    return reactor;
  }

 private:
  using WorkerCommand = std::function<absl::StatusOr<cluster::WorkerRecord>(Core&, absl::Time)>;

  grpc::ServerUnaryReactor* AnswerWorker(grpc::CallbackServerContext* call, WorkerCommand command,
                                         v1::Worker* response) {
    return Answer<v1::Worker>(
        call, context_,
        [command = std::move(command)](Core& core, absl::Time now) -> absl::StatusOr<v1::Worker> {
          G2LL_ASSIGN_OR_RETURN(const cluster::WorkerRecord worker, command(core, now));
          return Show(core, worker);
        },
        [response](const v1::Worker& worker) {
          *response = worker;
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* SetWish(grpc::CallbackServerContext* call, const std::string& name,
                                    Schedulable wish, const std::string& reason,
                                    v1::Worker* response) {
    if (const absl::Status status = CheckReason(reason); !status.ok()) {
      return FinishNow(call, status);
    }
    return AnswerWorker(
        call,
        [name, wish, reason = log::EscapeControl(reason)](Core& core, absl::Time now) {
          return core.SetWorkerWish(name, wish, reason, now);
        },
        response);
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(const ServiceContext& context) {
  return std::make_unique<AdminService>(context);
}

}  // namespace g2ll::api
