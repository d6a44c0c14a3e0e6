#ifndef WORKER_METRIC_QUANTILE_H_
#define WORKER_METRIC_QUANTILE_H_

#include <span>

namespace g2ll::metric {

// The value below which a share `q` in [0, 1] of `sorted` lies (ascending, at least
// one), by linear interpolation between neighbours: the 0.5-quantile is the median.
double Quantile(std::span<const double> sorted, double q);

}  // namespace g2ll::metric

#endif  // WORKER_METRIC_QUANTILE_H_
