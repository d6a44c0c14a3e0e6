#ifndef CLIENT_API_CLIENT_H_
#define CLIENT_API_CLIENT_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/api/channel_pool.h"
#include "client/api/options.h"
#include "client/api/unary_call.h"
#include "client/api/watch_ledger.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "g2ll/v1/checkpoint.grpc.pb.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "g2ll/v1/queue.grpc.pb.h"
#include "g2ll/v1/telemetry.grpc.pb.h"

namespace g2ll::client {

// Tells how a file transfer stands: its name, bytes so far, bytes in all.
using TransferProgress = std::function<void(const std::string&, int64_t, int64_t)>;

// What goes with a change of a job's course.
struct ChangeNote {
  std::string reason;  // for the job's events
  std::string etag;    // only if the job still has it; empty: always
};

// A connection to a coordinator. Names are full: `projects/P/jobs/J`,
// `projects/P/queues/Q`, `projects/P`; a worker's name and a checkpoint's id are short.
//
// Every error carries the server's reason where there is one (net::ReasonOf in
// proto/common/grpc_status.h). UNAVAILABLE means that the server was not reached;
// calls that read, that are idempotent or that carry a request id were tried again
// before, after growing pauses. Nothing else is retried. DEADLINE_EXCEEDED means that
// it did not answer in time. Calls block. Thread safe.
class Client {
 public:
  // `address` is host:port; the connection is made by the first call.
  explicit Client(const std::string& address, ClientOptions options = {});

  // Over a channel of the caller, for tests.
  Client(std::shared_ptr<grpc::Channel> channel, ClientOptions options);

  // --- Jobs ---

  // A request without `request_id` gets a random one, so that retries are safe.
  absl::StatusOr<v1::Job> CreateJob(v1::CreateJobRequest request);
  // One job; with view FULL also its events.
  absl::StatusOr<v1::Job> GetJob(const std::string& name, v1::JobView view = v1::BASIC);
  // All pages, at most `limit` jobs; 0 is no limit. `page_size` and `page_token` of the
  // request are not used.
  absl::StatusOr<std::vector<v1::Job>> ListJobs(v1::ListJobsRequest request, int limit = 0);
  // Changes priority, labels or limits. Not tried again where the request has an etag,
  // which its own success changes.
  absl::StatusOr<v1::Job> UpdateJob(const v1::UpdateJobRequest& request);
  // Asks a job to stop for good; its ranks may end in order.
  absl::StatusOr<v1::Job> CancelJob(const std::string& name, const ChangeNote& note = {});
  // The same, but its processes are killed at once.
  absl::StatusOr<v1::Job> KillJob(const std::string& name, const ChangeNote& note = {});
  // Asks a job to stop at a checkpoint until it is resumed.
  absl::StatusOr<v1::Job> PauseJob(const std::string& name, const ChangeNote& note = {});
  // Lets a paused or held job go on.
  absl::StatusOr<v1::Job> ResumeJob(const std::string& name, const ChangeNote& note = {});
  // Ends a job's attempt at a checkpoint and places it anew.
  absl::StatusOr<v1::Job> RequeueJob(const std::string& name, const ChangeNote& note = {});
  // Removes an ended job with its metrics, logs and checkpoints.
  absl::Status DeleteJob(const std::string& name, const std::string& etag = "");
  // Why a job stands where it stands, with numbers.
  absl::StatusOr<v1::JobExplanation> ExplainJob(const std::string& name);

  // Calls `on_job` with the job now and after every change until it has ended or
  // `on_job` returns false. Goes on when the connection is lost, without repeating a
  // version that was seen.
  absl::Status WatchJob(const std::string& name, const std::function<bool(const v1::Job&)>& on_job,
                        const StreamControl& control = {});
  // Calls `on_change` with every job of the filter as it is now and then with every
  // change until it returns false; no change twice and none left out, also where the
  // connection is lost or the server no longer knows where to go on.
  absl::Status WatchJobs(v1::WatchJobsRequest request,
                         const std::function<bool(const JobChange&)>& on_change,
                         const StreamControl& control = {});

  // --- Metrics and logs ---

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
  // Curves with a bounded number of points each.
  absl::StatusOr<v1::QueryMetricsResponse> QueryMetrics(const v1::QueryMetricsRequest& request);

  // --- Checkpoints and reports ---

