#include "worker/data/sampler.h"

#include <algorithm>

#include "worker/random/rng.h"

namespace g2ll::data {

ShardSampler::ShardSampler(const Options& options) : options_(options) {
  options_.num_images = std::max<int64_t>(options_.num_images, 1);
  options_.global_batch = std::clamp<int64_t>(options_.global_batch, 1, options_.num_images);
  options_.world_size = std::max(options_.world_size, 1);
}

int64_t ShardSampler::steps_per_epoch() const {
  const int64_t rest = options_.num_images % options_.global_batch;
  return options_.num_images / options_.global_batch + (options_.drop_last || rest == 0 ? 0 : 1);
}

int64_t ShardSampler::last_batch() const {
  return std::min(options_.num_images - (steps_per_epoch() - 1) * options_.global_batch,
                  options_.global_batch);
}

std::vector<int64_t> ShardSampler::GlobalIndices(int64_t step) const {
  random::Rng rng({.seed = static_cast<uint64_t>(options_.seed),
                   .epoch = static_cast<uint64_t>(epoch(step)),
                   .purpose = random::Purpose::kShuffle});
  const std::vector<int64_t> order = random::Permutation(options_.num_images, rng);
  const int64_t begin = (step % steps_per_epoch()) * options_.global_batch;
  const int64_t end = std::min(begin + options_.global_batch, options_.num_images);
  return {order.begin() + begin, order.begin() + end};
}

std::vector<int64_t> ShardSampler::Indices(int64_t step) const {
  const std::vector<int64_t> all = GlobalIndices(step);
  const auto bound = [&](int64_t rank) {
    return all.begin() + rank * static_cast<int64_t>(all.size()) / options_.world_size;
  };
  return {bound(options_.rank), bound(options_.rank + 1)};
}

std::vector<std::vector<int64_t>> OrderedShare(int64_t num_images, int rank, int world_size,
                                               int64_t batch) {
  std::vector<std::vector<int64_t>> batches;
  for (int64_t index = rank; index < num_images; index += world_size) {
    if (batches.empty() || static_cast<int64_t>(batches.back().size()) >= batch) {
      batches.emplace_back();
    }
    batches.back().push_back(index);
  }
  return batches;
}

}  // namespace g2ll::data
