#ifndef WORKER_METRIC_BASELINE_H_
#define WORKER_METRIC_BASELINE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace g2ll::metric {

// Lesion masks at network size: each `size * size` bytes, row-major, a value
// other than 0 is lesion.
struct MaskSet {
  int size = 0;
  std::vector<std::vector<uint8_t>> masks;
};

// One prediction for every image, and how it does.
struct BaselineScore {
  std::string description;    // for people, for example `ellipse 0.6 x 0.7`
  std::vector<uint8_t> mask;  // [size * size], 0 or 1
  double dice = 0;            // mean over the test images
  double iou = 0;             // mean over the test images
};

// The ellipse in the middle of the image with these semi-axes, in half sides:
// [size * size] of 0 or 1, a pixel counts by its centre.
std::vector<uint8_t> CenteredEllipse(int size, double semi_x, double semi_y);

// The best mask that ignores the image: all-lesion, all-background or the mean
// training mask at its best threshold (of 0.05 to 0.95, step 0.05). Chosen by mean
// Dice on `training`, scored on `test` (at least one mask, same size). Without
// training masks the choice is between the first two, and all-lesion is taken.
BaselineScore BestConstantMask(const MaskSet& training, const MaskSet& test);

// The centred ellipse whose two semi-axes (0.3 to 1.1 of the half side, step 0.1)
// have the best mean Dice on `training`, scored on `test`. Without training masks
// both semi-axes are 0.6.
BaselineScore BestCenteredEllipse(const MaskSet& training, const MaskSet& test);

}  // namespace g2ll::metric

#endif  // WORKER_METRIC_BASELINE_H_
