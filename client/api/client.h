#ifndef CLIENT_API_CLIENT_H_
#define CLIENT_API_CLIENT_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "g2ll/v1/checkpoint.grpc.pb.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "g2ll/v1/telemetry.grpc.pb.h"

namespace g2ll::client {

// How a client deals with time and with a server that goes away.
struct ClientOptions {
  absl::Duration read_timeout = absl::Seconds(10);     // of a call that only reads or cancels
  absl::Duration create_timeout = absl::Seconds(120);  // the server looks at the data set meanwhile
  int attempts = 4;                                    // of a call that does not reach the server
  absl::Duration first_backoff = absl::Milliseconds(200);
  absl::Duration max_backoff = absl::Seconds(2);
  // A stream that was open is opened again for so long without any message.
  absl::Duration stream_patience = absl::Seconds(60);
};

// Where a stream ends early without an error.
struct StreamControl {
  std::stop_token stop;                          // a stop ends the call with CANCELLED
  absl::Time deadline = absl::InfiniteFuture();  // DEADLINE_EXCEEDED
  // Told once for every time that the connection is lost.
  std::function<void(const absl::Status&)> on_reconnect;
};

// Tells how a file transfer stands: its name, bytes so far, bytes in all.
using TransferProgress = std::function<void(const std::string&, int64_t, int64_t)>;

// A connection to a coordinator. Job names are full: `projects/P/jobs/J`.
//
// Every error carries the server's reason where there is one (net::ReasonOf in
// proto/common/grpc_status.h). UNAVAILABLE means that the server was not reached,
// after retries with growing pauses; nothing else is retried. Calls block.
// Thread safe.
class Client {
 public:
  // `address` is host:port; the connection is made by the first call.
  explicit Client(const std::string& address, ClientOptions options = {});

  // Over a channel of the caller, for tests.
  Client(std::shared_ptr<grpc::Channel> channel, ClientOptions options);

  // A request without `request_id` gets a random one, so that retries are safe.
  absl::StatusOr<v1::Job> CreateJob(v1::CreateJobRequest request);
  absl::StatusOr<v1::Job> GetJob(const std::string& name, v1::JobView view = v1::BASIC);
  // All pages. `page_size` and `page_token` of the request are not used.
  absl::StatusOr<std::vector<v1::Job>> ListJobs(v1::ListJobsRequest request);
  absl::StatusOr<v1::Job> CancelJob(const std::string& name, const std::string& reason);
  absl::Status DeleteJob(const std::string& name);

  // Calls `on_job` with the job now and after every change until it has ended or
  // `on_job` returns false. Opens the stream again when the connection is lost.
  absl::Status WatchJob(const std::string& name, const std::function<bool(const v1::Job&)>& on_job,
                        const StreamControl& control = {});

  // Calls `on_point` for every point, each exactly once and in order, also when
  // the connection is lost in between; `on_gap` for numbers that are no longer
  // kept. Ends with the server's `End`, which is returned.
  absl::StatusOr<v1::End> StreamMetrics(v1::StreamMetricsRequest request,
                                        const std::function<void(const v1::MetricPoint&)>& on_point,
                                        const std::function<void(const v1::Gap&)>& on_gap,
                                        const StreamControl& control = {});
  // The same for log lines.
  absl::StatusOr<v1::End> StreamLogs(v1::StreamLogsRequest request,
                                     const std::function<void(const v1::LogLine&)>& on_line,
                                     const std::function<void(const v1::Gap&)>& on_gap,
                                     const StreamControl& control = {});

  absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const std::string& job);
  absl::StatusOr<v1::Checkpoint> GetCheckpoint(const std::string& id);

  // Writes `model.safetensors` and `config.json` into the folder `dir`, made if
  // needed; an encoder and a segmentation decoder become one file. Every digest
  // is checked first, and nothing appears in `dir` unless all is well.
  // Errors besides the server's: DATA_LOSS, UNAVAILABLE with reason
  // LOCAL_WRITE_FAILED (the folder cannot be written).
  absl::Status ExportCheckpoint(const std::string& id, v1::StreamExportRequest::What what,
                                const std::string& dir, const StreamControl& control = {},
                                const TransferProgress& progress = nullptr);
  // Writes a job's report into the folder `dir`, in the same way.
  absl::Status DownloadReport(const std::string& job, const std::string& dir,
                              const StreamControl& control = {},
                              const TransferProgress& progress = nullptr);

  absl::StatusOr<std::vector<v1::Worker>> ListWorkers();
  // Asked once, without retries and for at most `timeout`.
  absl::StatusOr<v1::ServerInfo> GetServerInfo(absl::Duration timeout);

 private:
  template <typename Stub, typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub, Method<Stub, Request, Response> method,
                                const Request& request, absl::Duration timeout);

  const ClientOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::JobService::Stub> jobs_;
  const std::unique_ptr<v1::TelemetryService::Stub> telemetry_;
  const std::unique_ptr<v1::CheckpointService::Stub> checkpoints_;
  const std::unique_ptr<v1::AdminService::Stub> admin_;
};

// A random UUID, version 4.
std::string RandomUuid();

}  // namespace g2ll::client

#endif  // CLIENT_API_CLIENT_H_
