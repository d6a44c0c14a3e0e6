#ifndef SERVER_API_OPEN_STREAMS_H_
#define SERVER_API_OPEN_STREAMS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/metrics/server_metrics.h"

namespace g2ll::api {

// How many streams there may be and how long things may take.
struct StreamLimits {
  // Streams of one client host, and of all clients. Workers' streams do not count.
  int64_t per_client = 200;
  int64_t total = 20000;
  // A stream ends politely at this age, up to a tenth earlier so that not all come back
  // at once.
  absl::Duration max_age = absl::Minutes(30);
  // A message that a reader has not taken for so long ends its stream.
  absl::Duration longest_stall = absl::Minutes(5);
  // For a call whose client has set no deadline.
  absl::Duration call_deadline = absl::Seconds(60);
  // Metric points of one worker; more are acknowledged later.
  int64_t points_per_second = 5000;
};

// A stream that can be ended from outside. All methods return at once.
class OpenStream {
 public:
  virtual ~OpenStream() = default;
  // Ends it with `status`, to which it adds where its reader can go on.
  virtual void End(const absl::Status& status) = 0;
  // Called about once a second.
  virtual void OnTime(absl::Time /*now*/, const StreamLimits& /*limits*/) {}
};

// A unary call that waits for something.
class OpenCall {
 public:
  virtual ~OpenCall() = default;
  // Ends it with `status` if it has not been answered.
  virtual void Expire(const absl::Status& status) = 0;
};

// Host of gRPC's name of a peer, for example `127.0.0.1` of `ipv4:127.0.0.1:4711`.
std::string HostOfPeer(std::string_view peer);

// All open streams of the server, and the calls that nobody else would end. Thread safe.
class OpenStreams {
 public:
  // `metrics` may be null and outlives this.
  explicit OpenStreams(const StreamLimits& limits = {}, metrics::ServerMetrics* metrics = nullptr)
      : limits_(limits), metrics_(metrics) {}

  const StreamLimits& limits() const { return limits_; }
  // Counts that a limit was met.
  void Count(const std::string& limit) const;

  // Adds a client's stream. Errors: RESOURCE_EXHAUSTED (TOO_MANY_STREAMS), and what
  // EndAll was called with; the stream has not been added then.
  absl::Status Add(const std::shared_ptr<OpenStream>& stream, const std::string& client,
                   absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  // Adds a worker's stream, which no limit keeps out and which has no age.
  absl::Status AddWorker(const std::shared_ptr<OpenStream>& stream) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::shared_ptr<OpenStream>& stream) ABSL_LOCKS_EXCLUDED(mutex_);

  // A call that ends at `deadline` with DEADLINE_EXCEEDED (CALL_TIMEOUT).
  void AddCall(const std::shared_ptr<OpenCall>& call, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void RemoveCall(const std::shared_ptr<OpenCall>& call) ABSL_LOCKS_EXCLUDED(mutex_);

  // One of `most` places for expensive calls; given back when the last copy goes. Null if
  // all are taken.
  std::shared_ptr<void> TakeQuerySlot(int64_t most);

  // Ends what is too old and tells all streams the time. Called about once a second.
  void Sweep(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends all streams, and refuses new ones from now on.
  void EndAll(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);

  // Open streams, those of workers included.
  int64_t count() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until at most `count` streams are open. False if that takes longer.
  bool WaitForAtMost(int64_t count, absl::Duration timeout) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    std::shared_ptr<OpenStream> stream;
    // Empty for a worker.
    std::string client;
    absl::Time end_time = absl::InfiniteFuture();
  };

  const StreamLimits limits_;
  metrics::ServerMetrics* const metrics_;
  mutable absl::Mutex mutex_;
  std::map<const OpenStream*, Entry> streams_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int64_t> of_client_ ABSL_GUARDED_BY(mutex_);
  int64_t of_clients_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t added_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::shared_ptr<OpenCall>, absl::Time> calls_ ABSL_GUARDED_BY(mutex_);
  // Shared with the places that are taken, which may outlive this.
  const std::shared_ptr<std::atomic<int64_t>> queries_ = std::make_shared<std::atomic<int64_t>>(0);
  // Not OK once EndAll was called.
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace g2ll::api

#endif  // SERVER_API_OPEN_STREAMS_H_
