#include "server/telemetry/io_pool.h"

#include <utility>

namespace g2ll::telemetry {

IoPool::IoPool(int num_threads) {
  for (int i = 0; i < num_threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

IoPool::~IoPool() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

void IoPool::Submit(std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
}

void IoPool::Work() {
  while (true) {
    std::function<void()> task;
    {
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return closed_ || !tasks_.empty();
      };
      absl::MutexLock lock(&mutex_, absl::Condition(&has_work));
      if (tasks_.empty()) {
        return;
      }
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace g2ll::telemetry
