#include "worker/data/pixel_tensor.h"

#include <cstddef>

namespace g2ll::data {

NormTable MakeNormTable(const PixelScale& scale) {
  NormTable table;
  for (size_t c = 0; c < 3; ++c) {
    for (size_t value = 0; value < 256; ++value) {
      const double unit = static_cast<double>(value) / 255.0;
      table[c][value] = static_cast<float>((unit - scale.mean[c]) / scale.deviation[c]);
    }
  }
  return table;
}

void WritePixels(const Image& image, const NormTable& table, float* out) {
  const size_t num_pixels = static_cast<size_t>(image.height) * static_cast<size_t>(image.width);
  for (size_t pixel = 0; pixel < num_pixels; ++pixel) {
    for (size_t c = 0; c < 3; ++c) {
      out[c * num_pixels + pixel] = table[c][image.pixels[3 * pixel + c]];
    }
  }
}

void WriteMask(const LesionMask& mask, float* out) {
  for (size_t pixel = 0; pixel < mask.pixels.size(); ++pixel) {
    out[pixel] = mask.pixels[pixel] != 0 ? 1.0F : 0.0F;
  }
}

}  // namespace g2ll::data
