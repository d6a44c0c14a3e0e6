#ifndef TESTS_SIM_JOB_CLIENT_H_
#define TESTS_SIM_JOB_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "g2ll/v1/checkpoint.grpc.pb.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "g2ll/v1/telemetry.grpc.pb.h"

namespace g2ll::sim {

// Requests for small valid jobs of project `default`, without a request id.
v1::CreateJobRequest PretrainRequest(const std::string& name, int32_t ranks = 1);
// A job that needs `parent`, a pre-training of project `default`.
v1::CreateJobRequest FinetuneRequest(const std::string& name, const std::string& parent,
                                     int32_t ranks = 1);
// A measurement of `parent`, a fine-tuning of project `default`.
v1::CreateJobRequest EvaluateRequest(const std::string& name, const std::string& parent);

// `projects/default/jobs/NAME`.
std::string FullName(const std::string& name);

bool IsTerminal(v1::Job::State state);

// Plain calls of a user on one connection, each with a deadline and without retries.
// Thread safe.
class JobClient {
 public:
  explicit JobClient(const std::string& address);

  absl::StatusOr<v1::Job> Create(const v1::CreateJobRequest& request) const;
  absl::StatusOr<v1::Job> Get(const std::string& full_name) const;
  absl::StatusOr<v1::Job> Cancel(const std::string& full_name) const;
  absl::StatusOr<std::vector<v1::Job>> ListAll() const;
  absl::StatusOr<std::vector<v1::Worker>> ListWorkers() const;
  absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const std::string& full_name) const;
  absl::StatusOr<v1::ServerInfo> GetServerInfo() const;
  // Tries until the coordinator answers.
  absl::Status WaitUntilServing(absl::Duration limit) const;

  // Watches a job until it has the property, across restarts of the coordinator.
  absl::StatusOr<v1::Job> WaitFor(const std::string& full_name,
                                  const std::function<bool(const v1::Job&)>& property,
                                  absl::Duration limit = absl::Minutes(1)) const;
  absl::StatusOr<v1::Job> WaitForEnd(const std::string& full_name,
                                     absl::Duration limit = absl::Minutes(1)) const;

  // All stored points or lines of a job.
  absl::StatusOr<std::vector<v1::MetricPoint>> ReadMetrics(const std::string& full_name) const;
  absl::StatusOr<std::vector<v1::LogLine>> ReadLogs(const std::string& full_name) const;

  v1::JobService::Stub& jobs() const { return *jobs_; }
  v1::TelemetryService::Stub& telemetry() const { return *telemetry_; }

 private:
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::TelemetryService::Stub> telemetry_;
  std::unique_ptr<v1::CheckpointService::Stub> checkpoints_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
};

// Number of rows whose `seq` is not one above that of the row before; the first row
// should be 1. Zero means: nothing is lost, nothing is there twice.
template <typename Row>
int64_t CountGaps(const std::vector<Row>& rows) {
  int64_t gaps = 0;
  int64_t expected = 1;
  for (const Row& row : rows) {
    gaps += row.seq() == expected ? 0 : 1;
    expected = row.seq() + 1;
  }
  return gaps;
}

}  // namespace g2ll::sim

#endif  // TESTS_SIM_JOB_CLIENT_H_
