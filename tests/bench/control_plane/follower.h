#ifndef TESTS_BENCH_CONTROL_PLANE_FOLLOWER_H_
#define TESTS_BENCH_CONTROL_PLANE_FOLLOWER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "g2ll/v1/telemetry.grpc.pb.h"
#include "tests/sim/event_loop.h"

namespace g2ll::bench {

// How a follower reads.
enum class Pace {
  kFast,
  // One message a second.
  kSlow,
  // Takes the first message and nothing more.
  kStopped,
};

// Followers of the metrics of one job. Thread safe.
class Followers {
 public:
  // `per_connection` followers share a connection.
  Followers(std::string address, std::string job, int per_connection);
  // Cuts all streams.
  ~Followers();

  // Opens streams that begin with the first point.
  void Add(int count, Pace pace);
  // Waits until every fast follower has point `seq`; false after `limit`.
  bool WaitForSeq(int64_t seq, absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);

  // From when a point was made to when a fast follower had it, of all points since the
  // last call.
  std::vector<absl::Duration> TakeLags() ABSL_LOCKS_EXCLUDED(mutex_);
  // Points that came out of order, twice, or not, at any follower.
  int64_t gaps() const ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t received() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Fast streams that have ended.
  int64_t ended() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Stream;

  void Took(Stream& stream, const v1::StreamMetricsResponse& response) ABSL_LOCKS_EXCLUDED(mutex_);
  void Done(const Stream& stream) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string address_;
  const std::string job_;
  const int per_connection_;
  std::unique_ptr<v1::TelemetryService::Stub> stub_;
  int on_stub_ = 0;
  std::vector<std::unique_ptr<v1::TelemetryService::Stub>> full_stubs_;
  std::vector<std::unique_ptr<Stream>> streams_;

  mutable absl::Mutex mutex_;
  std::vector<absl::Duration> lags_ ABSL_GUARDED_BY(mutex_);
  int64_t gaps_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t received_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
  sim::EventLoop loop_;
};

}  // namespace g2ll::bench

#endif  // TESTS_BENCH_CONTROL_PLANE_FOLLOWER_H_
