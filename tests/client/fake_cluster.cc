// The fake's checkpoints, files, queues, projects and workers.
#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "tests/client/fake_server.h"

namespace g2ll::testing {
namespace {

std::string Sha256(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(std::string(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

grpc::Status Missing(const std::string& name, const char* reason) {
  return net::ToGrpcStatus(
      net::WithReason(absl::NotFoundError(absl::StrCat(name, " does not exist")), reason));
}

// Copies the fields of a mask, as a server does.
template <typename Message>
void Merge(const Message& from, const google::protobuf::FieldMask& mask, Message* to) {
  for (const std::string& path : mask.paths()) {
    const auto* field = Message::descriptor()->FindFieldByName(path);
    Message one;
    Message copy = from;
    copy.GetReflection()->SwapFields(&copy, &one, {field});
    to->GetReflection()->ClearField(to, field);
    to->MergeFrom(one);
  }
}

}  // namespace

grpc::Status FakeServer::SendFiles(grpc::ServerWriter<v1::FileChunk>* writer) {
  constexpr size_t kPiece = 7;
  for (const auto& [name, bytes] : files) {
    size_t offset = 0;
    do {
      v1::FileChunk chunk;
      chunk.set_path(name);
      chunk.set_offset(static_cast<int64_t>(offset));
      chunk.set_data(bytes.substr(offset, kPiece));
      chunk.set_total_size(static_cast<int64_t>(bytes.size()));
      offset += kPiece;
      if (offset >= bytes.size()) chunk.set_sha256(Sha256(damaged ? bytes + "x" : bytes));
      writer->Write(chunk);
    } while (offset < bytes.size());
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::StreamReport(grpc::ServerContext* context,
                                      const v1::StreamReportRequest* request,
                                      grpc::ServerWriter<v1::FileChunk>* writer) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "StreamReport", *request);
  return status.ok() ? SendFiles(writer) : status;
}

grpc::Status FakeServer::StreamExport(grpc::ServerContext* context,
                                      const v1::StreamExportRequest* request,
                                      grpc::ServerWriter<v1::FileChunk>* writer) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "StreamExport", *request);
  return status.ok() ? SendFiles(writer) : status;
}

grpc::Status FakeServer::StreamBackup(grpc::ServerContext* context,
                                      const v1::StreamBackupRequest* request,
                                      grpc::ServerWriter<v1::FileChunk>* writer) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "StreamBackup", *request);
  return status.ok() ? SendFiles(writer) : status;
}

grpc::Status FakeServer::ListCheckpoints(grpc::ServerContext* context,
                                         const v1::ListCheckpointsRequest* request,
                                         v1::ListCheckpointsResponse* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "ListCheckpoints", *request); !status.ok()) {
    return status;
  }
  for (const auto& [id, checkpoint] : checkpoints) {
    if (checkpoint.job() == request->parent()) *response->add_checkpoints() = checkpoint;
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetCheckpoint(grpc::ServerContext* context,
                                       const v1::GetCheckpointRequest* request,
                                       v1::Checkpoint* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "GetCheckpoint", *request); !status.ok()) {
    return status;
  }
  const auto found = checkpoints.find(request->id());
  if (found == checkpoints.end()) return Missing(request->id(), "CHECKPOINT_NOT_FOUND");
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::PinCheckpoint(grpc::ServerContext* context,
                                       const v1::PinCheckpointRequest* request,
                                       v1::Checkpoint* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "PinCheckpoint", *request); !status.ok()) {
    return status;
  }
  const auto found = checkpoints.find(request->id());
  if (found == checkpoints.end()) return Missing(request->id(), "CHECKPOINT_NOT_FOUND");
  found->second.set_pinned(request->pinned());
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::VerifyCheckpoint(grpc::ServerContext* context,
                                          const v1::VerifyCheckpointRequest* request,
                                          v1::Checkpoint* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "VerifyCheckpoint", *request); !status.ok()) {
    return status;
  }
  const auto found = checkpoints.find(request->id());
  if (found == checkpoints.end()) return Missing(request->id(), "CHECKPOINT_NOT_FOUND");
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::DeleteCheckpoint(grpc::ServerContext* context,
                                          const v1::DeleteCheckpointRequest* request,
                                          google::protobuf::Empty*) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "DeleteCheckpoint", *request); !status.ok()) {
    return status;
  }
  const auto found = checkpoints.find(request->id());
  if (found == checkpoints.end()) return Missing(request->id(), "CHECKPOINT_NOT_FOUND");
  if (found->second.pinned()) {
    return net::ToGrpcStatus(net::WithReason(
        absl::FailedPreconditionError(absl::StrCat(request->id(), " is pinned")), "IN_USE"));
  }
  checkpoints.erase(found);
  return grpc::Status::OK;
}

