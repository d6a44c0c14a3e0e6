#ifndef WORKER_DATA_STEP_PIPELINE_H_
#define WORKER_DATA_STEP_PIPELINE_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace g2ll::data {

// Makes the batches of steps first_step, first_step + 1, ... in threads of its own, at
// most `prefetch` ahead of Next, which hands them out in order. The unit of work is one
// item (image) of a batch, so one slow image holds up one thread only.
//
// `begin(step, batch)` makes an empty batch and returns its number of items;
// `fill(step, item, batch)` writes that item's part of the batch, and nothing else of
// it, and is called from several threads at once. Both give the same result whenever
// they are called, so batches do not depend on the number of threads.
template <typename Batch>
class StepPipeline {
 public:
  using Begin = std::function<int64_t(int64_t step, Batch& batch)>;
  using Fill = std::function<absl::Status(int64_t step, int64_t item, Batch& batch)>;

  StepPipeline(Begin begin, Fill fill, int64_t first_step, int threads, int prefetch)
      : begin_(std::move(begin)),
        fill_(std::move(fill)),
        prefetch_(static_cast<size_t>(std::max(prefetch, 1))),
        next_begin_(first_step) {
    for (int i = 0; i < std::max(threads, 1); ++i) threads_.emplace_back([this] { Work(); });
  }

  // Ends the threads; waits for the items they are at.
  ~StepPipeline() {
    {
      absl::MutexLock lock(&mutex_);
      is_stopping_ = true;
    }
    threads_.clear();
  }

  StepPipeline(const StepPipeline&) = delete;
  StepPipeline& operator=(const StepPipeline&) = delete;

  // The next step's batch, or the error of its first faulty item. One caller at a time.
  absl::StatusOr<Batch> Next() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](StepPipeline* self) ABSL_NO_THREAD_SAFETY_ANALYSIS {
          return !self->steps_.empty() &&
                 self->steps_.front()->num_done == self->steps_.front()->num_items;
        },
        this));
    const std::shared_ptr<Step> step = std::move(steps_.front());
    steps_.pop_front();
    if (!step->error.ok()) return step->error;
    return std::move(step->batch);
  }

 private:
  struct Step {
    int64_t step = 0;
    Batch batch;
    int64_t num_items = -1;  // -1: `begin` has not returned yet
    int64_t next_item = 0;
    int64_t num_done = 0;
    absl::Status error;
    int64_t error_item = 0;
  };

  bool HasWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return is_stopping_ || steps_.size() < prefetch_ || FindOpen() != nullptr;
  }

  // The earliest step that still has an item for a thread.
  std::shared_ptr<Step> FindOpen() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const std::shared_ptr<Step>& step : steps_) {
      if (step->next_item < step->num_items) return step;
    }
    return nullptr;
  }

  void Work() {
    mutex_.Lock();
    while (true) {
      mutex_.Await(absl::Condition(this, &StepPipeline::HasWork));
      if (is_stopping_) break;
      if (const std::shared_ptr<Step> step = FindOpen(); step != nullptr) {
        FillOne(*step);
      } else {
        BeginOne();
      }
    }
    mutex_.Unlock();
  }

  // An exception of a library must not end the process from a thread of ours.
  template <typename Call>
  static absl::Status Guarded(Call call) {
    try {
      return call();
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError("out of memory while a batch was made");
    } catch (const std::exception& error) {
      return absl::InternalError(error.what());
    }
  }

  // Both run their callback without the lock and return with it.
  void BeginOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto step = std::make_shared<Step>();
    step->step = next_begin_++;
    steps_.push_back(step);
    mutex_.Unlock();
    int64_t num_items = 0;
    absl::Status status = Guarded([&] {
      num_items = begin_(step->step, step->batch);
      return absl::OkStatus();
    });
    mutex_.Lock();
    step->error = std::move(status);
    step->num_items = num_items;
  }

  void FillOne(Step& step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const int64_t item = step.next_item++;
    mutex_.Unlock();
    absl::Status status = Guarded([&] { return fill_(step.step, item, step.batch); });
    mutex_.Lock();
    ++step.num_done;
    if (!status.ok() && (step.error.ok() || item < step.error_item)) {
      step.error = std::move(status);
      step.error_item = item;
    }
  }

  const Begin begin_;
  const Fill fill_;
  const size_t prefetch_;
  absl::Mutex mutex_;
  std::deque<std::shared_ptr<Step>> steps_ ABSL_GUARDED_BY(mutex_);
  int64_t next_begin_ ABSL_GUARDED_BY(mutex_);
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // last: ends before what it uses
};

}  // namespace g2ll::data

#endif  // WORKER_DATA_STEP_PIPELINE_H_
