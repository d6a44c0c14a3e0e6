#ifndef SERVER_TELEMETRY_IO_POOL_H_
#define SERVER_TELEMETRY_IO_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace g2ll::telemetry {

// A few threads for work that waits for the disk. Every stream has at most one
// task in it, which bounds its queue. Thread safe.
class IoPool {
 public:
  explicit IoPool(int num_threads);
  // Runs what is queued, then ends.
  ~IoPool();
  IoPool(const IoPool&) = delete;
  IoPool& operator=(const IoPool&) = delete;

  void Submit(std::function<void()> task) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Work();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace g2ll::telemetry

#endif  // SERVER_TELEMETRY_IO_POOL_H_
