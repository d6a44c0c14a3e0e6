#include "worker/data/photometric.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "worker/data/mat_view.h"

namespace g2ll::data {
namespace {

using ByteTable = std::array<uint8_t, 256>;

uint8_t ToByte(float value) { return static_cast<uint8_t>(std::clamp(value + 0.5F, 0.0F, 255.0F)); }

// Rec. 601 luma of one pixel.
float Luma(const uint8_t* pixel) {
  return 0.299F * static_cast<float>(pixel[0]) + 0.587F * static_cast<float>(pixel[1]) +
         0.114F * static_cast<float>(pixel[2]);
}

void Apply(const ByteTable& table, Image& image) {
  for (uint8_t& value : image.pixels) value = table[value];
}

// base + (x - base) * factor for every value x.
ByteTable BlendTable(double base, double factor) {
  ByteTable table{};
  for (size_t x = 0; x < table.size(); ++x) {
    table[x] = ToByte(static_cast<float>(base + (static_cast<double>(x) - base) * factor));
  }
  return table;
}

// Position on the color circle in sixths of a turn, in [-1, 5).
float HueOf(float red, float green, float blue, float chroma) {
  const float highest = std::max({red, green, blue});
  if (highest == red) return (green - blue) / chroma;
  if (highest == green) return 2.0F + (blue - red) / chroma;
  return 4.0F + (red - green) / chroma;
}

}  // namespace

void ScaleBrightness(Image& image, double factor) { Apply(BlendTable(0.0, factor), image); }

void ScaleContrast(Image& image, double factor) {
  double sum = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) sum += Luma(&image.pixels[i]);
  Apply(BlendTable(sum * 3 / static_cast<double>(image.pixels.size()), factor), image);
}

void ScaleSaturation(Image& image, double factor) {
  const auto scale = static_cast<float>(factor);
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const float gray = Luma(&image.pixels[i]);
    for (size_t c = 0; c < 3; ++c) {
      uint8_t& value = image.pixels[i + c];
      value = ToByte(gray + scale * (static_cast<float>(value) - gray));
    }
  }
}

void ShiftHue(Image& image, double shift) {
  const auto sixths = static_cast<float>((shift - std::floor(shift)) * 6.0);
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    uint8_t* pixel = &image.pixels[i];
    const auto red = static_cast<float>(pixel[0]);
    const auto green = static_cast<float>(pixel[1]);
    const auto blue = static_cast<float>(pixel[2]);
    const float highest = std::max({red, green, blue});
    const float chroma = highest - std::min({red, green, blue});
    if (chroma == 0.0F) continue;
    const float hue = HueOf(red, green, blue, chroma) + sixths;  // in [-1, 11)
    // How far a channel's own corner of the circle is from the hue decides its share.
    const auto channel = [&](float corner) {
      float distance = corner + hue;  // in [0, 16)
      distance -= distance >= 12.0F ? 12.0F : distance >= 6.0F ? 6.0F : 0.0F;
      return ToByte(highest - chroma * std::clamp(std::min(distance, 4.0F - distance), 0.0F, 1.0F));
    };
    pixel[0] = channel(5.0F);
    pixel[1] = channel(3.0F);
    pixel[2] = channel(1.0F);
  }
}

void MakeGray(Image& image) {
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const uint8_t gray = ToByte(Luma(&image.pixels[i]));
    std::fill_n(image.pixels.begin() + static_cast<ptrdiff_t>(i), 3, gray);
  }
}

void Blur(Image& image, double sigma) {
  cv::Mat view = internal::ViewOf(image);
  cv::GaussianBlur(view, view, {0, 0}, sigma);
}

void Solarize(Image& image) {
  for (uint8_t& value : image.pixels) {
    if (value >= 128) value = static_cast<uint8_t>(255 - value);
  }
}

void JitterColors(const JitterAmounts& amounts, random::Rng& rng, Image& image) {
  std::vector<int> order = {0, 1, 2, 3};
  random::Shuffle(order, rng);
  std::array<double, 4> draws{};
  for (double& draw : draws) draw = rng.Uniform(-1.0, 1.0);
  for (const int step : order) {
    const double draw = draws[static_cast<size_t>(step)];
    if (step == 0 && amounts.brightness > 0) ScaleBrightness(image, 1 + amounts.brightness * draw);
    if (step == 1 && amounts.contrast > 0) ScaleContrast(image, 1 + amounts.contrast * draw);
    if (step == 2 && amounts.saturation > 0) ScaleSaturation(image, 1 + amounts.saturation * draw);
    if (step == 3 && amounts.hue > 0) ShiftHue(image, amounts.hue * draw);
  }
}

void AddNoise(random::Rng& rng, Image& image) {
  const auto sigma = static_cast<float>(std::sqrt(rng.Uniform(10.0, 50.0)));
  for (uint8_t& value : image.pixels) {
    value = ToByte(static_cast<float>(value) + sigma * rng.CoarseNormal());
  }
}

}  // namespace g2ll::data
