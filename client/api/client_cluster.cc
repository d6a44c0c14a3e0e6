// The calls of Client about checkpoints, queues, projects, workers and the server.
#include <iterator>
#include <utility>

#include "client/api/client.h"
#include "client/api/client_calls.h"
#include "proto/common/status_macros.h"

namespace g2ll::client {
namespace {

constexpr int kPageSize = 1000;

// A request with an etag fits only once.
template <typename Resource>
Retry RetryOf(const Resource& resource) {
  return resource.etag().empty() ? Retry::kIfUnavailable : Retry::kNever;
}

}  // namespace

absl::StatusOr<v1::QueryMetricsResponse> Client::QueryMetrics(
    const v1::QueryMetricsRequest& request) {
  return Call(*telemetry_, &v1::TelemetryService::Stub::QueryMetrics, request,
              options_.read_timeout);
}

absl::StatusOr<std::vector<v1::Checkpoint>> Client::ListCheckpoints(const std::string& job) {
  v1::ListCheckpointsRequest request;
  request.set_parent(job);
  G2LL_ASSIGN_OR_RETURN(const v1::ListCheckpointsResponse response,
                        Call(*checkpoints_, &v1::CheckpointService::Stub::ListCheckpoints, request,
                             options_.read_timeout));
  return std::vector<v1::Checkpoint>(response.checkpoints().begin(), response.checkpoints().end());
}

absl::StatusOr<v1::Checkpoint> Client::GetCheckpoint(const std::string& id) {
  v1::GetCheckpointRequest request;
  request.set_id(id);
  return Call(*checkpoints_, &v1::CheckpointService::Stub::GetCheckpoint, request,
              options_.read_timeout);
}

absl::StatusOr<v1::Checkpoint> Client::PinCheckpoint(const std::string& id, bool pinned) {
  v1::PinCheckpointRequest request;
  request.set_id(id);
  request.set_pinned(pinned);
  return Call(*checkpoints_, &v1::CheckpointService::Stub::PinCheckpoint, request,
              options_.read_timeout);
}

absl::StatusOr<v1::Checkpoint> Client::VerifyCheckpoint(const std::string& id) {
  v1::VerifyCheckpointRequest request;
  request.set_id(id);
  return Call(*checkpoints_, &v1::CheckpointService::Stub::VerifyCheckpoint, request,
              options_.verify_timeout);
}

absl::Status Client::DeleteCheckpoint(const std::string& id) {
  v1::DeleteCheckpointRequest request;
  request.set_id(id);
  return Remove(*checkpoints_, &v1::CheckpointService::Stub::DeleteCheckpoint, request);
}

absl::StatusOr<v1::Queue> Client::CreateQueue(const v1::CreateQueueRequest& request) {
  return Call(*queues_, &v1::QueueService::Stub::CreateQueue, request, options_.read_timeout,
              Retry::kNever);
}

absl::StatusOr<v1::Queue> Client::GetQueue(const std::string& name) {
  v1::GetQueueRequest request;
  request.set_name(name);
  return Call(*queues_, &v1::QueueService::Stub::GetQueue, request, options_.read_timeout);
}

absl::StatusOr<std::vector<v1::Queue>> Client::ListQueues(const std::string& parent) {
  v1::ListQueuesRequest request;
  request.set_parent(parent);
  G2LL_ASSIGN_OR_RETURN(
      const v1::ListQueuesResponse response,
      Call(*queues_, &v1::QueueService::Stub::ListQueues, request, options_.read_timeout));
  return std::vector<v1::Queue>(response.queues().begin(), response.queues().end());
}

absl::StatusOr<v1::Queue> Client::UpdateQueue(const v1::UpdateQueueRequest& request) {
  return Call(*queues_, &v1::QueueService::Stub::UpdateQueue, request, options_.read_timeout,
              RetryOf(request.queue()));
}

absl::Status Client::DeleteQueue(const std::string& name) {
  v1::DeleteQueueRequest request;
  request.set_name(name);
  return Remove(*queues_, &v1::QueueService::Stub::DeleteQueue, request);
}

absl::StatusOr<std::vector<v1::JobExplanation>> Client::ListWaitingJobs(const std::string& parent) {
  v1::ListWaitingJobsRequest request;
  request.set_parent(parent);
  request.set_page_size(kPageSize);
  std::vector<v1::JobExplanation> jobs;
  do {
    G2LL_ASSIGN_OR_RETURN(
        v1::ListWaitingJobsResponse page,
        Call(*queues_, &v1::QueueService::Stub::ListWaitingJobs, request, options_.read_timeout));
    std::move(page.mutable_jobs()->begin(), page.mutable_jobs()->end(), std::back_inserter(jobs));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return jobs;
}

absl::StatusOr<v1::Project> Client::GetProject(const std::string& name) {
  v1::GetProjectRequest request;
  request.set_name(name);
  return Call(*queues_, &v1::QueueService::Stub::GetProject, request, options_.read_timeout);
}

absl::StatusOr<std::vector<v1::Project>> Client::ListProjects() {
  G2LL_ASSIGN_OR_RETURN(const v1::ListProjectsResponse response,
                        Call(*queues_, &v1::QueueService::Stub::ListProjects,
                             v1::ListProjectsRequest(), options_.read_timeout));
  return std::vector<v1::Project>(response.projects().begin(), response.projects().end());
}

absl::StatusOr<v1::Project> Client::UpdateProject(const v1::UpdateProjectRequest& request) {
  return Call(*queues_, &v1::QueueService::Stub::UpdateProject, request, options_.read_timeout,
              RetryOf(request.project()));
}

absl::StatusOr<std::vector<v1::Worker>> Client::ListWorkers() {
  G2LL_ASSIGN_OR_RETURN(const v1::ListWorkersResponse response,
                        Call(*admin_, &v1::AdminService::Stub::ListWorkers,
                             v1::ListWorkersRequest(), options_.read_timeout));
  return std::vector<v1::Worker>(response.workers().begin(), response.workers().end());
}

absl::StatusOr<v1::Worker> Client::GetWorker(const std::string& name) {
  v1::GetWorkerRequest request;
  request.set_name(name);
  return Call(*admin_, &v1::AdminService::Stub::GetWorker, request, options_.read_timeout);
}

absl::StatusOr<v1::Worker> Client::CordonWorker(const std::string& name,
                                                const std::string& reason) {
  v1::CordonWorkerRequest request;
  request.set_name(name);
  request.set_reason(reason);
  return Call(*admin_, &v1::AdminService::Stub::CordonWorker, request, options_.read_timeout);
}

absl::StatusOr<v1::Worker> Client::UncordonWorker(const std::string& name) {
  v1::UncordonWorkerRequest request;
  request.set_name(name);
  return Call(*admin_, &v1::AdminService::Stub::UncordonWorker, request, options_.read_timeout);
}

absl::StatusOr<v1::Worker> Client::DrainWorker(const std::string& name, const std::string& reason) {
  v1::DrainWorkerRequest request;
  request.set_name(name);
  request.set_reason(reason);
  return Call(*admin_, &v1::AdminService::Stub::DrainWorker, request, options_.read_timeout);
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo() {
  return Call(*admin_, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest(),
              options_.read_timeout);
}

}  // namespace g2ll::client
