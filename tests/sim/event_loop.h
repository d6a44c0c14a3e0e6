#ifndef TESTS_SIM_EVENT_LOOP_H_
#define TESTS_SIM_EVENT_LOOP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace g2ll::sim {

// One thread that runs tasks and timers in order, so that what they share needs no
// lock. Thread safe.
class EventLoop {
 public:
  using Task = std::function<void()>;

  EventLoop();
  // Drops what has not run. No call may be open.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void Post(Task task) ABSL_LOCKS_EXCLUDED(mutex_);
  void PostAt(absl::Time when, Task task) ABSL_LOCKS_EXCLUDED(mutex_);
  // Runs a task on the loop and waits for it. MUST NOT be called from the loop.
  void Run(const Task& task) ABSL_LOCKS_EXCLUDED(mutex_);

  // Calls of gRPC that will still post to the loop.
  void CallOpened() ABSL_LOCKS_EXCLUDED(mutex_);
  void CallEnded() ABSL_LOCKS_EXCLUDED(mutex_);
  void WaitForCalls() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Loop() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex mutex_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  std::multimap<absl::Time, Task> timers_ ABSL_GUARDED_BY(mutex_);
  int64_t open_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace g2ll::sim

#endif  // TESTS_SIM_EVENT_LOOP_H_
