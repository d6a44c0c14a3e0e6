#include "client/api/client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/api/file_receiver.h"
#include "client/api/safetensors_merge.h"
#include "client/api/stream_reader.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"

namespace g2ll::client {
namespace {

namespace fs = std::filesystem;

constexpr int kPageSize = 1000;
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
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// A stream of numbered rows that goes on after the last row that was seen.
template <typename Response, typename Request, typename Deliver>
absl::StatusOr<v1::End> FollowNumbered(
    Request request, const ClientOptions& options, const StreamControl& control,
    const std::function<std::unique_ptr<grpc::ClientReader<Response>>(grpc::ClientContext*,
                                                                      const Request&)>& open,
    const std::function<void(const v1::Gap&)>& on_gap, const Deliver& deliver) {
  v1::End end;
  int64_t last_seq = 0;
  const auto go_on_after = [&](int64_t seq) {
    last_seq = std::max(last_seq, seq);
    request.set_from_seq(last_seq + 1);
  };
  absl::Status status =
      ReadStream<Response>([&](grpc::ClientContext* context) { return open(context, request); },
                           [&](const Response& response) {
                             if (response.has_end()) {
                               end = response.end();
                               return Next::kDone;
                             }
                             if (response.has_gap() && response.gap().last_seq() > last_seq) {
                               if (on_gap) on_gap(response.gap());
                               go_on_after(response.gap().last_seq());
                             }
                             deliver(response, [&](int64_t seq) {
                               if (seq <= last_seq) return false;  // sent again after a reconnect
                               go_on_after(seq);
                               return true;
                             });
                             return Next::kGoOn;
                           },
                           control, options);
  if (!status.ok()) return status;
  return end;
}

// Reads a stream of files. A transfer that breaks off starts over: files are
// small beside the time of a job, and half a file proves nothing.
absl::Status ReceiveFiles(
    const std::function<std::unique_ptr<grpc::ClientReader<v1::FileChunk>>(grpc::ClientContext*)>&
        open,
    const std::string& dir, const ClientOptions& options, const StreamControl& control,
    const TransferProgress& progress, std::unique_ptr<FileReceiver>* receiver) {
  absl::Duration backoff = options.first_backoff;
  for (int attempt = 1;; ++attempt) {
    G2LL_ASSIGN_OR_RETURN(*receiver, FileReceiver::Create(dir));
    absl::Status local;
    bool is_done = false;
    absl::Status status = ReadOnce<v1::FileChunk>(
        open,
        [&](const v1::FileChunk& chunk) {
          local = (*receiver)->Add(chunk);
          if (local.ok() && progress) {
            progress(chunk.path(), chunk.offset() + static_cast<int64_t>(chunk.data().size()),
                     chunk.total_size());
          }
          return local.ok() ? Next::kGoOn : Next::kDone;
        },
        control, &is_done);
    G2LL_RETURN_IF_ERROR(local);
    if (control.stop.stop_requested()) return absl::CancelledError("stopped");
    if (status.ok()) return (*receiver)->CheckComplete();
    if (!absl::IsUnavailable(status) || attempt >= options.attempts) return status;
    if (SleepUnlessStopped(backoff, control.stop)) return absl::CancelledError("stopped");
    backoff = std::min(backoff * 2, options.max_backoff);
  }
}

// Makes one model of what the server sent for a segmenter.
absl::Status JoinSegmenter(const fs::path& dir) {
  const fs::path encoder = dir / "encoder.safetensors";
  const fs::path segmentation = dir / "segmentation.safetensors";
  std::error_code error;
  if (fs::exists(encoder, error)) {
    std::vector<fs::path> parts = {encoder};
    if (fs::exists(segmentation, error)) parts.push_back(segmentation);
    G2LL_RETURN_IF_ERROR(MergeSafetensors(parts, dir / "model.safetensors"));
    for (const fs::path& part : parts) fs::remove(part, error);
  }
  if (fs::exists(dir / "export_config.json", error)) {
    fs::rename(dir / "export_config.json", dir / "config.json", error);
  }
  if (!fs::exists(dir / "model.safetensors", error) || !fs::exists(dir / "config.json", error)) {
    return absl::DataLossError("the server sent no model.safetensors or no config.json");
  }
  return absl::OkStatus();
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
    : Client(MakeChannel(address), options) {}

Client::Client(std::shared_ptr<grpc::Channel> channel, ClientOptions options)
    : options_(options),
      channel_(std::move(channel)),
      jobs_(v1::JobService::NewStub(channel_)),
      telemetry_(v1::TelemetryService::NewStub(channel_)),
      checkpoints_(v1::CheckpointService::NewStub(channel_)),
      admin_(v1::AdminService::NewStub(channel_)) {}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(Stub& stub, Method<Stub, Request, Response> method,
                                      const Request& request, absl::Duration timeout) {
  absl::Duration backoff = options_.first_backoff;
  for (int attempt = 1;; ++attempt) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) return response;
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE || attempt >= options_.attempts) {
      return net::FromGrpcStatus(status);
    }
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(backoff));
    backoff = std::min(backoff * 2, options_.max_backoff);
  }
}

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