  // A job's checkpoints, newest first.
  absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const std::string& job);
  // One checkpoint by its id.
  absl::StatusOr<v1::Checkpoint> GetCheckpoint(const std::string& id);
  // Keeps a checkpoint from being removed by itself, or lets it go.
  absl::StatusOr<v1::Checkpoint> PinCheckpoint(const std::string& id, bool pinned);
  // Has the server read every file and compare digests, which may take minutes; a
  // checkpoint that is not as it was comes back as DAMAGED.
  absl::StatusOr<v1::Checkpoint> VerifyCheckpoint(const std::string& id);
  // Removes a checkpoint that nothing needs.
  absl::Status DeleteCheckpoint(const std::string& id);
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

  // --- Queues and projects ---

  // Makes a queue. Not tried again: a second arrival would find it taken.
  absl::StatusOr<v1::Queue> CreateQueue(const v1::CreateQueueRequest& request);
  // One queue with how many wait and run in it.
  absl::StatusOr<v1::Queue> GetQueue(const std::string& name);
  // The queues of `projects/P`, or of all with `projects/-`.
  absl::StatusOr<std::vector<v1::Queue>> ListQueues(const std::string& parent);
  // Holds or drains a queue, lets it go on, sets its limit. Not tried again where the
  // request has an etag.
  absl::StatusOr<v1::Queue> UpdateQueue(const v1::UpdateQueueRequest& request);
  // Removes an empty queue.
  absl::Status DeleteQueue(const std::string& name);
  // Waiting jobs in scheduling order with the reason of each; all pages. `parent`: `projects/P` or
  // `projects/-`.
  absl::StatusOr<std::vector<v1::JobExplanation>> ListWaitingJobs(const std::string& parent);
  // One project with what it uses.
  absl::StatusOr<v1::Project> GetProject(const std::string& name);
  // All projects by name.
  absl::StatusOr<std::vector<v1::Project>> ListProjects();
  // Sets share and limits. Not tried again where the request has an etag.
  absl::StatusOr<v1::Project> UpdateProject(const v1::UpdateProjectRequest& request);

  // --- Workers and the server ---

  // All known workers by name.
  absl::StatusOr<std::vector<v1::Worker>> ListWorkers();
  // One worker with what runs there.
  absl::StatusOr<v1::Worker> GetWorker(const std::string& name);
  // Gives a worker no new work; what runs there goes on.
  absl::StatusOr<v1::Worker> CordonWorker(const std::string& name, const std::string& reason);
  // Takes back cordon, drain and quarantine.
  absl::StatusOr<v1::Worker> UncordonWorker(const std::string& name);
  // Gives a worker no new work and moves what runs there elsewhere.
  absl::StatusOr<v1::Worker> DrainWorker(const std::string& name, const std::string& reason);
  // What the server is.
  absl::StatusOr<v1::ServerInfo> GetServerInfo();
  // Writes a copy of the server's store to `file`, which appears whole or not at all and
  // must not exist. Errors besides the server's: ALREADY_EXISTS, DATA_LOSS, UNAVAILABLE
  // with reason LOCAL_WRITE_FAILED.
  absl::Status BackupStore(const std::string& file, const StreamControl& control = {},
                           const TransferProgress& progress = nullptr);

 private:
  Client(const ChannelPool::MakeChannel& make, ClientOptions options);

  template <typename Stub, typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  // Makes a call with its deadline and its retries.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub, Method<Stub, Request, Response> method,
                                const Request& request, absl::Duration timeout,
                                Retry retry = Retry::kIfUnavailable);
  // The same for a call that removes something: where an earlier try was perhaps lost on
  // the way back, NOT_FOUND means that it is done.
  template <typename Stub, typename Request>
  absl::Status Remove(Stub& stub, Method<Stub, Request, google::protobuf::Empty> method,
                      const Request& request);
  // Cancel, kill, pause, resume and requeue have requests of the same form.
  template <typename Request>
  absl::StatusOr<v1::Job> Change(Method<v1::JobService::Stub, Request, v1::Job> method,
                                 Request request, const std::string& name, const ChangeNote& note);
  // The limits that hold for every stream of this client, on top of the caller's.
  StreamControl WithLimits(StreamControl control) const;
  const ClientOptions options_;
  ChannelPool channels_;
  const std::unique_ptr<v1::JobService::Stub> jobs_;
  const std::unique_ptr<v1::TelemetryService::Stub> telemetry_;
  const std::unique_ptr<v1::CheckpointService::Stub> checkpoints_;
  const std::unique_ptr<v1::QueueService::Stub> queues_;
  const std::unique_ptr<v1::AdminService::Stub> admin_;
};

// A random UUID, version 4.
std::string RandomUuid();

}  // namespace g2ll::client

#endif  // CLIENT_API_CLIENT_H_
