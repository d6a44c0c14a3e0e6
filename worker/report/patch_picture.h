#ifndef WORKER_REPORT_PATCH_PICTURE_H_
#define WORKER_REPORT_PATCH_PICTURE_H_

#include <vector>

#include "worker/data/image.h"

namespace g2ll::report {

// The picture repeated pixel by pixel until its longer side has at least `min_side`
// pixels: patches keep their sharp borders.
data::Image Enlarge(const data::Image& image, int min_side);

// How a network cuts an image, with one entry a patch, row-major.
struct PatchPlan {
  int rows = 0, cols = 0;
  std::vector<bool> masked;  // true = hidden; empty: none is
  std::vector<int> regions;  // superpixel region; empty: there are none
};

// The image with hidden patches grey and a yellow line, dark at its rims, between
// patches of different regions. The image's sides are multiples of rows and cols.
data::Image DrawPatches(data::Image image, const PatchPlan& plan);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_PATCH_PICTURE_H_
