#include "worker/data/pixel_statistics.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <vector>

#include "worker/data/parallel_for.h"
#include "worker/data/resize.h"

namespace g2ll::data {
namespace {

// Sums over the pixels of one channel.
struct ChannelSums {
  uint64_t values = 0;
  uint64_t squares = 0;
};

struct PixelSums {
  std::array<ChannelSums, 3> channels;
  uint64_t count = 0;
  int64_t failed_image = -1;  // the first of its thread
  absl::Status status;
};

void AddImage(const Image& image, PixelSums& sums) {
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    for (size_t c = 0; c < 3; ++c) {
      const uint64_t value = image.pixels[i + c];
      sums.channels[c].values += value;
      sums.channels[c].squares += value * value;
    }
  }
  sums.count += image.pixels.size() / 3;
}

PixelScale ScaleOf(const PixelSums& sums) {
  PixelScale scale;
  const auto count = static_cast<double>(sums.count);
  for (size_t c = 0; c < 3; ++c) {
    const double mean = static_cast<double>(sums.channels[c].values) / count;
    const double square = static_cast<double>(sums.channels[c].squares) / count;
    scale.mean[c] = mean / 255.0;
    scale.deviation[c] = std::max(std::sqrt(std::max(square - mean * mean, 0.0)), 1.0) / 255.0;
  }
  return scale;
}

}  // namespace

absl::StatusOr<PixelScale> MeasurePixels(const Dataset& dataset, int side, int64_t max_images,
                                         int threads) {
  const int64_t count = std::min(dataset.size(), max_images);
  std::atomic<int64_t> next = 0;
  std::vector<PixelSums> parts(static_cast<size_t>(threads));
  const auto work = [&](PixelSums& sums) {
    for (int64_t i = next++; i < count && sums.status.ok(); i = next++) {
      const int64_t index = i * dataset.size() / count;
      const absl::StatusOr<Image> image = dataset.LoadImageFor(index, side);
      if (image.ok()) {
        AddImage(ResizeImage(*image, side, side), sums);
      } else {
        sums.status = image.status();
        sums.failed_image = index;
      }
    }
  };
  ParallelFor(parts.size(), threads, [&](size_t i) { work(parts[i]); });
  PixelSums total;
  for (const PixelSums& part : parts) {
    if (!part.status.ok() && (total.failed_image < 0 || part.failed_image < total.failed_image)) {
      total.status = part.status;
      total.failed_image = part.failed_image;
    }
    for (size_t c = 0; c < 3; ++c) {
      total.channels[c].values += part.channels[c].values;
      total.channels[c].squares += part.channels[c].squares;
    }
    total.count += part.count;
  }
  if (!total.status.ok()) return total.status;
  return ScaleOf(total);
}

}  // namespace g2ll::data
