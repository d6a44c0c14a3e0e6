// The fake's jobs, metrics and logs; fake_cluster.cc has the rest.
#include "tests/client/fake_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"

namespace g2ll::testing {
namespace {

grpc::Status NoJob(const std::string& name) {
  return net::ToGrpcStatus(
      net::WithReason(absl::NotFoundError(absl::StrCat(name, " does not exist")), "JOB_NOT_FOUND"));
}

}  // namespace

FakeServer::FakeServer() { Start(); }

FakeServer::~FakeServer() { Stop(); }

void FakeServer::Start() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = false;
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(static_cast<v1::JobService::Service*>(this));
  builder.RegisterService(static_cast<v1::TelemetryService::Service*>(this));
  builder.RegisterService(static_cast<v1::CheckpointService::Service*>(this));
  builder.RegisterService(static_cast<v1::QueueService::Service*>(this));
  builder.RegisterService(static_cast<v1::AdminService::Service*>(this));
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port_);
}

void FakeServer::Stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  // Every handler ends by itself, so that its caller hears what it has to say.
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(10));
  server_->Wait();
}

grpc::Status FakeServer::Begin(grpc::ServerContext* context, const std::string& method,
                               const google::protobuf::Message& request) {
  requests[method] = request.ShortDebugString();
  ++num_calls[method];
  const auto deadline = context->deadline();
  time_left[method] = deadline == std::chrono::system_clock::time_point::max()
                          ? absl::InfiniteDuration()
                          : absl::FromChrono(deadline) - absl::Now();
  std::deque<absl::Status>& failing = failures[method];
  if (failing.empty()) return grpc::Status::OK;
  const absl::Status status = failing.front();
  failing.pop_front();
  return net::ToGrpcStatus(status);
}

void FakeServer::StayOpen(grpc::ServerContext* context, std::unique_lock<std::mutex>& lock) {
  ++open_streams_;
  stream_peers.insert(context->peer());
  changed_.notify_all();
  // Nothing else tells a synchronous handler that its caller has gone.
  while (!stopping_ && !context->IsCancelled()) {
    changed_.wait_for(lock, std::chrono::milliseconds(2));
  }
  --open_streams_;
}

void FakeServer::WaitForOpenStreams(int count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return open_streams_ >= count; });
}

grpc::Status FakeServer::CreateJob(grpc::ServerContext* context,
                                   const v1::CreateJobRequest* request, v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  creates.push_back(*request);
  if (const grpc::Status status = Begin(context, "CreateJob", *request); !status.ok()) {
    return status;
  }
  if (unavailable_creates-- > 0) return {grpc::StatusCode::UNAVAILABLE, "try again"};
  if (!bad_field.empty()) {
    return net::ToGrpcStatus(net::WithViolations(absl::InvalidArgumentError("a bad field"),
                                                 {{bad_field, "is not liked"}}));
  }
  const std::string name = absl::StrCat(request->parent(), "/jobs/", request->job_id());
  for (const std::string& needed : spec::DependsOn(request->job().spec())) {
    if (!jobs.contains(absl::StrCat(request->parent(), "/jobs/", needed))) {
      return net::ToGrpcStatus(net::WithReason(
          absl::FailedPreconditionError(absl::StrCat("no job ", needed)), "SOURCE_NOT_FOUND"));
    }
  }
  *response = request->job();
  response->set_name(name);
  response->set_uid("u-1");
  response->set_kind(std::string(spec::KindName(request->job().spec())));
  response->set_state(v1::Job::PENDING);
  spec::ApplyDefaults(response->mutable_spec());
  if (!request->validate_only()) jobs[name] = *response;
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                                v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "GetJob", *request); !status.ok()) return status;
  const auto found = jobs.find(request->name());
  if (found == jobs.end()) return NoJob(request->name());
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                                  v1::ListJobsResponse* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "ListJobs", *request); !status.ok()) return status;
  // One job a page, so that a client must ask for all of them.
  auto next = request->page_token().empty() ? jobs.begin() : jobs.find(request->page_token());
  if (next == jobs.end()) return grpc::Status::OK;
  *response->add_jobs() = next->second;
  if (++next != jobs.end()) response->set_next_page_token(next->first);
  return grpc::Status::OK;
}

