#include "tests/client/fake_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <openssl/sha.h>

#include <algorithm>
#include <chrono>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"

namespace g2ll::testing {
namespace {

std::string Sha256(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(std::string(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

grpc::Status NoJob(const std::string& name) {
  return net::ToGrpcStatus(
      net::WithReason(absl::NotFoundError(absl::StrCat(name, " does not exist")), "JOB_NOT_FOUND"));
}

}  // namespace

FakeServer::FakeServer() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(static_cast<v1::JobService::Service*>(this));
  builder.RegisterService(static_cast<v1::TelemetryService::Service*>(this));
  builder.RegisterService(static_cast<v1::CheckpointService::Service*>(this));
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeServer::~FakeServer() { server_->Shutdown(std::chrono::system_clock::now()); }

grpc::Status FakeServer::CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                                   v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  creates.push_back(*request);
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

grpc::Status FakeServer::GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                                v1::Job* response) {
  const std::scoped_lock lock(mutex_);
  const auto found = jobs.find(request->name());
  if (found == jobs.end()) return NoJob(request->name());
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                                  v1::ListJobsResponse* response) {
  const std::scoped_lock lock(mutex_);
  // One job a page, so that a client must ask for all of them.
  auto next = request->page_token().empty() ? jobs.begin() : jobs.find(request->page_token());
  if (next == jobs.end()) return grpc::Status::OK;
  *response->add_jobs() = next->second;
  if (++next != jobs.end()) response->set_next_page_token(next->first);
  return grpc::Status::OK;
}

grpc::Status FakeServer::WatchJob(grpc::ServerContext*, const v1::WatchJobRequest* request,
                                  grpc::ServerWriter<v1::Job>* writer) {
  const std::scoped_lock lock(mutex_);
  const auto found = jobs.find(request->name());
  if (found == jobs.end()) return NoJob(request->name());
  writer->Write(found->second);
  return grpc::Status::OK;
}

grpc::Status FakeServer::StreamMetrics(grpc::ServerContext*,
                                       const v1::StreamMetricsRequest* request,
                                       grpc::ServerWriter<v1::StreamMetricsResponse>* writer) {
  const std::scoped_lock lock(mutex_);
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
    if (++sent == drop_after) return {grpc::StatusCode::UNAVAILABLE, "dropped"};
  }
  v1::StreamMetricsResponse last;
  last.mutable_end()->set_state("SUCCEEDED");
  last.mutable_end()->set_last_seq(num_points);
  writer->Write(last);
  return grpc::Status::OK;
}

grpc::Status FakeServer::SendFiles(grpc::ServerWriter<v1::FileChunk>* writer) {
  const std::scoped_lock lock(mutex_);
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

grpc::Status FakeServer::StreamReport(grpc::ServerContext*, const v1::StreamReportRequest*,
                                      grpc::ServerWriter<v1::FileChunk>* writer) {
  return SendFiles(writer);
}

grpc::Status FakeServer::ListCheckpoints(grpc::ServerContext*, const v1::ListCheckpointsRequest*,
                                         v1::ListCheckpointsResponse*) {
  return grpc::Status::OK;
}

grpc::Status FakeServer::StreamExport(grpc::ServerContext*, const v1::StreamExportRequest*,
                                      grpc::ServerWriter<v1::FileChunk>* writer) {
  return SendFiles(writer);
}

}  // namespace g2ll::testing
