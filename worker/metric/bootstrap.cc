#include "worker/metric/bootstrap.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "worker/metric/quantile.h"
#include "worker/random/rng.h"

namespace g2ll::metric {

Interval BootstrapMean(std::span<const double> values, const BootstrapOptions& options) {
  if (values.empty()) {
    return {};
  }
  const double count = static_cast<double>(values.size());
  std::vector<double> means(static_cast<size_t>(std::max(1, options.resamples)));
  for (size_t r = 0; r < means.size(); ++r) {
    random::Rng rng({.seed = options.seed, .sample = r, .purpose = random::Purpose::kBootstrap});
    double sum = 0;
    for (size_t j = 0; j < values.size(); ++j) {
      sum += values[rng.Below(values.size())];
    }
    means[r] = sum / count;
  }
  std::sort(means.begin(), means.end());
  const double tail = (1 - options.coverage) / 2;
  return {std::accumulate(values.begin(), values.end(), 0.0) / count, Quantile(means, tail),
          Quantile(means, 1 - tail)};
}

}  // namespace g2ll::metric
