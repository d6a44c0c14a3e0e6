#ifndef WORKER_AGENT_TELEMETRY_OUTBOX_H_
#define WORKER_AGENT_TELEMETRY_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "g2ll/v1/worker.pb.h"

namespace g2ll::agent {

// One attempt of one job.
struct AttemptKey {
  std::string job_uid;
  int64_t epoch = 0;
  auto operator<=>(const AttemptKey&) const = default;
};

// Rank under which the agent's own lines of an attempt are stored.
inline constexpr int kAgentRank = -1;

// Numbers of the newest item of each rank of an attempt at one moment.
using TelemetryMarks = std::map<int, int64_t>;

// Metrics and log lines between a trainer and the coordinator's disk.
//
// Items are numbered per (job, epoch, rank) from 1 and kept until acknowledged, so
// that a new connection can send again what the old one left open. Nothing is ever
// dropped while its attempt exists: when a rank's unacknowledged items reach the
// bound, Append waits, its caller stops reading, and in the end the trainer waits.
// Thread safe.
class TelemetryOutbox {
 public:
  struct Options {
    size_t max_pending_bytes = size_t{4} << 20;  // per rank, unacknowledged
    size_t max_batch_bytes = size_t{512} << 10;  // per message on the wire
    int max_batch_items = 1000;
  };
  struct Stats {
    int64_t acked_items = 0;    // since the start
    int64_t pending_items = 0;  // not acknowledged yet
  };

  TelemetryOutbox() : TelemetryOutbox(Options{}) {}
  explicit TelemetryOutbox(const Options& options) : options_(options) {}

  // Numbers and keeps an item; waits while the rank is at its bound. Returns false,
  // and keeps nothing, once the attempt is forgotten.
  bool Append(const AttemptKey& attempt, int rank, v1::TelemetryItem item)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The same without waiting, for the few lines that the agent itself writes.
  void AppendNow(const AttemptKey& attempt, int rank, v1::TelemetryItem item)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Accepts items of an attempt from now on.
  void Open(const AttemptKey& attempt) ABSL_LOCKS_EXCLUDED(mutex_);

  // Drops everything of an attempt and ends every wait for it.
  void Forget(const AttemptKey& attempt) ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for items that this connection has not sent and returns some of one rank,
  // in order; nothing once `stop` is requested.
  std::optional<v1::PushTelemetryRequest> TakeBatch(std::stop_token stop)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // A new connection: everything that is not acknowledged is to be sent again.
  void Rewind() ABSL_LOCKS_EXCLUDED(mutex_);

  // The coordinator has stored everything up to the number.
  void OnAck(const v1::TelemetryAck& ack) ABSL_LOCKS_EXCLUDED(mutex_);

  // The newest numbers of an attempt.
  TelemetryMarks Marks(const AttemptKey& attempt) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until everything up to `marks` is acknowledged. Errors: Cancelled (`stop`
  // was requested), NotFound (the attempt is forgotten).
  absl::Status WaitAcked(const AttemptKey& attempt, const TelemetryMarks& marks,
                         std::stop_token stop) ABSL_LOCKS_EXCLUDED(mutex_);

  Stats stats() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Stream {
    std::deque<v1::TelemetryItem> items;  // not acknowledged, oldest first
    size_t bytes = 0;                     // of `items`
    size_t sent = 0;                      // of `items`, on this connection
    int64_t last_seq = 0;                 // newest number given
  };
  using Streams = std::map<int, Stream>;

  void Push(Stream& stream, v1::TelemetryItem item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsAcked(const AttemptKey& attempt, const TelemetryMarks& marks) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasUnsent() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::PushTelemetryRequest FillBatch(const AttemptKey& attempt, int rank, Stream& stream) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  mutable absl::Mutex mutex_;
  std::map<AttemptKey, Streams> attempts_ ABSL_GUARDED_BY(mutex_);
  // Where the last batch came from, so that ranks take turns.
  std::pair<AttemptKey, int> last_served_ ABSL_GUARDED_BY(mutex_);
  int64_t acked_items_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_TELEMETRY_OUTBOX_H_
