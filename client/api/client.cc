#include "client/api/client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/str_format.h"
#include "client/api/client_calls.h"
#include "proto/common/status_macros.h"

namespace g2ll::client {
namespace {

// Small enough that a page of jobs with long specs fits the server's largest message.
constexpr int kPageSize = 200;
// Of one message: a job with all its events, or a batch of points.
constexpr int kMaxMessageBytes = 64 << 20;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  // Retries are ours: the library's own would repeat what must not be repeated.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // A proxy of the environment must not stand between this and a local server.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // A connection of its own for each channel, or streams could not be spread.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

std::string RandomUuid() {
  std::random_device device;
  const auto word = [&device] {
    return static_cast<uint64_t>(device()) << 32 | static_cast<uint64_t>(device());
  };
  const uint64_t high = (word() & ~uint64_t{0xf000}) | 0x4000;
  const uint64_t low = (word() & (~uint64_t{0} >> 2)) | (uint64_t{1} << 63);
  return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32, high >> 16 & 0xffff,
                         high & 0xffff, low >> 48, low & 0xffffffffffff);
}

Client::Client(const std::string& address, ClientOptions options)
    : Client([address] { return MakeChannel(address); }, std::move(options)) {}

Client::Client(std::shared_ptr<grpc::Channel> channel, ClientOptions options)
    : Client([channel] { return channel; }, std::move(options)) {}

Client::Client(const ChannelPool::MakeChannel& make, ClientOptions options)
    : options_(std::move(options)),
      channels_(make, options_.streams_per_channel),
      jobs_(v1::JobService::NewStub(channels_.first())),
      telemetry_(v1::TelemetryService::NewStub(channels_.first())),
      checkpoints_(v1::CheckpointService::NewStub(channels_.first())),
      queues_(v1::QueueService::NewStub(channels_.first())),
      admin_(v1::AdminService::NewStub(channels_.first())) {}

absl::StatusOr<v1::Job> Client::CreateJob(v1::CreateJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(RandomUuid());
  return Call(*jobs_, &v1::JobService::Stub::CreateJob, request, options_.create_timeout);
}

absl::StatusOr<v1::Job> Client::GetJob(const std::string& name, v1::JobView view) {
  v1::GetJobRequest request;
  request.set_name(name);
  request.set_view(view);
  return Call(*jobs_, &v1::JobService::Stub::GetJob, request, options_.read_timeout);
}

absl::StatusOr<std::vector<v1::Job>> Client::ListJobs(v1::ListJobsRequest request, int limit) {
  request.clear_page_token();
  std::vector<v1::Job> jobs;
  const auto still_wanted = [&] { return limit - static_cast<int>(jobs.size()); };
  do {
    request.set_page_size(limit > 0 ? std::min(kPageSize, still_wanted()) : kPageSize);
    G2LL_ASSIGN_OR_RETURN(v1::ListJobsResponse page, Call(*jobs_, &v1::JobService::Stub::ListJobs,
                                                          request, options_.read_timeout));
    std::move(page.mutable_jobs()->begin(), page.mutable_jobs()->end(), std::back_inserter(jobs));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && (limit == 0 || still_wanted() > 0));
  if (limit > 0 && still_wanted() < 0) jobs.resize(static_cast<size_t>(limit));
  return jobs;
}

absl::StatusOr<v1::Job> Client::UpdateJob(const v1::UpdateJobRequest& request) {
  return Call(*jobs_, &v1::JobService::Stub::UpdateJob, request, options_.read_timeout,
              request.job().etag().empty() ? Retry::kIfUnavailable : Retry::kNever);
}

template <typename Request>
absl::StatusOr<v1::Job> Client::Change(Method<v1::JobService::Stub, Request, v1::Job> method,
                                       Request request, const std::string& name,
                                       const ChangeNote& note) {
  request.set_name(name);
  request.set_reason(note.reason);
  request.set_etag(note.etag);
  // Asking again has no further effect, but with an etag it would no longer fit.
  const bool once = !note.etag.empty();
  return Call(*jobs_, method, request, options_.read_timeout,
              once ? Retry::kNever : Retry::kIfUnavailable);
}

absl::StatusOr<v1::Job> Client::CancelJob(const std::string& name, const ChangeNote& note) {
  return Change(&v1::JobService::Stub::CancelJob, v1::CancelJobRequest(), name, note);
}

absl::StatusOr<v1::Job> Client::KillJob(const std::string& name, const ChangeNote& note) {
  return Change(&v1::JobService::Stub::KillJob, v1::KillJobRequest(), name, note);
}

absl::StatusOr<v1::Job> Client::PauseJob(const std::string& name, const ChangeNote& note) {
  return Change(&v1::JobService::Stub::PauseJob, v1::PauseJobRequest(), name, note);
}

absl::StatusOr<v1::Job> Client::ResumeJob(const std::string& name, const ChangeNote& note) {
  return Change(&v1::JobService::Stub::ResumeJob, v1::ResumeJobRequest(), name, note);
}

absl::StatusOr<v1::Job> Client::RequeueJob(const std::string& name, const ChangeNote& note) {
  v1::RequeueJobRequest request;
  request.set_request_id(RandomUuid());
  return Change(&v1::JobService::Stub::RequeueJob, request, name, note);
}

absl::Status Client::DeleteJob(const std::string& name, const std::string& etag) {
  v1::DeleteJobRequest request;
  request.set_name(name);
  request.set_etag(etag);
  return Remove(*jobs_, &v1::JobService::Stub::DeleteJob, request);
}

absl::StatusOr<v1::JobExplanation> Client::ExplainJob(const std::string& name) {
  v1::ExplainJobRequest request;
  request.set_name(name);
  return Call(*jobs_, &v1::JobService::Stub::ExplainJob, request, options_.read_timeout);
}

}  // namespace g2ll::client
