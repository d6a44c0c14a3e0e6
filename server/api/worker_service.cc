#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "server/api/services.h"
#include "server/api/session_stream.h"
#include "server/api/unary.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {
namespace {

using cluster::CheckpointRecord;
using coordinator::CommitCheckpointCommand;
using coordinator::Core;

CommitCheckpointCommand ReadCommit(const v1::CommitCheckpointRequest& request) {
  CommitCheckpointCommand command;
  command.worker = request.worker();
  command.incarnation = request.incarnation();
  command.checkpoint.job_uid = request.job_uid();
  command.checkpoint.epoch = request.epoch();
  command.checkpoint.step = request.step();
  command.checkpoint.path = request.path();
  command.checkpoint.sha256 = request.manifest_sha256();
  command.checkpoint.size_bytes = request.size_bytes();
  command.checkpoint.metrics = {request.metrics().begin(), request.metrics().end()};
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

  // Looks whether the commit is allowed, then at the disk on a pool thread, then
  // commits; the core looks again, because much can happen in between.
  grpc::ServerUnaryReactor* CommitCheckpoint(grpc::CallbackServerContext* call,
                                             const v1::CommitCheckpointRequest* request,
                                             v1::Checkpoint* response) override {
    auto [open, reactor] = UnaryCall::Make(call, context_.streams);
    const CommitCheckpointCommand command = ReadCommit(*request);
    const auto finish = [open = open,
                         response](const absl::StatusOr<CheckpointRecord>& checkpoint) {
      if (!open->Claim()) {
        return;
      }
      if (checkpoint.ok()) {
        *response = wire::ToProto(*checkpoint);
      }
      open->Finish(checkpoint.status());
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
