#ifndef SERVER_METRICS_SERVER_METRICS_H_
#define SERVER_METRICS_SERVER_METRICS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/cluster/states.h"

namespace g2ll::metrics {

// What the coordinator tells Prometheus, all with the prefix `g2ll_`. No series
// carries a job's name. Thread safe.
class ServerMetrics {
 public:
  explicit ServerMetrics(const std::string& version);
  ~ServerMetrics();

  void SetJobs(const std::map<cluster::JobState, int64_t>& count);
  void SetWorkers(const std::map<cluster::WorkerState, int64_t>& count);
  void AddMetricPoints(int64_t count);
  void AddLogLines(int64_t count);
  void ObserveCommit(absl::Duration duration);
  void AddCommitFailure();
  // Whether a check of the store has found damage.
  void SetStoreDamaged(bool is_damaged);
  void ObserveSchedulerCycle(absl::Duration duration);
  // A write of an attempt that may not write any more; `kind` says what was old: `epoch`,
  // `attempt`, `worker`, `incarnation` or `term`.
  void AddFencedWrite(const std::string& kind);
  // A checkpoint was not begun because the storage root lacks room.
  void AddDiskLow();
  // Things that ought to move and do not; `kind` is `undriven`, `late_stop` or `held_slot`.
  void SetStalls(const std::string& kind, int64_t count);
  // One more or one less follower; `kind` is `metrics`, `logs`, `jobs` or `watch`.
  void AddSubscribers(const std::string& kind, int delta);
  // A row reached a live follower so long after its commit.
  void ObserveStreamLag(const std::string& kind, absl::Duration lag);
  // A follower had to read a page from the store: it is late or slow.
  void AddStreamDiskRead(const std::string& kind);
  // Something was refused or delayed because of a limit, for example `streams_per_client`.
  void AddLimitHit(const std::string& limit, int64_t count = 1);
  // Commands that wait for the next commit.
  void SetStoreQueueDepth(size_t depth);
  // One call has ended; `method` is `PACKAGE.SERVICE/METHOD`, `code` the name of its status.
  void ObserveCall(const std::string& method, const std::string& code, absl::Duration duration);

  // Everything in the Prometheus text format.
  std::string Serialize() const;

 private:
  struct Series;
  std::unique_ptr<Series> series_;
};

}  // namespace g2ll::metrics

#endif  // SERVER_METRICS_SERVER_METRICS_H_
