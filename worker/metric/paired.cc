#include "worker/metric/paired.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <numeric>
#include <vector>

#include "worker/random/rng.h"

namespace g2ll::metric {
namespace {

// All 2^n exchanges are counted up to so many images.
constexpr size_t kMaxExactImages = 12;
// Keeps the coins apart from the bootstrap's draws of the same seed.
constexpr uint32_t kCoinStream = 1;

// Gives the sign of each image in turn, 64 from one draw.
class Coins {
 public:
  Coins(uint64_t seed, uint64_t draw)
      : rng_({.seed = seed,
              .sample = draw,
              .view = kCoinStream,
              .purpose = random::Purpose::kBootstrap}) {}

  bool Flip() {
    if (left_ == 0) {
      bits_ = rng_.NextBits();
      left_ = 64;
    }
    --left_;
    return (bits_ >> left_ & 1) != 0;
  }

 private:
  random::Rng rng_;
  uint64_t bits_ = 0;
  int left_ = 0;
};

double SignFlipPValue(const std::vector<double>& differences, const PairedOptions& options) {
  double total = 0;
  double scale = 0;
  for (const double difference : differences) {
    total += difference;
    scale += std::abs(difference);
  }
  // Sums of the same numbers in another order or sign differ in their last bits.
  const double bound = std::abs(total) - 1e-12 * scale;
  const auto reaches = [&](auto&& is_flipped) {
    double sum = 0;
    for (size_t i = 0; i < differences.size(); ++i) {
      sum += is_flipped(i) ? -differences[i] : differences[i];
    }
    return std::abs(sum) >= bound;
  };
  int64_t hits = 0;
  if (differences.size() <= kMaxExactImages) {
    const uint32_t exchanges = uint32_t{1} << differences.size();
    for (uint32_t flips = 0; flips < exchanges; ++flips) {
      hits += reaches([flips](size_t i) { return (flips >> i & 1) != 0; });
    }
    return static_cast<double>(hits) / exchanges;
  }
  const int permutations = std::max(1, options.permutations);
  for (int draw = 0; draw < permutations; ++draw) {
    Coins coins(options.seed, static_cast<uint64_t>(draw));
    hits += reaches([&coins](size_t) { return coins.Flip(); });
  }
  return static_cast<double>(1 + hits) / (1 + permutations);
}

double Mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

PairedComparison ComparePaired(std::span<const double> a, std::span<const double> b,
                               const PairedOptions& options) {
  TORCH_CHECK(a.size() == b.size() && !a.empty(), "scores of ", a.size(), " and ", b.size(),
              " images cannot be paired");
  std::vector<double> differences(a.size());
  std::transform(b.begin(), b.end(), a.begin(), differences.begin(), std::minus<>());
  PairedComparison comparison;
  comparison.images = static_cast<int64_t>(a.size());
  comparison.mean_a = Mean(a);
  comparison.mean_b = Mean(b);
  comparison.difference = BootstrapMean(
      differences,
      {.resamples = options.resamples, .coverage = options.coverage, .seed = options.seed});
  comparison.p_value = SignFlipPValue(differences, options);
  return comparison;
}

}  // namespace g2ll::metric
