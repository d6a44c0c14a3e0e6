#ifndef TESTS_CLIENT_FAKE_SERVER_H_
#define TESTS_CLIENT_FAKE_SERVER_H_

#include <grpcpp/server.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "g2ll/v1/checkpoint.grpc.pb.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "g2ll/v1/queue.grpc.pb.h"
#include "g2ll/v1/telemetry.grpc.pb.h"

namespace g2ll::testing {

// One connection of WatchJobs: what it sends, then how it ends.
struct WatchSession {
  std::vector<v1::WatchJobsResponse> messages;
  absl::Status end;
};

// A coordinator that answers from memory and drops streams on purpose. Fields
// are set before the first call, or while no call runs.
class FakeServer final : public v1::JobService::Service,
                         public v1::TelemetryService::Service,
                         public v1::CheckpointService::Service,
                         public v1::QueueService::Service,
                         public v1::AdminService::Service {
 public:
  // Listens on a free loopback port.
  FakeServer();
  ~FakeServer() override;

  const std::string& address() const { return address_; }
  // Ends all calls and closes the port; what it knows stays.
  void Stop();
  // Listens again where it did.
  void Start();

  // Jobs by full name.
  std::map<std::string, v1::Job> jobs;
  // What ExplainJob and ListWaitingJobs say, in order.
  std::vector<v1::JobExplanation> explanations;
  // Points and lines 1..N of every job.
  int num_points = 0;
  // A stream ends as if the connection were lost after so many rows; 0: never.
  int drop_after = 0;
  // A dropped stream says where to go on, as a server does that ends it by itself.
  bool drop_politely = false;
  // Of a dropped stream, so many rows are sent a second time after it is opened again.
  int repeat = 0;
  // A stream of rows stays open after the last row, without an end.
  bool stays_open = false;
  // WatchJob sends the job and stays open.
  bool watch_stays_open = false;
  // What WatchJobs does, one connection after the other; the last one again and again.
  std::deque<WatchSession> watch_sessions;
  // Files of every export, report and backup, by name.
  std::vector<std::pair<std::string, std::string>> files;
  // The digests that are sent are wrong.
  bool damaged = false;
  // So many calls of CreateJob are answered with UNAVAILABLE first.
  int unavailable_creates = 0;
  // CreateJob refuses this field; empty: none.
  std::string bad_field;
  // The next calls of a method end with these.
  std::map<std::string, std::deque<absl::Status>> failures;
  std::map<std::string, v1::Worker> workers;
  std::map<std::string, v1::Queue> queues;      // by full name
  std::map<std::string, v1::Project> projects;  // by full name
  std::map<std::string, v1::Checkpoint> checkpoints;

  // What was asked.
  std::vector<v1::CreateJobRequest> creates;
  std::vector<int64_t> stream_starts;
  std::vector<std::string> watch_tokens;
  std::set<std::string> stream_peers;
  // The newest request of each method as text.
  std::map<std::string, std::string> requests;
  std::map<std::string, int> num_calls;
  // Time left when each method was called last; infinite: no deadline.
  std::map<std::string, absl::Duration> time_left;
  // Blocks until so many streams are open at the same time.
  void WaitForOpenStreams(int count);

  grpc::Status CreateJob(grpc::ServerContext* context, const v1::CreateJobRequest* request,
                         v1::Job* response) override;
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                      v1::Job* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override;
  grpc::Status UpdateJob(grpc::ServerContext* context, const v1::UpdateJobRequest* request,
                         v1::Job* response) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const v1::CancelJobRequest* request,
                         v1::Job* response) override;
  grpc::Status KillJob(grpc::ServerContext* context, const v1::KillJobRequest* request,
                       v1::Job* response) override;
  grpc::Status PauseJob(grpc::ServerContext* context, const v1::PauseJobRequest* request,
                        v1::Job* response) override;
  grpc::Status ResumeJob(grpc::ServerContext* context, const v1::ResumeJobRequest* request,
                         v1::Job* response) override;
  grpc::Status RequeueJob(grpc::ServerContext* context, const v1::RequeueJobRequest* request,
                          v1::Job* response) override;
  grpc::Status DeleteJob(grpc::ServerContext* context, const v1::DeleteJobRequest* request,
                         google::protobuf::Empty* response) override;
  grpc::Status ExplainJob(grpc::ServerContext* context, const v1::ExplainJobRequest* request,
                          v1::JobExplanation* response) override;
  grpc::Status WatchJobs(grpc::ServerContext* context, const v1::WatchJobsRequest* request,
                         grpc::ServerWriter<v1::WatchJobsResponse>* writer) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::Job>* writer) override;
  grpc::Status StreamReport(grpc::ServerContext* context, const v1::StreamReportRequest* request,
                            grpc::ServerWriter<v1::FileChunk>* writer) override;

  grpc::Status StreamMetrics(grpc::ServerContext* context, const v1::StreamMetricsRequest* request,
                             grpc::ServerWriter<v1::StreamMetricsResponse>* writer) override;
  grpc::Status StreamLogs(grpc::ServerContext* context, const v1::StreamLogsRequest* request,
                          grpc::ServerWriter<v1::StreamLogsResponse>* writer) override;
  grpc::Status QueryMetrics(grpc::ServerContext* context, const v1::QueryMetricsRequest* request,
                            v1::QueryMetricsResponse* response) override;

  grpc::Status ListCheckpoints(grpc::ServerContext* context,
                               const v1::ListCheckpointsRequest* request,
                               v1::ListCheckpointsResponse* response) override;
  grpc::Status GetCheckpoint(grpc::ServerContext* context, const v1::GetCheckpointRequest* request,
                             v1::Checkpoint* response) override;
  grpc::Status PinCheckpoint(grpc::ServerContext* context, const v1::PinCheckpointRequest* request,
                             v1::Checkpoint* response) override;
  grpc::Status VerifyCheckpoint(grpc::ServerContext* context,
                                const v1::VerifyCheckpointRequest* request,
                                v1::Checkpoint* response) override;
  grpc::Status DeleteCheckpoint(grpc::ServerContext* context,
                                const v1::DeleteCheckpointRequest* request,
                                google::protobuf::Empty* response) override;
  grpc::Status StreamExport(grpc::ServerContext* context, const v1::StreamExportRequest* request,
                            grpc::ServerWriter<v1::FileChunk>* writer) override;

  grpc::Status CreateQueue(grpc::ServerContext* context, const v1::CreateQueueRequest* request,
                           v1::Queue* response) override;
  grpc::Status GetQueue(grpc::ServerContext* context, const v1::GetQueueRequest* request,
                        v1::Queue* response) override;
  grpc::Status ListQueues(grpc::ServerContext* context, const v1::ListQueuesRequest* request,
                          v1::ListQueuesResponse* response) override;
  grpc::Status UpdateQueue(grpc::ServerContext* context, const v1::UpdateQueueRequest* request,
                           v1::Queue* response) override;
  grpc::Status DeleteQueue(grpc::ServerContext* context, const v1::DeleteQueueRequest* request,
                           google::protobuf::Empty* response) override;
  grpc::Status ListWaitingJobs(grpc::ServerContext* context,
                               const v1::ListWaitingJobsRequest* request,
                               v1::ListWaitingJobsResponse* response) override;
  grpc::Status GetProject(grpc::ServerContext* context, const v1::GetProjectRequest* request,
                          v1::Project* response) override;
  grpc::Status ListProjects(grpc::ServerContext* context, const v1::ListProjectsRequest* request,
                            v1::ListProjectsResponse* response) override;
  grpc::Status UpdateProject(grpc::ServerContext* context, const v1::UpdateProjectRequest* request,
                             v1::Project* response) override;

  grpc::Status ListWorkers(grpc::ServerContext* context, const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* response) override;
  grpc::Status GetWorker(grpc::ServerContext* context, const v1::GetWorkerRequest* request,
                         v1::Worker* response) override;
  grpc::Status CordonWorker(grpc::ServerContext* context, const v1::CordonWorkerRequest* request,
                            v1::Worker* response) override;
  grpc::Status UncordonWorker(grpc::ServerContext* context,
                              const v1::UncordonWorkerRequest* request,
                              v1::Worker* response) override;
  grpc::Status DrainWorker(grpc::ServerContext* context, const v1::DrainWorkerRequest* request,
                           v1::Worker* response) override;
  grpc::Status StreamBackup(grpc::ServerContext* context, const v1::StreamBackupRequest* request,
                            grpc::ServerWriter<v1::FileChunk>* writer) override;
  grpc::Status GetServerInfo(grpc::ServerContext* context, const v1::GetServerInfoRequest* request,
                             v1::ServerInfo* response) override;

 private:
  // Notes a call; how it ends at once if it was told to. Called with the lock held.
  grpc::Status Begin(grpc::ServerContext* context, const std::string& method,
                     const google::protobuf::Message& request);
  grpc::Status ChangeJob(const std::string& name, v1::Job::State state, v1::Job* response);
  grpc::Status ChangeWorker(const std::string& name, v1::Schedulable wish,
                            const std::string& reason, v1::Worker* response);
  grpc::Status SendFiles(grpc::ServerWriter<v1::FileChunk>* writer);
  // Keeps a stream open until its caller goes or the server stops.
  void StayOpen(grpc::ServerContext* context, std::unique_lock<std::mutex>& lock);
  // How a stream of rows ends that was dropped behind row `seq`.
  grpc::Status Dropped(int64_t seq) const;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  int open_streams_ = 0;
  int port_ = 0;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace g2ll::testing

#endif  // TESTS_CLIENT_FAKE_SERVER_H_
