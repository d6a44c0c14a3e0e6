#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/checkpoint.grpc.pb.h"
#include "server/api/file_source.h"
#include "server/api/services.h"
#include "server/api/stream_driver.h"
#include "server/api/unary.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {
namespace {

using cluster::CheckpointRecord;
using coordinator::Core;

constexpr char kEncoder[] = "encoder.safetensors";
constexpr char kSegmentation[] = "segmentation.safetensors";
constexpr char kExportConfig[] = "export_config.json";

bool Has(const storage::Manifest& manifest, const std::string& name) {
  return std::any_of(manifest.files.begin(), manifest.files.end(),
                     [&](const storage::ManifestFile& file) { return file.name == name; });
}

absl::Status NothingToExport(const CheckpointRecord& checkpoint, const std::string& what) {
  return net::WithReason(
      absl::FailedPreconditionError(absl::StrCat("checkpoint ", checkpoint.id, " has no ", what)),
      "NOTHING_TO_EXPORT");
}

// Files of an export with the names by which the client gets them. The encoder is
// complete as it is; a segmenter's two files are put together by the client.
absl::StatusOr<std::vector<storage::FileToSend>> ListExport(const storage::StorageRoot& storage,
                                                            const CheckpointRecord& checkpoint,
                                                            v1::StreamExportRequest::What what) {
  const absl::StatusOr<storage::Manifest> manifest =
      storage.ReadManifest(checkpoint.path, checkpoint.sha256);
  if (!manifest.ok()) {
    return net::WithReason(manifest.status(), "CHECKPOINT_DAMAGED");
  }
  const bool has_segmenter = Has(*manifest, kSegmentation);
  if (!Has(*manifest, kEncoder) || !Has(*manifest, kExportConfig)) {
    return NothingToExport(checkpoint, "encoder");
  }
  if (what == v1::StreamExportRequest::SEGMENTER && !has_segmenter) {
    return NothingToExport(checkpoint, "segmentation network");
  }
  const bool encoder_only = what == v1::StreamExportRequest::ENCODER || !has_segmenter;
  std::vector<std::pair<std::string, std::string>> names;
  if (encoder_only) {
    names = {{kEncoder, "model.safetensors"}, {kExportConfig, "config.json"}};
  } else {
    names = {{kEncoder, kEncoder}, {kSegmentation, kSegmentation}, {kExportConfig, kExportConfig}};
  }
  std::vector<storage::FileToSend> files;
  for (const auto& [stored, sent] : names) {
    absl::StatusOr<std::string> path = storage.Resolve(absl::StrCat(checkpoint.path, "/", stored));
    if (!path.ok()) {
      return path.status();
    }
    for (const storage::ManifestFile& file : manifest->files) {
      if (file.name == stored) {
        files.push_back({*path, sent, file.sha256});
      }
    }
  }
  return files;
}

class CheckpointService final : public v1::CheckpointService::CallbackService {
 public:
  explicit CheckpointService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* ListCheckpoints(grpc::CallbackServerContext* call,
                                            const v1::ListCheckpointsRequest* request,
                                            v1::ListCheckpointsResponse* response) override {
    return Answer<std::vector<CheckpointRecord>>(
        call, context_,
        [parent = request->parent()](Core& core, absl::Time) {
          return core.ListCheckpoints(parent);
        },
        [response](const std::vector<CheckpointRecord>& checkpoints) {
          for (const CheckpointRecord& checkpoint : checkpoints) {
            *response->add_checkpoints() = wire::ToProto(checkpoint);
          }
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* GetCheckpoint(grpc::CallbackServerContext* call,
                                          const v1::GetCheckpointRequest* request,
                                          v1::Checkpoint* response) override {
    return Answer<CheckpointRecord>(
        call, context_,
        [id = request->id()](Core& core, absl::Time) { return core.GetCheckpoint(id); },
        [response](const CheckpointRecord& checkpoint) {
          *response = wire::ToProto(checkpoint);
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* PinCheckpoint(grpc::CallbackServerContext* call,
                                          const v1::PinCheckpointRequest* request,
                                          v1::Checkpoint* response) override {
    return Answer<CheckpointRecord>(
        call, context_,
        [id = request->id(), pinned = request->pinned()](Core& core, absl::Time now) {
          return core.PinCheckpoint(id, pinned, now);
        },
        [response](const CheckpointRecord& checkpoint) {
          *response = wire::ToProto(checkpoint);
          return absl::OkStatus();
        });
  }

  // Looks at the files on a pool thread and records what that has shown.
  grpc::ServerUnaryReactor* VerifyCheckpoint(grpc::CallbackServerContext* call,
                                             const v1::VerifyCheckpointRequest* request,
                                             v1::Checkpoint* response) override {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    const auto finish = [reactor, response](const absl::StatusOr<CheckpointRecord>& checkpoint) {
      if (checkpoint.ok()) {
        *response = wire::ToProto(*checkpoint);
      }
      reactor->Finish(net::ToGrpcStatus(checkpoint.status()));
    };
    context_.coordinator->Call<CheckpointRecord>(
        [id = request->id()](Core& core, absl::Time) { return core.GetCheckpoint(id); },
        [context = context_, finish](const absl::StatusOr<CheckpointRecord>& checkpoint) {
          if (!checkpoint.ok()) {
            finish(checkpoint.status());
            return;
          }
          context.pool->Submit([context, finish, checkpoint = *checkpoint] {
            VerifyAndMark(context, checkpoint, finish);
          });
        });
    return reactor;
  }

  grpc::ServerWriteReactor<v1::FileChunk>* StreamExport(
      grpc::CallbackServerContext* call, const v1::StreamExportRequest* request) override {
    auto [driver, reactor] =
        StreamDriver<v1::FileChunk>::Make(call, context_.pool, context_.streams);
    context_.coordinator->Call<CheckpointRecord>(
        [id = request->id()](Core& core, absl::Time) { return core.GetCheckpoint(id); },
        [driver = driver, storage = context_.storage,
         what = request->what()](absl::StatusOr<CheckpointRecord> checkpoint) {
          if (!checkpoint.ok()) {
            driver->End(checkpoint.status());
            return;
          }
          driver->Start(std::make_unique<FileSource>(
              [storage, what, checkpoint = *std::move(checkpoint)] {
                return ListExport(*storage, checkpoint, what);
              },
              "CHECKPOINT_DAMAGED"));
        });
    return reactor;
  }

 private:
  static void VerifyAndMark(
      const ServiceContext& context, const CheckpointRecord& checkpoint,
      const std::function<void(const absl::StatusOr<CheckpointRecord>&)>& finish) {
    const absl::Status seen = context.storage->VerifyCheckpoint(checkpoint.path, checkpoint.sha256);
    const auto state =
        seen.ok() ? cluster::CheckpointState::kCommitted : cluster::CheckpointState::kDamaged;
    context.coordinator->Call<CheckpointRecord>(
        [id = checkpoint.id, state, why = std::string(seen.ok() ? "complete" : seen.message())](
            Core& core, absl::Time now) { return core.MarkCheckpoint(id, state, why, now); },
        finish);
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCheckpointService(const ServiceContext& context) {
  return std::make_unique<CheckpointService>(context);
}

}  // namespace g2ll::api
