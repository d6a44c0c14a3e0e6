#ifndef SERVER_STORAGE_JOB_FILE_REMOVER_H_
#define SERVER_STORAGE_JOB_FILE_REMOVER_H_

#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/storage/storage_root.h"

namespace g2ll::storage {

// Removes the folders of deleted jobs on a thread of its own. Thread safe.
class JobFileRemover {
 public:
  // `on_removed` is called on that thread for a job that has no folder any more.
  // `root` outlives the object.
  JobFileRemover(const StorageRoot* root,
                 std::function<void(const std::string& job_uid)> on_removed);
  // Ends after the job that is being removed.
  ~JobFileRemover();
  JobFileRemover(const JobFileRemover&) = delete;
  JobFileRemover& operator=(const JobFileRemover&) = delete;

  // Its checkpoints and reports go. A folder that cannot be removed is told in the
  // log and left.
  void Add(const std::string& job_uid) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Work();

  const StorageRoot* const root_;
  const std::function<void(const std::string&)> on_removed_;
  absl::Mutex mutex_;
  std::deque<std::string> jobs_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace g2ll::storage

#endif  // SERVER_STORAGE_JOB_FILE_REMOVER_H_
