// The calls of Client that read a stream.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/api/client.h"
#include "client/api/file_receiver.h"
#include "client/api/safetensors_merge.h"
#include "client/api/stream_reader.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"

namespace g2ll::client {
namespace {

namespace fs = std::filesystem;

bool HasEnded(const v1::Job& job) {
  return job.state() == v1::Job::SUCCEEDED || job.state() == v1::Job::FAILED ||
         job.state() == v1::Job::CANCELLED;
}

// A stream of numbered rows that goes on after the last row that was seen.
template <typename Response, typename Request, typename Open, typename Deliver>
absl::StatusOr<v1::End> FollowNumbered(Request request, const Open& open,
                                       const std::function<void(const v1::Gap&)>& on_gap,
                                       const Deliver& deliver, const StreamControl& control,
                                       const ClientOptions& options, grpc::Channel& channel) {
  v1::End end;
  int64_t last_seq = 0;
  const auto go_on_after = [&](int64_t seq) {
    last_seq = std::max(last_seq, seq);
    request.set_from_seq(last_seq + 1);
  };
  StreamPlan<Response> plan;
  plan.open = [&](grpc::ClientContext* context) { return open(context, request); };
  plan.on_message = [&](const Response& response) {
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
  };
  // A filter may have left out everything since the last row that was seen.
  plan.on_end = [&](const absl::Status& status) {
    const auto metadata = net::MetadataOf(status);
    const auto next = metadata.find("nextSeq");
    int64_t seq = 0;
    if (next != metadata.end() && absl::SimpleAtoi(next->second, &seq) && seq > 1) {
      go_on_after(seq - 1);
    }
    return false;
  };
  const absl::Status status = ReadStream<Response>(plan, control, options, channel);
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
  for (int attempt = 1;; ++attempt) {
    G2LL_ASSIGN_OR_RETURN(*receiver, FileReceiver::Create(dir));
    absl::Status local;
    StreamPlan<v1::FileChunk> plan;
    plan.open = open;
    plan.on_message = [&](const v1::FileChunk& chunk) {
      local = (*receiver)->Add(chunk);
      if (local.ok() && progress) {
        progress(chunk.path(), chunk.offset() + static_cast<int64_t>(chunk.data().size()),
                 chunk.total_size());
      }
      return local.ok() ? Next::kGoOn : Next::kDone;
    };
    bool is_done = false;
    const absl::Status status =
        ReadOnce<v1::FileChunk>(plan, control, options.wait_for_ready, &is_done);
    G2LL_RETURN_IF_ERROR(local);
    if (control.stop.stop_requested()) return absl::CancelledError("stopped");
    if (status.ok()) return (*receiver)->CheckComplete();
    if (!absl::IsUnavailable(status) || attempt >= options.attempts) return status;
    if (SleepUnlessStopped(RandomBackoff(attempt, options), control.stop)) {
      return absl::CancelledError("stopped");
    }
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

StreamControl Client::WithLimits(StreamControl control) const {
  control.deadline = std::min(control.deadline, options_.deadline);
  if (!control.stop.stop_possible()) control.stop = options_.stop;
  return control;
}

absl::Status Client::WatchJob(const std::string& name,
                              const std::function<bool(const v1::Job&)>& on_job,
                              const StreamControl& control) {
  const auto place = channels_.TakePlace();
  const auto stub = v1::JobService::NewStub(place->channel());
  v1::WatchJobRequest request;
  request.set_name(name);
  std::string seen_etag;
  StreamPlan<v1::Job> plan;
  plan.open = [&](grpc::ClientContext* context) { return stub->WatchJob(context, request); };
  plan.on_message = [&](const v1::Job& job) {
    // A new connection begins with the job as it is, which is no news if it was seen.
    const bool is_news = job.etag().empty() || job.etag() != seen_etag;
    seen_etag = job.etag();
    const bool go_on = !is_news || on_job(job);
    return go_on && !HasEnded(job) ? Next::kGoOn : Next::kDone;
  };
  return ReadStream<v1::Job>(plan, WithLimits(control), options_, *place->channel());
}

absl::Status Client::WatchJobs(v1::WatchJobsRequest request,
                               const std::function<bool(const JobChange&)>& on_change,
                               const StreamControl& control) {
  const auto place = channels_.TakePlace();
  const auto stub = v1::JobService::NewStub(place->channel());
  WatchLedger ledger(request.resume_token());
  StreamPlan<v1::WatchJobsResponse> plan;
  plan.open = [&](grpc::ClientContext* context) {
    request.set_resume_token(ledger.resume_token());
    return stub->WatchJobs(context, request);
  };
  plan.on_message = [&](const v1::WatchJobsResponse& message) {
    for (const JobChange& change : ledger.Take(message)) {
      if (!on_change(change)) return Next::kDone;
    }
    return Next::kGoOn;
  };
  plan.on_end = [&](const absl::Status& status) {
    const auto metadata = net::MetadataOf(status);
    if (const auto token = metadata.find("resumeToken"); token != metadata.end()) {
      ledger.GoOnAt(token->second);
    }
    if (net::ReasonOf(status) != "RESUME_EXPIRED" || ledger.resume_token().empty()) return false;
    ledger.BeginAnew();
    return true;
  };
  return ReadStream<v1::WatchJobsResponse>(plan, WithLimits(control), options_, *place->channel());
}

absl::StatusOr<v1::End> Client::StreamMetrics(
    v1::StreamMetricsRequest request, const std::function<void(const v1::MetricPoint&)>& on_point,
    const std::function<void(const v1::Gap&)>& on_gap, const StreamControl& control) {
  const auto place = channels_.TakePlace();
  const auto stub = v1::TelemetryService::NewStub(place->channel());
  return FollowNumbered<v1::StreamMetricsResponse>(
      std::move(request),
      [&](grpc::ClientContext* context, const v1::StreamMetricsRequest& from) {
        return stub->StreamMetrics(context, from);
      },
      on_gap,
      [&](const v1::StreamMetricsResponse& response, const auto& is_new) {
        for (const v1::MetricPoint& point : response.batch().points()) {
          if (is_new(point.seq())) on_point(point);
        }
      },
      WithLimits(control), options_, *place->channel());
}

absl::StatusOr<v1::End> Client::StreamLogs(v1::StreamLogsRequest request,
                                           const std::function<void(const v1::LogLine&)>& on_line,
                                           const std::function<void(const v1::Gap&)>& on_gap,
                                           const StreamControl& control) {
  const auto place = channels_.TakePlace();
  const auto stub = v1::TelemetryService::NewStub(place->channel());
  return FollowNumbered<v1::StreamLogsResponse>(
      std::move(request),
      [&](grpc::ClientContext* context, v1::StreamLogsRequest from) {
        // After a line was seen its number says where to go on, not the tail.
        if (from.tail() > 0 && from.from_seq() > 0) from.clear_tail();
        return stub->StreamLogs(context, from);
      },
      on_gap,
      [&](const v1::StreamLogsResponse& response, const auto& is_new) {
        for (const v1::LogLine& line : response.batch().lines()) {
          if (is_new(line.seq())) on_line(line);
        }
      },
      WithLimits(control), options_, *place->channel());
}

absl::Status Client::ExportCheckpoint(const std::string& id, v1::StreamExportRequest::What what,
                                      const std::string& dir, const StreamControl& control,
                                      const TransferProgress& progress) {
  const auto place = channels_.TakePlace();
  const auto stub = v1::CheckpointService::NewStub(place->channel());
  v1::StreamExportRequest request;
  request.set_id(id);
  request.set_what(what);
  std::unique_ptr<FileReceiver> receiver;
  G2LL_RETURN_IF_ERROR(ReceiveFiles(
      [&](grpc::ClientContext* context) { return stub->StreamExport(context, request); }, dir,
      options_, WithLimits(control), progress, &receiver));
  G2LL_RETURN_IF_ERROR(JoinSegmenter(receiver->staging()));
  return receiver->Publish();
}

absl::Status Client::DownloadReport(const std::string& job, const std::string& dir,
                                    const StreamControl& control,
                                    const TransferProgress& progress) {
  const auto place = channels_.TakePlace();
  const auto stub = v1::JobService::NewStub(place->channel());
  v1::StreamReportRequest request;
  request.set_name(job);
  std::unique_ptr<FileReceiver> receiver;
  G2LL_RETURN_IF_ERROR(ReceiveFiles(
      [&](grpc::ClientContext* context) { return stub->StreamReport(context, request); }, dir,
      options_, WithLimits(control), progress, &receiver));
  return receiver->Publish();
}

absl::Status Client::BackupStore(const std::string& file, const StreamControl& control,
                                 const TransferProgress& progress) {
  const auto place = channels_.TakePlace();
  const auto stub = v1::AdminService::NewStub(place->channel());
  const v1::StreamBackupRequest request;
  std::unique_ptr<FileReceiver> receiver;
  G2LL_RETURN_IF_ERROR(FileReceiver::CheckFree(file));
  // Beside the file, so that it can be moved into its place.
  G2LL_RETURN_IF_ERROR(ReceiveFiles(
      [&](grpc::ClientContext* context) { return stub->StreamBackup(context, request); },
      file + ".parts", options_, WithLimits(control), progress, &receiver));
  return receiver->PublishAs(file);
}

}  // namespace g2ll::client