grpc::Status FakeServer::CreateQueue(grpc::ServerContext* context,
                                     const v1::CreateQueueRequest* request, v1::Queue* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "CreateQueue", *request); !status.ok()) {
    return status;
  }
  const std::string name = absl::StrCat(request->parent(), "/queues/", request->queue_id());
  if (queues.contains(name)) {
    return net::ToGrpcStatus(
        net::WithReason(absl::AlreadyExistsError(absl::StrCat(name, " exists")), "QUEUE_EXISTS"));
  }
  *response = request->queue();
  response->set_name(name);
  queues[name] = *response;
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetQueue(grpc::ServerContext* context, const v1::GetQueueRequest* request,
                                  v1::Queue* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "GetQueue", *request); !status.ok()) return status;
  const auto found = queues.find(request->name());
  if (found == queues.end()) return Missing(request->name(), "QUEUE_NOT_FOUND");
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListQueues(grpc::ServerContext* context,
                                    const v1::ListQueuesRequest* request,
                                    v1::ListQueuesResponse* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "ListQueues", *request); !status.ok()) {
    return status;
  }
  for (const auto& [name, queue] : queues) *response->add_queues() = queue;
  return grpc::Status::OK;
}

grpc::Status FakeServer::UpdateQueue(grpc::ServerContext* context,
                                     const v1::UpdateQueueRequest* request, v1::Queue* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "UpdateQueue", *request); !status.ok()) {
    return status;
  }
  const auto found = queues.find(request->queue().name());
  if (found == queues.end()) return Missing(request->queue().name(), "QUEUE_NOT_FOUND");
  Merge(request->queue(), request->update_mask(), &found->second);
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::DeleteQueue(grpc::ServerContext* context,
                                     const v1::DeleteQueueRequest* request,
                                     google::protobuf::Empty*) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "DeleteQueue", *request); !status.ok()) {
    return status;
  }
  if (queues.erase(request->name()) == 0) return Missing(request->name(), "QUEUE_NOT_FOUND");
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListWaitingJobs(grpc::ServerContext* context,
                                         const v1::ListWaitingJobsRequest* request,
                                         v1::ListWaitingJobsResponse* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "ListWaitingJobs", *request); !status.ok()) {
    return status;
  }
  // One job a page, so that a client must ask for all of them.
  const size_t at = static_cast<size_t>(std::atoi(request->page_token().c_str()));
  if (at < explanations.size()) *response->add_jobs() = explanations[at];
  if (at + 1 < explanations.size()) response->set_next_page_token(absl::StrCat(at + 1));
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetProject(grpc::ServerContext* context,
                                    const v1::GetProjectRequest* request, v1::Project* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "GetProject", *request); !status.ok()) {
    return status;
  }
  const auto found = projects.find(request->name());
  if (found == projects.end()) return Missing(request->name(), "PROJECT_NOT_FOUND");
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListProjects(grpc::ServerContext* context,
                                      const v1::ListProjectsRequest* request,
                                      v1::ListProjectsResponse* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "ListProjects", *request); !status.ok()) {
    return status;
  }
  for (const auto& [name, project] : projects) *response->add_projects() = project;
  return grpc::Status::OK;
}

grpc::Status FakeServer::UpdateProject(grpc::ServerContext* context,
                                       const v1::UpdateProjectRequest* request,
                                       v1::Project* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "UpdateProject", *request); !status.ok()) {
    return status;
  }
  v1::Project& project = projects[request->project().name()];
  project.set_name(request->project().name());
  Merge(request->project(), request->update_mask(), &project);
  *response = project;
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListWorkers(grpc::ServerContext* context,
                                     const v1::ListWorkersRequest* request,
                                     v1::ListWorkersResponse* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "ListWorkers", *request); !status.ok()) {
    return status;
  }
  for (const auto& [name, worker] : workers) *response->add_workers() = worker;
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetWorker(grpc::ServerContext* context,
                                   const v1::GetWorkerRequest* request, v1::Worker* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "GetWorker", *request); !status.ok()) {
    return status;
  }
  const auto found = workers.find(request->name());
  if (found == workers.end()) return Missing(request->name(), "WORKER_NOT_FOUND");
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::ChangeWorker(const std::string& name, v1::Schedulable wish,
                                      const std::string& reason, v1::Worker* response) {
  const auto found = workers.find(name);
  if (found == workers.end()) return Missing(name, "WORKER_NOT_FOUND");
  found->second.set_schedulable(wish);
  found->second.set_schedulable_reason(reason);
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::CordonWorker(grpc::ServerContext* context,
                                      const v1::CordonWorkerRequest* request,
                                      v1::Worker* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "CordonWorker", *request);
  return status.ok() ? ChangeWorker(request->name(), v1::CORDONED, request->reason(), response)
                     : status;
}

grpc::Status FakeServer::UncordonWorker(grpc::ServerContext* context,
                                        const v1::UncordonWorkerRequest* request,
                                        v1::Worker* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "UncordonWorker", *request);
  return status.ok() ? ChangeWorker(request->name(), v1::ALLOWED, "", response) : status;
}

grpc::Status FakeServer::DrainWorker(grpc::ServerContext* context,
                                     const v1::DrainWorkerRequest* request, v1::Worker* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "DrainWorker", *request);
  return status.ok() ? ChangeWorker(request->name(), v1::DRAINING, request->reason(), response)
                     : status;
}

grpc::Status FakeServer::GetServerInfo(grpc::ServerContext* context,
                                       const v1::GetServerInfoRequest* request,
                                       v1::ServerInfo* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "GetServerInfo", *request);
  response->set_version("9.9.9");
  response->set_term(3);
  return status;
}

}  // namespace g2ll::testing
