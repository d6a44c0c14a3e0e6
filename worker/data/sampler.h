#ifndef WORKER_DATA_SAMPLER_H_
#define WORKER_DATA_SAMPLER_H_

#include <cstdint>
#include <vector>

namespace g2ll::data {

// Which images a rank sees at which step.
//
// Every epoch is one seeded permutation of the data set, cut into global
// batches; the last partial batch is dropped if asked for, unless the set is smaller
// than one batch, which is then one step an epoch. A rank takes a contiguous share of
// the global batch, so the union over ranks does not depend on their number.
class ShardSampler {
 public:
  struct Options {
    int64_t num_images = 0;
    int64_t global_batch = 0;
    int64_t seed = 0;
    int rank = 0;
    int world_size = 1;
    // False: an epoch's last images are a smaller batch.
    bool drop_last = true;
  };

  explicit ShardSampler(const Options& options);

  // Steps in one pass, at least 1.
  int64_t steps_per_epoch() const;
  // Images of the global batch of an epoch's last step; that of the others is
  // `global_batch`, or the whole set where that is smaller.
  int64_t last_batch() const;
  // Pass that `step` (from 0) belongs to.
  int64_t epoch(int64_t step) const { return step / steps_per_epoch(); }
  // This rank's share of the step's global batch, in order.
  std::vector<int64_t> Indices(int64_t step) const;
  // The whole global batch, in order.
  std::vector<int64_t> GlobalIndices(int64_t step) const;

 private:
  Options options_;
};

// A rank's share of a set of `num_images` that is looked at once and in order: every
// `world_size`-th image from `rank` on, in batches of `batch` (at least 1), the last one
// smaller where that does not divide.
std::vector<std::vector<int64_t>> OrderedShare(int64_t num_images, int rank, int world_size,
                                               int64_t batch);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SAMPLER_H_
