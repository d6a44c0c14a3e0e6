#ifndef WORKER_DATA_PIXEL_STATISTICS_H_
#define WORKER_DATA_PIXEL_STATISTICS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"
#include "worker/data/pixel_scale.h"

namespace g2ll::data {

// So many images tell a channel's mean to about 0.003.
inline constexpr int64_t kMaxMeasuredImages = 2000;

// Mean and deviation of each channel over the images at `side` x `side` pixels, of at
// most `max_images` of them, spread evenly over the set. A channel that is the same
// everywhere gets the deviation of one step, 1/255.
//
// Sums are whole numbers, so the result is the same to the last bit for any number of
// `threads` (at least 1) and on every rank. Errors: DataLoss (an unreadable image, named).
absl::StatusOr<PixelScale> MeasurePixels(const Dataset& dataset, int side, int64_t max_images,
                                         int threads);

}  // namespace g2ll::data

#endif  // WORKER_DATA_PIXEL_STATISTICS_H_
