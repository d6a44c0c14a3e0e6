#include "worker/metric/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace g2ll::metric {
namespace {

// The finaliser of SplitMix64: a bijection that scatters a counter over 64 bits.
uint64_t Scatter(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// Linear interpolation between the order statistics of `sorted`.
double Quantile(const std::vector<double>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

}  // namespace

Interval BootstrapMean(std::span<const double> values, const BootstrapOptions& options) {
  if (values.empty()) {
    return {};
  }
  const double count = static_cast<double>(values.size());
  std::vector<double> means(static_cast<size_t>(std::max(1, options.resamples)));
  for (size_t r = 0; r < means.size(); ++r) {
    const uint64_t key = Scatter(Scatter(options.seed) ^ r);
    double sum = 0;
    for (size_t j = 0; j < values.size(); ++j) {
      // The high half of a 32 x 64 bit product: uniform over the indices without division.
      sum += values[((Scatter(key + j) >> 32) * values.size()) >> 32];
    }
    means[r] = sum / count;
  }
  std::sort(means.begin(), means.end());
  const double tail = (1 - options.coverage) / 2;
  return {std::accumulate(values.begin(), values.end(), 0.0) / count, Quantile(means, tail),
          Quantile(means, 1 - tail)};
}

}  // namespace g2ll::metric
