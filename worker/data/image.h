#ifndef WORKER_DATA_IMAGE_H_
#define WORKER_DATA_IMAGE_H_

#include <cstdint>
#include <vector>

namespace g2ll::data {

// An RGB picture, 8 bits a channel, row-major, channel fastest.
struct Image {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3]
};

// Which pixels are lesion: 0 or 255, row-major.
struct LesionMask {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // [height, width]
};

}  // namespace g2ll::data

#endif  // WORKER_DATA_IMAGE_H_
