#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "proto/common/status_macros.h"
#include "server/api/services.h"
#include "server/api/session_stream.h"
#include "server/api/unary.h"
#include "server/wire/job_wire.h"
#include "server/wire/worker_wire.h"

namespace g2ll::api {
namespace {

using cluster::CheckpointRecord;
using coordinator::BeginCheckpointCommand;
using coordinator::CheckpointPlan;
using coordinator::CommitCheckpointCommand;
using coordinator::Core;

BeginCheckpointCommand ReadBegin(const v1::BeginCheckpointRequest& request) {
  BeginCheckpointCommand command;
  command.writer = {.worker = request.worker(),
                    .incarnation = request.incarnation(),
                    .job_uid = request.job_uid(),
                    .epoch = request.epoch(),
                    .coordinator_term = request.coordinator_term()};
  command.step = request.step();
  command.size_bytes = request.size_bytes();
  return command;
}

// The new files, a second set while the old one is removed, and some room for others.
absl::Status CheckRoom(const storage::StorageRoot& storage, int64_t size_bytes) {
  constexpr double kRoom = 2.2;
  G2LL_ASSIGN_OR_RETURN(const int64_t free_bytes, storage.FreeBytes());
  const double needed = kRoom * static_cast<double>(size_bytes);
  if (static_cast<double>(free_bytes) >= needed) {
    return absl::OkStatus();
  }
  return net::WithReason(
      absl::ResourceExhaustedError(
          absl::StrCat("the storage root has ", free_bytes, " bytes free, a checkpoint of ",
                       size_bytes, " bytes needs ", kRoom, " times as much: make room there")),
      "DISK_LOW");
}

CommitCheckpointCommand ReadCommit(const v1::CommitCheckpointRequest& request) {
  CommitCheckpointCommand command;
  command.worker = request.worker();
  command.incarnation = request.incarnation();
  command.coordinator_term = request.coordinator_term();
  command.checkpoint.job_uid = request.job_uid();
  command.checkpoint.epoch = request.epoch();
  command.checkpoint.step = request.step();
  command.checkpoint.path = request.path();
  command.checkpoint.sha256 = request.manifest_sha256();
  command.checkpoint.size_bytes = request.size_bytes();
  command.checkpoint.metrics = wire::MetricsOf(request);
  command.checkpoint.best = request.best();
  return command;
}

// The directory must hold what the worker says it wrote.
absl::Status Verify(const storage::StorageRoot& storage, const CheckpointRecord& checkpoint) {
  const absl::StatusOr<storage::Manifest> manifest =
      storage.ReadManifest(checkpoint.path, checkpoint.sha256);
  if (!manifest.ok()) {
    return net::WithReason(manifest.status(), absl::IsInvalidArgument(manifest.status())
                                                  ? "INVALID_CHECKPOINT"
                                                  : "CHECKPOINT_DAMAGED");
  }
  if (manifest->job_uid != checkpoint.job_uid || manifest->epoch != checkpoint.epoch ||
      manifest->step != checkpoint.step) {
    return net::WithReason(
        absl::InvalidArgumentError(
            absl::StrCat("manifest.json is of job ", manifest->job_uid, ", epoch ", manifest->epoch,
                         ", step ", manifest->step, " and not of job ", checkpoint.job_uid,
                         ", epoch ", checkpoint.epoch, ", step ", checkpoint.step)),
        "INVALID_CHECKPOINT");
  }
  return absl::OkStatus();
}

class WorkerService final : public v1::WorkerService::CallbackService {
 public:
  explicit WorkerService(const ServiceContext& context) : context_(context) {}

  grpc::ServerBidiReactor<v1::SessionRequest, v1::DesiredState>* Session(
      grpc::CallbackServerContext*) override {
    return OpenSession(context_);
  }

  grpc::ServerBidiReactor<v1::PushTelemetryRequest, v1::TelemetryAck>* PushTelemetry(
      grpc::CallbackServerContext*) override {
    return OpenTelemetry(context_);
  }

  // Looks at the epoch on the coordinator's thread, then at the disk on a pool thread.
  grpc::ServerUnaryReactor* BeginCheckpoint(grpc::CallbackServerContext* call,
                                            const v1::BeginCheckpointRequest* request,
                                            v1::BeginCheckpointResponse* response) override {
    return Answer<CheckpointPlan>(
        call, context_,
        [command = ReadBegin(*request)](Core& core, absl::Time) {
          return core.BeginCheckpoint(command);
        },
        [context = context_, response](const CheckpointPlan& plan) {
          const absl::Status room = CheckRoom(*context.storage, plan.size_bytes);
          if (absl::IsResourceExhausted(room)) {
            context.metrics->AddDiskLow();
          }
          response->set_parent(plan.parent);
          return room;
        });
  }

  // Looks whether the commit is allowed, then at the disk on a pool thread, then
  // commits; the core looks again, because much can happen in between.
  grpc::ServerUnaryReactor* CommitCheckpoint(grpc::CallbackServerContext* call,
                                             const v1::CommitCheckpointRequest* request,
                                             v1::Checkpoint* response) override {
    auto [open, reactor] = UnaryCall::Make(call, context_.streams);
    const CommitCheckpointCommand command = ReadCommit(*request);
    G2LL_FAILPOINT("api.checkpoint.received");
    const auto finish = [open = open,
                         response](const absl::StatusOr<CheckpointRecord>& checkpoint) {
      G2LL_FAILPOINT("api.checkpoint.committed");
      if (!open->Claim()) {
        return;
      }
      if (checkpoint.ok()) {
        *response = wire::ToProto(*checkpoint);
      }
      open->Finish(checkpoint.status());
      G2LL_FAILPOINT("api.checkpoint.answered");
    };
    context_.coordinator->Call<std::optional<CheckpointRecord>>(
        [command](Core& core, absl::Time) { return core.CheckCommit(command); },
        [context = context_, command,
         finish](const absl::StatusOr<std::optional<CheckpointRecord>>& existing) {
          if (!existing.ok()) {
            finish(existing.status());
          } else if (existing->has_value()) {
            finish(**existing);
          } else {
            context.pool->Submit(
                [context, command, finish] { VerifyAndCommit(context, command, finish); });
          }
        });
    return reactor;
  }

 private:
  static void VerifyAndCommit(
      const ServiceContext& context, const CommitCheckpointCommand& command,
      const std::function<void(const absl::StatusOr<CheckpointRecord>&)>& finish) {
    if (const absl::Status status = Verify(*context.storage, command.checkpoint); !status.ok()) {
      finish(status);
      return;
    }
    G2LL_FAILPOINT("api.checkpoint.verified");
    context.coordinator->Call<CheckpointRecord>(
        [command](Core& core, absl::Time now) { return core.CommitCheckpoint(command, now); },
        finish);
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerService(const ServiceContext& context) {
  return std::make_unique<WorkerService>(context);
}

}  // namespace g2ll::api
