#ifndef WORKER_DATA_PIXEL_TENSOR_H_
#define WORKER_DATA_PIXEL_TENSOR_H_

#include <array>

#include "worker/data/image.h"
#include "worker/data/pixel_scale.h"

namespace g2ll::data {

// The value of the network's input for each 8-bit value of each channel.
using NormTable = std::array<std::array<float, 256>, 3>;

NormTable MakeNormTable(const PixelScale& scale);

// Writes a picture as [3, H, W] float to `out`.
void WritePixels(const Image& image, const NormTable& table, float* out);

// Writes a mask as [H, W] float, 1 where lesion, to `out`.
void WriteMask(const LesionMask& mask, float* out);

}  // namespace g2ll::data

#endif  // WORKER_DATA_PIXEL_TENSOR_H_
