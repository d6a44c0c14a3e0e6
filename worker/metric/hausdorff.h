#ifndef WORKER_METRIC_HAUSDORFF_H_
#define WORKER_METRIC_HAUSDORFF_H_

#include <cstdint>
#include <span>

namespace g2ll::metric {

// The symmetric Hausdorff distance of two lesions, at its 95th percentile, in pixels
// (HD95, method section 4.3): from every pixel on the outline of each mask the
// Euclidean distance to the nearest one on the other's outline; of all these
// distances together the 0.95-quantile. On an outline is a lesion pixel one of whose
// four neighbours is no lesion or lies outside the picture.
//
// `prediction` and `truth`: [height * width], row-major, any value other than 0 is
// lesion (lengths are checked). Both without lesion: 0. Only one without: NaN, for
// then there is no distance; leave such an image out of a mean and say how many.
double Hausdorff95(std::span<const uint8_t> prediction, std::span<const uint8_t> truth, int height,
                   int width);

}  // namespace g2ll::metric

#endif  // WORKER_METRIC_HAUSDORFF_H_
