#ifndef WORKER_DATA_RESIZE_H_
#define WORKER_DATA_RESIZE_H_

#include <cstdint>
#include <vector>

#include "worker/data/image.h"

namespace g2ll::data {

// A rectangle of whole pixels.
struct PixelBox {
  int top = 0;
  int left = 0;
  int height = 0;
  int width = 0;
};

// Region of each pixel, row-major.
struct LabelMap {
  int height = 0;
  int width = 0;
  std::vector<uint16_t> labels;  // [height, width]
};

// Squeezes or stretches the picture to height x width, as the paper does: by area
// where both sides shrink, else cubic.
Image ResizeImage(const Image& image, int height, int width);

// The nearest pixel's value, by pixel centers, so that flips and resizing commute.
LesionMask ResizeMask(const LesionMask& mask, int height, int width);

// The part inside `box`, which must lie within the picture, resized as above.
Image CropAndResize(const Image& image, const PixelBox& box, int height, int width);
LesionMask CropAndResize(const LesionMask& mask, const PixelBox& box, int height, int width);
LabelMap CropAndResize(const LabelMap& map, const PixelBox& box, int height, int width);

// Mirror images, in place.
void FlipHorizontally(Image& image);
void FlipVertically(Image& image);
void FlipHorizontally(LesionMask& mask);
void FlipVertically(LesionMask& mask);
void FlipHorizontally(LabelMap& map);
void FlipVertically(LabelMap& map);

}  // namespace g2ll::data

#endif  // WORKER_DATA_RESIZE_H_