grpc::Status FakeServer::UpdateJob(grpc::ServerContext* context,
                                   const v1::UpdateJobRequest* request, v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "UpdateJob", *request); !status.ok()) {
    return status;
  }
  const auto found = jobs.find(request->job().name());
  if (found == jobs.end()) return NoJob(request->job().name());
  for (const std::string& path : request->update_mask().paths()) {
    if (path == "labels") *found->second.mutable_labels() = request->job().labels();
  }
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::ChangeJob(const std::string& name, v1::Job::State state,
                                   v1::Job* response) {
  const auto found = jobs.find(name);
  if (found == jobs.end()) return NoJob(name);
  if (found->second.state() >= v1::Job::SUCCEEDED && found->second.state() != state) {
    return net::ToGrpcStatus(
        net::WithReason(absl::FailedPreconditionError(absl::StrCat(name, " has ended")),
                        "ALREADY_TERMINAL", {{"state", "SUCCEEDED"}}));
  }
  found->second.set_state(state);
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::CancelJob(grpc::ServerContext* context,
                                   const v1::CancelJobRequest* request, v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "CancelJob", *request);
  return status.ok() ? ChangeJob(request->name(), v1::Job::CANCELLING, response) : status;
}

grpc::Status FakeServer::KillJob(grpc::ServerContext* context, const v1::KillJobRequest* request,
                                 v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "KillJob", *request);
  return status.ok() ? ChangeJob(request->name(), v1::Job::CANCELLED, response) : status;
}

grpc::Status FakeServer::PauseJob(grpc::ServerContext* context, const v1::PauseJobRequest* request,
                                  v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "PauseJob", *request);
  return status.ok() ? ChangeJob(request->name(), v1::Job::PAUSING, response) : status;
}

grpc::Status FakeServer::ResumeJob(grpc::ServerContext* context,
                                   const v1::ResumeJobRequest* request, v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "ResumeJob", *request);
  return status.ok() ? ChangeJob(request->name(), v1::Job::PENDING, response) : status;
}

grpc::Status FakeServer::RequeueJob(grpc::ServerContext* context,
                                    const v1::RequeueJobRequest* request, v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  const grpc::Status status = Begin(context, "RequeueJob", *request);
  return status.ok() ? ChangeJob(request->name(), v1::Job::PREEMPTING, response) : status;
}

grpc::Status FakeServer::DeleteJob(grpc::ServerContext* context,
                                   const v1::DeleteJobRequest* request, google::protobuf::Empty*) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "DeleteJob", *request); !status.ok()) {
    return status;
  }
  const auto found = jobs.find(request->name());
  if (found == jobs.end()) return NoJob(request->name());
  if (found->second.state() < v1::Job::SUCCEEDED) {
    return net::ToGrpcStatus(net::WithReason(
        absl::FailedPreconditionError(absl::StrCat(request->name(), " has not ended")),
        "NOT_TERMINAL"));
  }
  jobs.erase(found);
  return grpc::Status::OK;
}

grpc::Status FakeServer::ExplainJob(grpc::ServerContext* context,
                                    const v1::ExplainJobRequest* request,
                                    v1::JobExplanation* response) {
  const std::scoped_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "ExplainJob", *request); !status.ok()) {
    return status;
  }
  for (const v1::JobExplanation& explanation : explanations) {
    if (explanation.job() != request->name()) continue;
    *response = explanation;
    return grpc::Status::OK;
  }
  return NoJob(request->name());
}

