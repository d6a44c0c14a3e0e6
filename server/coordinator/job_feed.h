#ifndef SERVER_COORDINATOR_JOB_FEED_H_
#define SERVER_COORDINATOR_JOB_FEED_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/cluster/records.h"

namespace g2ll::coordinator {

// A job as it stands after a commit. Never changes.
using JobPtr = std::shared_ptr<const cluster::JobRecord>;

// The newest change of one job.
struct FeedEntry {
  int64_t seq = 0;
  // Null if the job was deleted; then `tombstone` says which.
  JobPtr job;
  cluster::TombstoneRecord tombstone;
};

// All jobs in the order of their newest changes, for those who watch them. A watcher
// keeps a position and reads from there at its own pace: of a job that changed often
// since it finds the newest state alone, so nothing is queued for it. Thread safe.
class JobFeed {
 public:
  using Wake = std::function<void()>;

  // Some changes behind a position.
  struct Slice {
    std::vector<FeedEntry> changes;
    // Everything up to here has been read with this slice.
    int64_t position = 0;
    // There is more behind it.
    bool has_more = false;
    // Deletions behind the position are no longer known.
    bool is_expired = false;
  };

  // What is durable now. Called by the coordinator, after loading and after every commit
  // in order. `tombstones` ascend.
  void Reset(const std::vector<JobPtr>& jobs,
             const std::vector<cluster::TombstoneRecord>& tombstones, int64_t last_seq,
             int64_t oldest_position) ABSL_LOCKS_EXCLUDED(mutex_);
  void Publish(const std::vector<JobPtr>& jobs,
               const std::vector<cluster::TombstoneRecord>& tombstones) ABSL_LOCKS_EXCLUDED(mutex_);
  // Deletions up to this change are not known any more.
  void Forget(int64_t up_to) ABSL_LOCKS_EXCLUDED(mutex_);

  // At most `limit` changes behind `position`, ascending.
  Slice Read(int64_t position, size_t limit) const ABSL_LOCKS_EXCLUDED(mutex_);
  // At most `limit` jobs whose uids come after `uid`, ascending.
  std::vector<JobPtr> ReadJobs(const std::string& uid, size_t limit) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t last_seq() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Behind this position every deletion is known.
  int64_t oldest_position() const ABSL_LOCKS_EXCLUDED(mutex_);

  // `wake` is called after every commit with changes until Unfollow returns. It runs with
  // a lock held: it MUST only hand the news on and never call the feed.
  int64_t Follow(Wake wake) ABSL_LOCKS_EXCLUDED(mutex_);
  void Unfollow(int64_t follower) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Put(const JobPtr& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Put(const cluster::TombstoneRecord& tombstone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<int64_t, FeedEntry> by_seq_ ABSL_GUARDED_BY(mutex_);
  // By uid.
  std::map<std::string, JobPtr> jobs_ ABSL_GUARDED_BY(mutex_);
  int64_t last_seq_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t oldest_position_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int64_t, Wake> followers_ ABSL_GUARDED_BY(mutex_);
  int64_t next_follower_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_JOB_FEED_H_