absl::StatusOr<std::vector<v1::Job>> Client::ListJobs(v1::ListJobsRequest request) {
  request.set_page_size(kPageSize);
  request.clear_page_token();
  std::vector<v1::Job> jobs;
  do {
    G2LL_ASSIGN_OR_RETURN(v1::ListJobsResponse page, Call(*jobs_, &v1::JobService::Stub::ListJobs,
                                                          request, options_.read_timeout));
    std::move(page.mutable_jobs()->begin(), page.mutable_jobs()->end(), std::back_inserter(jobs));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return jobs;
}

absl::StatusOr<v1::Job> Client::CancelJob(const std::string& name, const std::string& reason) {
  v1::CancelJobRequest request;
  request.set_name(name);
  request.set_reason(reason);
  return Call(*jobs_, &v1::JobService::Stub::CancelJob, request, options_.read_timeout);
}

absl::Status Client::DeleteJob(const std::string& name) {
  v1::DeleteJobRequest request;
  request.set_name(name);
  return Call(*jobs_, &v1::JobService::Stub::DeleteJob, request, options_.read_timeout).status();
}

absl::Status Client::WatchJob(const std::string& name,
                              const std::function<bool(const v1::Job&)>& on_job,
                              const StreamControl& control) {
  v1::WatchJobRequest request;
  request.set_name(name);
  return ReadStream<v1::Job>(
      [&](grpc::ClientContext* context) { return jobs_->WatchJob(context, request); },
      [&](const v1::Job& job) {
        const bool has_ended = job.state() == v1::Job::SUCCEEDED ||
                               job.state() == v1::Job::FAILED || job.state() == v1::Job::CANCELLED;
        return on_job(job) && !has_ended ? Next::kGoOn : Next::kDone;
      },
      control, options_);
}

absl::StatusOr<v1::End> Client::StreamMetrics(
    v1::StreamMetricsRequest request, const std::function<void(const v1::MetricPoint&)>& on_point,
    const std::function<void(const v1::Gap&)>& on_gap, const StreamControl& control) {
  return FollowNumbered<v1::StreamMetricsResponse, v1::StreamMetricsRequest>(
      std::move(request), options_, control,
      [this](grpc::ClientContext* context, const v1::StreamMetricsRequest& from) {
        return telemetry_->StreamMetrics(context, from);
      },
      on_gap,
      [&](const v1::StreamMetricsResponse& response, const auto& is_new) {
        for (const v1::MetricPoint& point : response.batch().points()) {
          if (is_new(point.seq())) on_point(point);
        }
      });
}

absl::StatusOr<v1::End> Client::StreamLogs(v1::StreamLogsRequest request,
                                           const std::function<void(const v1::LogLine&)>& on_line,
                                           const std::function<void(const v1::Gap&)>& on_gap,
                                           const StreamControl& control) {
  return FollowNumbered<v1::StreamLogsResponse, v1::StreamLogsRequest>(
      std::move(request), options_, control,
      [this](grpc::ClientContext* context, v1::StreamLogsRequest from) {
        // After a line was seen its number says where to go on, not the tail.
        if (from.tail() > 0 && from.from_seq() > 0) from.clear_tail();
        return telemetry_->StreamLogs(context, from);
      },
      on_gap,
      [&](const v1::StreamLogsResponse& response, const auto& is_new) {
        for (const v1::LogLine& line : response.batch().lines()) {
          if (is_new(line.seq())) on_line(line);
        }
      });
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

absl::Status Client::ExportCheckpoint(const std::string& id, v1::StreamExportRequest::What what,
                                      const std::string& dir, const StreamControl& control,
                                      const TransferProgress& progress) {
  v1::StreamExportRequest request;
  request.set_id(id);
  request.set_what(what);
  std::unique_ptr<FileReceiver> receiver;
  G2LL_RETURN_IF_ERROR(ReceiveFiles(
      [&](grpc::ClientContext* context) { return checkpoints_->StreamExport(context, request); },
      dir, options_, control, progress, &receiver));
  G2LL_RETURN_IF_ERROR(JoinSegmenter(receiver->staging()));
  return receiver->Publish();
}

absl::Status Client::DownloadReport(const std::string& job, const std::string& dir,
                                    const StreamControl& control,
                                    const TransferProgress& progress) {
  v1::StreamReportRequest request;
  request.set_name(job);
  std::unique_ptr<FileReceiver> receiver;
  G2LL_RETURN_IF_ERROR(ReceiveFiles(
      [&](grpc::ClientContext* context) { return jobs_->StreamReport(context, request); }, dir,
      options_, control, progress, &receiver));
  return receiver->Publish();
}

absl::StatusOr<std::vector<v1::Worker>> Client::ListWorkers() {
  G2LL_ASSIGN_OR_RETURN(const v1::ListWorkersResponse response,
                        Call(*admin_, &v1::AdminService::Stub::ListWorkers,
                             v1::ListWorkersRequest(), options_.read_timeout));
  return std::vector<v1::Worker>(response.workers().begin(), response.workers().end());
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo(absl::Duration timeout) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  v1::ServerInfo info;
  const grpc::Status status = admin_->GetServerInfo(&context, v1::GetServerInfoRequest(), &info);
  if (!status.ok()) return net::FromGrpcStatus(status);
  return info;
}

}  // namespace g2ll::client
