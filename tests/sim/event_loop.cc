#include "tests/sim/event_loop.h"

#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace g2ll::sim {

EventLoop::EventLoop() : thread_([this] { Loop(); }) {}

EventLoop::~EventLoop() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  thread_.join();
}

void EventLoop::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
}

void EventLoop::PostAt(absl::Time when, Task task) {
  absl::MutexLock lock(&mutex_);
  const bool is_first = timers_.empty() || when < timers_.begin()->first;
  timers_.emplace(when, std::move(task));
  if (is_first) {
    tasks_.emplace_back([] {});  // The loop waits for a later time.
  }
}

void EventLoop::Run(const Task& task) {
  absl::Notification done;
  Post([&] {
    task();
    done.Notify();
  });
  done.WaitForNotification();
}

void EventLoop::CallOpened() {
  absl::MutexLock lock(&mutex_);
  ++open_calls_;
}

void EventLoop::CallEnded() {
  absl::MutexLock lock(&mutex_);
  --open_calls_;
}

void EventLoop::WaitForCalls() {
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_calls_ == 0; };
  absl::MutexLock lock(&mutex_, absl::Condition(&none));
}

void EventLoop::Loop() {
  const auto has_task = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return ended_ || !tasks_.empty();
  };
  while (true) {
    std::deque<Task> tasks;
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time wake = timers_.empty() ? absl::InfiniteFuture() : timers_.begin()->first;
      mutex_.AwaitWithDeadline(absl::Condition(&has_task), wake);
      if (ended_) {
        return;
      }
      tasks.swap(tasks_);
      const absl::Time now = absl::Now();
      while (!timers_.empty() && timers_.begin()->first <= now) {
        tasks.push_back(std::move(timers_.begin()->second));
        timers_.erase(timers_.begin());
      }
    }
    for (const Task& task : tasks) {
      task();
    }
  }
}

}  // namespace g2ll::sim
