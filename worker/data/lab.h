#ifndef WORKER_DATA_LAB_H_
#define WORKER_DATA_LAB_H_

#include <cstdint>
#include <vector>

#include "worker/data/image.h"

namespace g2ll::data {

// CIE L*a*b* (D65) in whole sixteenths: L in [0, 1600], a and b about +-2048. Made
// with integers only, so that every machine gets the same bits.
struct LabImage {
  static constexpr int kScale = 16;

  int height = 0;
  int width = 0;
  std::vector<int16_t> l;  // [height, width], as a and b
  std::vector<int16_t> a;
  std::vector<int16_t> b;
};

// Smooths with a 3x3 Gaussian (weights 1 2 1, edges repeated) and converts.
LabImage SmoothedLab(const Image& image);

// Converts as it is.
LabImage PlainLab(const Image& image);

}  // namespace g2ll::data

#endif  // WORKER_DATA_LAB_H_
