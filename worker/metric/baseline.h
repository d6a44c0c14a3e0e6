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

// One prediction for every image.
struct BaselineMask {
  std::string description;    // for people, for example `every pixel lesion`
  std::vector<uint8_t> mask;  // [size * size], 0 or 1
};

// Means over images of their scores.
struct MeanScore {
  double dice = 0;
  double iou = 0;
};

// Scores one prediction on every image of a set; zeros for an empty set.
MeanScore ScoreMask(const std::vector<uint8_t>& prediction, const MaskSet& truth);

// The ellipse in the middle of the image with these semi-axes, in half sides:
// [size * size] of 0 or 1, a pixel counts by its center.
std::vector<uint8_t> CenteredEllipse(int size, double semi_x, double semi_y);

// The best mask that ignores the image: every pixel, no pixel, or the mean training
// mask at its best threshold (of 0.05 to 0.95, step 0.05), by mean Dice on
// `training`. Without training masks: every pixel.
BaselineMask ChooseConstantMask(const MaskSet& training);

// The centered ellipse whose two semi-axes (0.3 to 1.1 of the half side, step 0.1)
// have the best mean Dice on `training`. Without training masks both are 0.6.
BaselineMask ChooseCenteredEllipse(const MaskSet& training);

}  // namespace g2ll::metric

#endif  // WORKER_METRIC_BASELINE_H_
