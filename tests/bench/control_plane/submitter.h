#ifndef TESTS_BENCH_CONTROL_PLANE_SUBMITTER_H_
#define TESTS_BENCH_CONTROL_PLANE_SUBMITTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "g2ll/v1/job.grpc.pb.h"

namespace g2ll::bench {

// Sends CreateJob calls without waiting for their answers. Thread safe.
class Submitter {
 public:
  struct Result {
    // Position in the order of sending.
    int64_t number = 0;
    std::string job_uid;
    absl::Status status;
    // From when the call was due to its answer.
    absl::Duration latency;
  };

  Submitter(const std::string& address, int connections);
  // Waits for the answers.
  ~Submitter();

  // Sends a request that was due at a time. Waits while `most_open` are not answered.
  void Send(const v1::CreateJobRequest& request, absl::Time due, int64_t most_open)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until everything is answered and returns what was.
  std::vector<Result> TakeResults() ABSL_LOCKS_EXCLUDED(mutex_);

  // Sends requests `first`, `first` + 1, ... with `most_open` on their way.
  std::vector<Result> Flood(int64_t first, int64_t count, int64_t most_open, int32_t ranks = 1);
  // Sends at a steady rate whether or not answers come.
  std::vector<Result> Steady(int64_t first, int64_t count, double per_second, int32_t ranks = 1);

 private:
  struct Call;

  void Answered(Result result) ABSL_LOCKS_EXCLUDED(mutex_);

  std::vector<std::unique_ptr<v1::JobService::Stub>> stubs_;
  absl::Mutex mutex_;
  int64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Result> results_ ABSL_GUARDED_BY(mutex_);
};

std::vector<absl::Duration> LatenciesOf(const std::vector<Submitter::Result>& results);

// The first error, or OK.
absl::Status FirstError(const std::vector<Submitter::Result>& results);

}  // namespace g2ll::bench

#endif  // TESTS_BENCH_CONTROL_PLANE_SUBMITTER_H_
