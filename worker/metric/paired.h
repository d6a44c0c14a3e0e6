#ifndef WORKER_METRIC_PAIRED_H_
#define WORKER_METRIC_PAIRED_H_

#include <cstdint>
#include <span>

#include "worker/metric/bootstrap.h"

namespace g2ll::metric {

// Settings of a paired comparison.
struct PairedOptions {
  int resamples = 10000;     // of the bootstrap, at least 1
  int permutations = 10000;  // of the test, at least 1
  double coverage = 0.95;    // in (0, 1)
  uint64_t seed = 0;
};

// Two scores of the same images side by side.
struct PairedComparison {
  int64_t images = 0;
  double mean_a = 0;
  double mean_b = 0;
  Interval difference;  // of b - a
  double p_value = 1;   // two-sided, in (0, 1]
};

// Compares two scores of the same images: `a[i]` and `b[i]` belong to one image.
// Both finite and of one length (checked), at least 1.
//
// The difference is the mean over images of b - a, with a percentile bootstrap
// interval over images. The p-value is that of a sign-flip test: how often the mean
// difference is at least as far from 0 when the two scores of every image are
// exchanged or not by a fair coin. Up to 12 images all exchanges are counted; for
// more, `permutations` random ones, where p = (1 + hits) / (1 + permutations).
// Draws are keyed by (seed, draw): the same on every machine.
PairedComparison ComparePaired(std::span<const double> a, std::span<const double> b,
                               const PairedOptions& options);

}  // namespace g2ll::metric

#endif  // WORKER_METRIC_PAIRED_H_
