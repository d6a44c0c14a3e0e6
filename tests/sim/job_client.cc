#include "tests/sim/job_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"

namespace g2ll::sim {
namespace {

constexpr char kDefaultProject[] = "projects/default";
constexpr char kData[] = "synthetic:dermoscopy?count=8&seed=1";
constexpr std::chrono::seconds kCallLimit{60};
constexpr absl::Duration kRetry = absl::Milliseconds(20);

template <typename Spec>
void FillCommon(Spec* spec, int32_t ranks) {
  spec->set_recipe(v1::SMOKE);
  spec->mutable_data()->set_source(kData);
  spec->mutable_resources()->mutable_ranks()->set_min(ranks);
  spec->mutable_resources()->mutable_ranks()->set_max(ranks);
}

void SetLimit(grpc::ClientContext* call) {
  call->set_deadline(std::chrono::system_clock::now() + kCallLimit);
}

// Reads a whole stream of batches; `take` gets each response.
template <typename Response>
absl::Status ReadStream(std::unique_ptr<grpc::ClientReader<Response>> reader,
                        const std::function<void(const Response&)>& take) {
  Response response;
  while (reader->Read(&response)) {
    take(response);
  }
  return net::FromGrpcStatus(reader->Finish());
}

}  // namespace

std::string FullName(const std::string& name) {
  return absl::StrCat(kDefaultProject, "/jobs/", name);
}

bool IsTerminal(v1::Job::State state) {
  return state == v1::Job::SUCCEEDED || state == v1::Job::FAILED || state == v1::Job::CANCELLED;
}

v1::CreateJobRequest PretrainRequest(const std::string& name, int32_t ranks) {
  v1::CreateJobRequest request;
  request.set_job_id(name);
  FillCommon(request.mutable_job()->mutable_spec()->mutable_pretrain(), ranks);
  return request;
}

v1::CreateJobRequest FinetuneRequest(const std::string& name, const std::string& parent,
                                     int32_t ranks) {
  v1::CreateJobRequest request;
  request.set_job_id(name);
  v1::FinetuneSpec* spec = request.mutable_job()->mutable_spec()->mutable_finetune();
  FillCommon(spec, ranks);
  spec->mutable_init()->set_from("job/" + parent);
  return request;
}

v1::CreateJobRequest EvaluateRequest(const std::string& name, const std::string& parent) {
  v1::CreateJobRequest request;
  request.set_job_id(name);
  v1::EvaluateSpec* spec = request.mutable_job()->mutable_spec()->mutable_evaluate();
  FillCommon(spec, 1);
  spec->mutable_model()->set_from("job/" + parent);
  return request;
}

JobClient::JobClient(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto channel =
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  jobs_ = v1::JobService::NewStub(channel);
  telemetry_ = v1::TelemetryService::NewStub(channel);
  checkpoints_ = v1::CheckpointService::NewStub(channel);
  admin_ = v1::AdminService::NewStub(channel);
}

absl::StatusOr<v1::Job> JobClient::Create(const v1::CreateJobRequest& request) const {
  grpc::ClientContext call;
  SetLimit(&call);
  v1::Job job;
  G2LL_RETURN_IF_ERROR(net::FromGrpcStatus(jobs_->CreateJob(&call, request, &job)));
  return job;
}

absl::StatusOr<v1::Job> JobClient::Get(const std::string& full_name) const {
  grpc::ClientContext call;
  SetLimit(&call);
  v1::GetJobRequest request;
  request.set_name(full_name);
  request.set_view(v1::FULL);
  v1::Job job;
  G2LL_RETURN_IF_ERROR(net::FromGrpcStatus(jobs_->GetJob(&call, request, &job)));
  return job;
}

absl::StatusOr<v1::Job> JobClient::Cancel(const std::string& full_name) const {
  grpc::ClientContext call;
  SetLimit(&call);
  v1::CancelJobRequest request;
  request.set_name(full_name);
  v1::Job job;
  G2LL_RETURN_IF_ERROR(net::FromGrpcStatus(jobs_->CancelJob(&call, request, &job)));
  return job;
}

absl::StatusOr<std::vector<v1::Job>> JobClient::ListAll() const {
  std::vector<v1::Job> jobs;
  v1::ListJobsRequest request;
  request.set_page_size(1000);
  while (true) {
    grpc::ClientContext call;
    SetLimit(&call);
    v1::ListJobsResponse response;
    G2LL_RETURN_IF_ERROR(net::FromGrpcStatus(jobs_->ListJobs(&call, request, &response)));
    jobs.insert(jobs.end(), response.jobs().begin(), response.jobs().end());
    if (response.next_page_token().empty()) {
      return jobs;
    }
    request.set_page_token(response.next_page_token());
  }
}

absl::StatusOr<std::vector<v1::Worker>> JobClient::ListWorkers() const {
  grpc::ClientContext call;
  SetLimit(&call);
  v1::ListWorkersResponse response;
  G2LL_RETURN_IF_ERROR(net::FromGrpcStatus(admin_->ListWorkers(&call, {}, &response)));
  return std::vector<v1::Worker>(response.workers().begin(), response.workers().end());
}

absl::StatusOr<std::vector<v1::Checkpoint>> JobClient::ListCheckpoints(
    const std::string& full_name) const {
  grpc::ClientContext call;
  SetLimit(&call);
  v1::ListCheckpointsRequest request;
  request.set_parent(full_name);
  v1::ListCheckpointsResponse response;
  G2LL_RETURN_IF_ERROR(
      net::FromGrpcStatus(checkpoints_->ListCheckpoints(&call, request, &response)));
  return std::vector<v1::Checkpoint>(response.checkpoints().begin(), response.checkpoints().end());
}

absl::StatusOr<v1::ServerInfo> JobClient::GetServerInfo() const {
  grpc::ClientContext call;
  SetLimit(&call);
  v1::ServerInfo info;
  G2LL_RETURN_IF_ERROR(net::FromGrpcStatus(admin_->GetServerInfo(&call, {}, &info)));
  return info;
}

absl::Status JobClient::WaitUntilServing(absl::Duration limit) const {
  grpc::ClientContext call;
  call.set_deadline(absl::ToChronoTime(absl::Now() + limit));
  call.set_wait_for_ready(true);
  v1::ServerInfo info;
  return net::FromGrpcStatus(admin_->GetServerInfo(&call, {}, &info));
}

absl::StatusOr<v1::Job> JobClient::WaitFor(const std::string& full_name,
                                           const std::function<bool(const v1::Job&)>& property,
                                           absl::Duration limit) const {
  const absl::Time deadline = absl::Now() + limit;
  v1::WatchJobRequest request;
  request.set_name(full_name);
  v1::Job job;
  while (true) {
    grpc::ClientContext call;
    call.set_deadline(absl::ToChronoTime(deadline));
    call.set_wait_for_ready(true);
    const auto reader = jobs_->WatchJob(&call, request);
    while (reader->Read(&job)) {
      if (property(job)) {
        call.TryCancel();
        reader->Finish();
        return job;
      }
    }
    const absl::Status ended = net::FromGrpcStatus(reader->Finish());
    if (!absl::IsUnavailable(ended) && !absl::IsCancelled(ended)) {
      return ended.ok() ? absl::FailedPreconditionError(absl::StrCat(
                              full_name, " ended as ", v1::Job::State_Name(job.state()), ": ",
                              job.state_reason().message()))
                        : absl::Status(ended.code(),
                                       absl::StrCat(std::string(ended.message()), "; last state ",
                                                    v1::Job::State_Name(job.state())));
    }
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(full_name);
    }
    absl::SleepFor(kRetry);
  }
}

