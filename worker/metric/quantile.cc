#include "worker/metric/quantile.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace g2ll::metric {

double Quantile(std::span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

}  // namespace g2ll::metric