grpc::Status FakeServer::WatchJobs(grpc::ServerContext* context,
                                   const v1::WatchJobsRequest* request,
                                   grpc::ServerWriter<v1::WatchJobsResponse>* writer) {
  std::unique_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "WatchJobs", *request); !status.ok()) {
    return status;
  }
  watch_tokens.push_back(request->resume_token());
  if (watch_sessions.empty()) return {grpc::StatusCode::UNAVAILABLE, "dropped"};
  const WatchSession session = watch_sessions.front();
  if (watch_sessions.size() > 1) watch_sessions.pop_front();
  for (const v1::WatchJobsResponse& message : session.messages) writer->Write(message);
  if (session.end.ok()) StayOpen(context, lock);
  return session.end.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "dropped")
                          : net::ToGrpcStatus(session.end);
}

grpc::Status FakeServer::WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                                  grpc::ServerWriter<v1::Job>* writer) {
  std::unique_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "WatchJob", *request); !status.ok()) return status;
  const auto found = jobs.find(request->name());
  if (found == jobs.end()) return NoJob(request->name());
  writer->Write(found->second);
  if (watch_stays_open) StayOpen(context, lock);
  return grpc::Status::OK;
}

grpc::Status FakeServer::Dropped(int64_t seq) const {
  const absl::Status dropped = absl::UnavailableError("dropped");
  if (!drop_politely) return net::ToGrpcStatus(dropped);
  return net::ToGrpcStatus(
      net::WithReason(dropped, "STREAM_ENDED", {{"nextSeq", absl::StrCat(seq + 1)}}));
}

grpc::Status FakeServer::StreamMetrics(grpc::ServerContext* context,
                                       const v1::StreamMetricsRequest* request,
                                       grpc::ServerWriter<v1::StreamMetricsResponse>* writer) {
  std::unique_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "StreamMetrics", *request); !status.ok()) {
    return status;
  }
  stream_starts.push_back(request->from_seq());
  const bool is_again = stream_starts.size() > 1;
  const int64_t first = std::max<int64_t>(1, request->from_seq() - (is_again ? repeat : 0));
  int sent = 0;
  for (int64_t seq = first; seq <= num_points; ++seq) {
    v1::StreamMetricsResponse response;
    v1::MetricPoint* point = response.mutable_batch()->add_points();
    point->set_seq(seq);
    point->set_name("loss");
    point->set_value(1.0 / static_cast<double>(seq));
    writer->Write(response);
    if (++sent == drop_after) return Dropped(seq);
  }
  if (stays_open) {
    StayOpen(context, lock);
    return Dropped(num_points);
  }
  v1::StreamMetricsResponse last;
  last.mutable_end()->set_state("SUCCEEDED");
  last.mutable_end()->set_last_seq(num_points);
  writer->Write(last);
  return grpc::Status::OK;
}

grpc::Status FakeServer::StreamLogs(grpc::ServerContext* context,
                                    const v1::StreamLogsRequest* request,
                                    grpc::ServerWriter<v1::StreamLogsResponse>* writer) {
  std::unique_lock lock(mutex_);
  if (const grpc::Status status = Begin(context, "StreamLogs", *request); !status.ok()) {
    return status;
  }
  stream_starts.push_back(request->from_seq());
  int64_t first = std::max<int64_t>(1, request->from_seq());
  if (request->tail() > 0) first = std::max<int64_t>(1, num_points - request->tail() + 1);
  int sent = 0;
  for (int64_t seq = first; seq <= num_points; ++seq) {
    v1::StreamLogsResponse response;
    v1::LogLine* line = response.mutable_batch()->add_lines();
    line->set_seq(seq);
    line->set_message(absl::StrCat("line ", seq));
    writer->Write(response);
    if (++sent == drop_after) return Dropped(seq);
  }
  if (stays_open) {
    StayOpen(context, lock);
    return Dropped(num_points);
  }
  v1::StreamLogsResponse last;
  last.mutable_end()->set_state("FAILED");
  last.mutable_end()->set_last_seq(num_points);
  writer->Write(last);
  return grpc::Status::OK;
}

grpc::Status FakeServer::QueryMetrics(grpc::ServerContext* context,
                                      const v1::QueryMetricsRequest* request,
                                      v1::QueryMetricsResponse*) {
  const std::scoped_lock lock(mutex_);
  return Begin(context, "QueryMetrics", *request);
}

}  // namespace g2ll::testing
