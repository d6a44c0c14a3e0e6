#ifndef WORKER_TOOL_FIRST_PAIRS_H_
#define WORKER_TOOL_FIRST_PAIRS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

namespace g2ll::tool {

// Counts pairs that come in any order and keeps the first `most` of them by second, then
// first: any number of pairs in memory for twice `most`.
template <typename Pair>
class FirstPairs {
 public:
  explicit FirstPairs(size_t most) : most_(most) {}

  void Add(const Pair& pair) {
    ++count_;
    pairs_.push_back(pair);
    if (pairs_.size() > 2 * most_) KeepFirst();
  }

  // All that were added.
  int64_t count() const { return count_; }

  // Those that are kept, in order.
  std::vector<Pair> Finish() && {
    KeepFirst();
    return std::move(pairs_);
  }

 private:
  void KeepFirst() {
    std::sort(pairs_.begin(), pairs_.end(), [](const Pair& a, const Pair& b) {
      return std::tie(a.second, a.first) < std::tie(b.second, b.first);
    });
    pairs_.resize(std::min(pairs_.size(), most_));
  }

  const size_t most_;
  int64_t count_ = 0;
  std::vector<Pair> pairs_;
};

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_FIRST_PAIRS_H_
