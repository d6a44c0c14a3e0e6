#ifndef WORKER_RANDOM_RNG_H_
#define WORKER_RANDOM_RNG_H_

#include <array>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

namespace g2ll::random {

// What a stream of random numbers is for: two purposes never share one. The
// values are part of every key, so they are never renumbered.
enum class Purpose : uint32_t {
  kShuffle = 1,    // order of an epoch
  kSubset = 2,     // order from which fractions of a data set are taken
  kSplit = 3,      // train, validation, test where the data names none
  kView = 4,       // geometric and photometric change of a view
  kMask = 5,       // noise that picks masked patches
  kSynthetic = 6,  // a generated image
  kInitialization = 7,
  kDropPath = 8,
  kBootstrap = 9,
  kSample = 10,     // choice of images for a check or a picture
  kAttention = 11,  // whether a mask follows the teacher's attention
};

// Names one stream. Equal keys give equal numbers on every host, rank and
// thread, whatever was drawn before (method section 2.3).
struct Key {
  uint64_t seed = 0;
  uint64_t epoch = 0;
  uint64_t sample = 0;  // data set index
  uint32_t view = 0;
  Purpose purpose = Purpose::kShuffle;
};

// Steele's finalizer: a bijection of 64 bits in which every bit depends on every other.
uint64_t SplitMix64(uint64_t x);

// FNV-1a, 64 bit: turns an id into a number that is equal on every host.
uint64_t HashId(std::string_view id);

// A counter-based generator (Philox-4x32, ten rounds). A value: copying it copies
// the position in the stream. Not for secrets. One thread at a time.
class Rng {
 public:
  explicit Rng(const Key& key);

  // 64 uniform bits.
  uint64_t NextBits();
  // Uniform in [0, 1), a multiple of 2^-53.
  double Uniform();
  // Uniform in [low, high).
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // Uniform in [0, bound), without modulo bias; `bound` at least 1.
  uint64_t Below(uint64_t bound);
  // Uniform in [low, high], both included.
  int64_t Between(int64_t low, int64_t high);
  // True with this probability.
  bool Bernoulli(double probability) { return Uniform() < probability; }
  // Standard normal (Box-Muller). Bits may differ between maths libraries.
  double Normal();
  // Mean 0, variance 1, bounded by 4.9: the sum of eight uniform bytes. Several
  // times faster than Normal and made of integers only; for sensor noise.
  float CoarseNormal();

 private:
  void Refill();

  std::array<uint32_t, 2> key_{};
  std::array<uint32_t, 4> counter_{};
  std::array<uint64_t, 2> buffer_{};
  int used_ = 2;
};

// Fisher-Yates: every order is equally likely.
template <typename T>
void Shuffle(std::vector<T>& values, Rng& rng) {
  for (size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[static_cast<size_t>(rng.Below(i))]);
  }
}

// 0 .. n-1 in random order.
std::vector<int64_t> Permutation(int64_t n, Rng& rng);

}  // namespace g2ll::random

#endif  // WORKER_RANDOM_RNG_H_
