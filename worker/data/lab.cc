#include "worker/data/lab.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace g2ll::data {
namespace {

// The smoothed value of a pixel is sixteen times its mean.
constexpr int kSmoothMax = 255 * 16;
constexpr int kLinearBits = 14;  // linear light and XYZ: 1.0 is 2^14
constexpr int kLinearOne = 1 << kLinearBits;
constexpr int kRootBits = 15;  // f of the Lab formula: 1.0 is 2^15

// Rows of the sRGB -> XYZ matrix, each divided by the white point and scaled to
// add up to 2^16, so that grey has a = b = 0 exactly.
constexpr std::array<std::array<int, 3>, 3> kMatrix = {{
    {28440, 24655, 12441},
    {13938, 46868, 4730},
    {1164, 7174, 57198},
}};

struct Tables {
  std::array<int, kSmoothMax + 1> linear;
  std::array<int, kLinearOne + 1> root;
};

// The two curved functions as tables of whole numbers: rounding hides the last bits
// in which maths libraries differ.
Tables MakeTables() {
  Tables tables;
  for (int i = 0; i <= kSmoothMax; ++i) {
    const double value = static_cast<double>(i) / kSmoothMax;
    const double light = value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
    tables.linear[static_cast<size_t>(i)] = static_cast<int>(std::lround(light * kLinearOne));
  }
  for (int i = 0; i <= kLinearOne; ++i) {
    const double value = static_cast<double>(i) / kLinearOne;
    constexpr double kKnee = 216.0 / 24389.0;
    const double root = value > kKnee ? std::cbrt(value) : (24389.0 / 27.0 * value + 16.0) / 116.0;
    tables.root[static_cast<size_t>(i)] = static_cast<int>(std::lround(root * (1 << kRootBits)));
  }
  return tables;
}

// One row of the image: the vertical part of the filter, 4 times the mean.
void SmoothColumns(const Image& image, int y, std::vector<int>& sums) {
  const auto stride = static_cast<size_t>(image.width) * 3;
  const uint8_t* above = image.pixels.data() + static_cast<size_t>(std::max(y - 1, 0)) * stride;
  const uint8_t* here = image.pixels.data() + static_cast<size_t>(y) * stride;
  const uint8_t* below =
      image.pixels.data() + static_cast<size_t>(std::min(y + 1, image.height - 1)) * stride;
  for (size_t i = 0; i < stride; ++i) sums[i] = above[i] + 2 * here[i] + below[i];
}

// value * factor / 2^(kRootBits + shift to sixteenths), rounded to nearest.
int16_t Scaled(int value, int factor) {
  constexpr int kHalf = 1 << (kRootBits - 1);
  return static_cast<int16_t>((value * int64_t{factor} * LabImage::kScale + kHalf) >> kRootBits);
}

}  // namespace

LabImage SmoothedLab(const Image& image) {
  static const Tables tables = MakeTables();
  const size_t num_pixels = static_cast<size_t>(image.height) * static_cast<size_t>(image.width);
  LabImage lab{image.height, image.width, std::vector<int16_t>(num_pixels),
               std::vector<int16_t>(num_pixels), std::vector<int16_t>(num_pixels)};
  std::vector<int> sums(static_cast<size_t>(image.width) * 3);
  size_t pixel = 0;
  for (int y = 0; y < image.height; ++y) {
    SmoothColumns(image, y, sums);
    for (int x = 0; x < image.width; ++x, ++pixel) {
      const auto left = static_cast<size_t>(std::max(x - 1, 0)) * 3;
      const auto here = static_cast<size_t>(x) * 3;
      const auto right = static_cast<size_t>(std::min(x + 1, image.width - 1)) * 3;
      std::array<int, 3> light;
      for (size_t c = 0; c < 3; ++c) {
        light[c] =
            tables
                .linear[static_cast<size_t>(sums[left + c] + 2 * sums[here + c] + sums[right + c])];
      }
      std::array<int, 3> root;
      for (size_t row = 0; row < 3; ++row) {
        const auto& weights = kMatrix[row];
        const int sum = weights[0] * light[0] + weights[1] * light[1] + weights[2] * light[2];
        root[row] = tables.root[static_cast<size_t>((sum + (1 << 15)) >> 16)];
      }
      lab.l[pixel] = static_cast<int16_t>(Scaled(root[1], 116) - 16 * LabImage::kScale);
      lab.a[pixel] = Scaled(root[0] - root[1], 500);
      lab.b[pixel] = Scaled(root[1] - root[2], 200);
    }
  }
  return lab;
}

}  // namespace g2ll::data
