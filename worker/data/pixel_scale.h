#ifndef WORKER_DATA_PIXEL_SCALE_H_
#define WORKER_DATA_PIXEL_SCALE_H_

#include <array>
#include <string_view>

namespace g2ll::data {

// How the 8-bit value x of a channel (red, green, blue) becomes the network's input:
// (x/255 - mean) / deviation (method section 1.2).
struct PixelScale {
  std::array<double, 3> mean{};
  std::array<double, 3> deviation{};  // each above 0

  bool operator==(const PixelScale&) const = default;
};

inline constexpr PixelScale kImagenetScale{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
inline constexpr PixelScale kUnitScale{{0, 0, 0}, {1, 1, 1}};

// `imagenet`, `unit` or, for any other numbers, `dataset`.
constexpr std::string_view NameOf(const PixelScale& scale) {
  return scale == kImagenetScale ? "imagenet" : scale == kUnitScale ? "unit" : "dataset";
}

}  // namespace g2ll::data

#endif  // WORKER_DATA_PIXEL_SCALE_H_
