#ifndef WORKER_METRIC_BOOTSTRAP_H_
#define WORKER_METRIC_BOOTSTRAP_H_

#include <cstdint>
#include <span>

namespace g2ll::metric {

// A mean with the interval that holds it.
struct Interval {
  double mean = 0;
  double low = 0;
  double high = 0;
};

// Settings of the bootstrap.
struct BootstrapOptions {
  int resamples = 2000;    // at least 1
  double coverage = 0.95;  // in (0, 1)
  uint64_t seed = 0;
};

// The mean of `values` (at least one, finite) with its percentile bootstrap
// interval over images. Resample r draws from a stream keyed by (seed, r), so the
// result is the same on every machine. One value: the interval is that value.
Interval BootstrapMean(std::span<const double> values, const BootstrapOptions& options);

}  // namespace g2ll::metric

#endif  // WORKER_METRIC_BOOTSTRAP_H_
