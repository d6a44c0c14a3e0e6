#ifndef TESTS_CLIENT_FAKE_SERVER_H_
#define TESTS_CLIENT_FAKE_SERVER_H_

#include <grpcpp/server.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "g2ll/v1/admin.grpc.pb.h"
#include "g2ll/v1/checkpoint.grpc.pb.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "g2ll/v1/telemetry.grpc.pb.h"

namespace g2ll::testing {

// A coordinator that answers from memory and drops streams on purpose. Fields
// are set before the first call.
class FakeServer final : public v1::JobService::Service,
                         public v1::TelemetryService::Service,
                         public v1::CheckpointService::Service {
 public:
  // Listens on a free loopback port.
  FakeServer();
  ~FakeServer() override;

  const std::string& address() const { return address_; }

  // Jobs by full name.
  std::map<std::string, v1::Job> jobs;
  // Points 1..N of every job.
  int num_points = 0;
  // A stream ends as if the connection were lost after so many points; 0: never.
  int drop_after = 0;
  // Of a dropped stream, so many points are sent a second time after it is opened again.
  int repeat = 0;
  // Files of every export and report, by name.
  std::vector<std::pair<std::string, std::string>> files;
  // The digests that are sent are wrong.
  bool damaged = false;
  // So many calls of CreateJob are answered with UNAVAILABLE first.
  int unavailable_creates = 0;
  // CreateJob refuses this field; empty: none.
  std::string bad_field;

  // What was asked.
  std::vector<v1::CreateJobRequest> creates;
  std::vector<int64_t> stream_starts;

  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                         v1::Job* response) override;
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::Job* response) override;
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override;
  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::Job>* writer) override;
  grpc::Status StreamReport(grpc::ServerContext*, const v1::StreamReportRequest* request,
                            grpc::ServerWriter<v1::FileChunk>* writer) override;
  grpc::Status StreamMetrics(grpc::ServerContext*, const v1::StreamMetricsRequest* request,
                             grpc::ServerWriter<v1::StreamMetricsResponse>* writer) override;
  grpc::Status ListCheckpoints(grpc::ServerContext*, const v1::ListCheckpointsRequest* request,
                               v1::ListCheckpointsResponse* response) override;
  grpc::Status StreamExport(grpc::ServerContext*, const v1::StreamExportRequest* request,
                            grpc::ServerWriter<v1::FileChunk>* writer) override;

 private:
  grpc::Status SendFiles(grpc::ServerWriter<v1::FileChunk>* writer);

  std::mutex mutex_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace g2ll::testing

#endif  // TESTS_CLIENT_FAKE_SERVER_H_