absl::StatusOr<v1::Job> JobClient::WaitForEnd(const std::string& full_name,
                                              absl::Duration limit) const {
  return WaitFor(
      full_name, [](const v1::Job& job) { return IsTerminal(job.state()); }, limit);
}

absl::StatusOr<std::vector<v1::MetricPoint>> JobClient::ReadMetrics(
    const std::string& full_name) const {
  grpc::ClientContext call;
  SetLimit(&call);
  v1::StreamMetricsRequest request;
  request.set_job(full_name);
  std::vector<v1::MetricPoint> points;
  G2LL_RETURN_IF_ERROR(ReadStream<v1::StreamMetricsResponse>(
      telemetry_->StreamMetrics(&call, request), [&](const v1::StreamMetricsResponse& response) {
        points.insert(points.end(), response.batch().points().begin(),
                      response.batch().points().end());
      }));
  return points;
}

absl::StatusOr<std::vector<v1::LogLine>> JobClient::ReadLogs(const std::string& full_name) const {
  grpc::ClientContext call;
  SetLimit(&call);
  v1::StreamLogsRequest request;
  request.set_job(full_name);
  std::vector<v1::LogLine> lines;
  G2LL_RETURN_IF_ERROR(ReadStream<v1::StreamLogsResponse>(
      telemetry_->StreamLogs(&call, request), [&](const v1::StreamLogsResponse& response) {
        lines.insert(lines.end(), response.batch().lines().begin(), response.batch().lines().end());
      }));
  return lines;
}

}  // namespace g2ll::sim
