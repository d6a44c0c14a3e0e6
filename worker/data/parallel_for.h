#ifndef WORKER_DATA_PARALLEL_FOR_H_
#define WORKER_DATA_PARALLEL_FOR_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace g2ll::data {

// Calls `work(i)` for every i below `count`, from at most `threads` threads of its own,
// and returns when all are done. `work` must be safe to call from many threads. If
// calls throw, one of their exceptions is thrown here.
template <typename Work>
void ParallelFor(size_t count, int threads, const Work& work) {
  const size_t num_threads = std::min(count, static_cast<size_t>(std::max(1, threads)));
  std::atomic<size_t> next = 0;
  std::vector<std::exception_ptr> errors(num_threads);
  {
    std::vector<std::jthread> running;
    for (size_t t = 0; t < num_threads; ++t) {
      running.emplace_back([&, t] {
        try {
          for (size_t i = next++; i < count; i = next++) {
            work(i);
          }
        } catch (const std::exception&) {
          errors[t] = std::current_exception();
        }
      });
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) {
      std::rethrow_exception(error);
    }
  }
}

}  // namespace g2ll::data

#endif  // WORKER_DATA_PARALLEL_FOR_H_
