#include "worker/data/cutmix.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace g2ll::data {
namespace {

constexpr double kMinArea = 0.02;
constexpr double kMaxArea = 0.4;
constexpr double kMinRatio = 0.3;

// Beside the steps of view_augmentation.cc, which have the numbers 1 to 9.
constexpr uint32_t kCutMixStep = 10;

PixelBox DrawBox(int height, int width, random::Rng& rng) {
  const double area = rng.Uniform(kMinArea, kMaxArea) * height * width;
  const double ratio = std::exp(rng.Uniform(std::log(kMinRatio), -std::log(kMinRatio)));
  PixelBox box;
  box.height = std::clamp(static_cast<int>(std::lround(std::sqrt(area / ratio))), 1, height);
  box.width = std::clamp(static_cast<int>(std::lround(std::sqrt(area * ratio))), 1, width);
  box.top = static_cast<int>(rng.Between(0, height - box.height));
  box.left = static_cast<int>(rng.Between(0, width - box.width));
  return box;
}

void PasteBytes(const PixelBox& box, int width, int channels, const std::vector<uint8_t>& from,
                std::vector<uint8_t>& to) {
  const auto length = static_cast<ptrdiff_t>(box.width) * channels;
  for (int row = box.top; row < box.top + box.height; ++row) {
    const ptrdiff_t first = (static_cast<ptrdiff_t>(row) * width + box.left) * channels;
    std::copy_n(from.begin() + first, length, to.begin() + first);
  }
}

}  // namespace

std::optional<CutMix> DrawCutMix(const random::Key& key, double probability,
                                 const std::vector<int64_t>& batch, int height, int width) {
  if (batch.size() < 2) return std::nullopt;
  random::Key stream = key;
  stream.purpose = random::Purpose::kView;
  stream.view |= kCutMixStep << 8;
  random::Rng rng(stream);
  if (!rng.Bernoulli(probability)) return std::nullopt;
  const auto own = static_cast<size_t>(
      std::find(batch.begin(), batch.end(), static_cast<int64_t>(key.sample)) - batch.begin());
  // One of the others: as many places as there are images but one, without its own.
  size_t place = static_cast<size_t>(rng.Below(batch.size() - 1));
  if (place >= own) ++place;
  CutMix mix;
  mix.partner = batch[place];
  mix.box = DrawBox(height, width, rng);
  return mix;
}

void Paste(const PixelBox& box, const Image& from, Image& to) {
  PasteBytes(box, to.width, 3, from.pixels, to.pixels);
}

void Paste(const PixelBox& box, const LesionMask& from, LesionMask& to) {
  PasteBytes(box, to.width, 1, from.pixels, to.pixels);
}

}  // namespace g2ll::data
