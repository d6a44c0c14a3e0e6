#include "worker/report/patch_picture.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace g2ll::report {
namespace {

using Color = std::array<uint8_t, 3>;

constexpr Color kHidden = {128, 128, 128};
constexpr Color kBorder = {255, 230, 0};
constexpr Color kRim = {20, 20, 20};

struct Box {
  int left = 0, top = 0, right = 0, bottom = 0;  // the last two are outside
};

void Paint(data::Image& image, const Box& box, const Color& color) {
  for (int y = std::max(0, box.top); y < std::min(image.height, box.bottom); ++y) {
    for (int x = std::max(0, box.left); x < std::min(image.width, box.right); ++x) {
      const auto offset =
          (static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)) * 3;
      std::copy(color.begin(), color.end(),
                image.pixels.begin() + static_cast<std::ptrdiff_t>(offset));
    }
  }
}

// Lines of `width` pixels between patches of different regions.
void PaintBorders(data::Image& image, const PatchPlan& plan, int width, const Color& color) {
  const int height = image.height / plan.rows, breadth = image.width / plan.cols;
  const auto region = [&plan](int row, int col) {
    return plan.regions[static_cast<size_t>(row * plan.cols + col)];
  };
  const int half = width / 2;
  for (int row = 0; row < plan.rows; ++row) {
    for (int col = 0; col < plan.cols; ++col) {
      const int left = col * breadth, right = left + breadth;
      const int top = row * height, bottom = top + height;
      if (col + 1 < plan.cols && region(row, col) != region(row, col + 1)) {
        Paint(image, {right - half, top - half, right + half, bottom + half}, color);
      }
      if (row + 1 < plan.rows && region(row, col) != region(row + 1, col)) {
        Paint(image, {left - half, bottom - half, right + half, bottom + half}, color);
      }
    }
  }
}

}  // namespace

data::Image Enlarge(const data::Image& image, int min_side) {
  const int side = std::max(1, std::max(image.width, image.height));
  const int factor = std::max(1, (min_side + side - 1) / side);
  data::Image large{image.height * factor, image.width * factor, {}};
  large.pixels.reserve(image.pixels.size() * static_cast<size_t>(factor * factor));
  for (int y = 0; y < large.height; ++y) {
    for (int x = 0; x < large.width; ++x) {
      const auto offset = (static_cast<size_t>(y / factor) * static_cast<size_t>(image.width) +
                           static_cast<size_t>(x / factor)) *
                          3;
      const auto first = image.pixels.begin() + static_cast<std::ptrdiff_t>(offset);
      large.pixels.insert(large.pixels.end(), first, first + 3);
    }
  }
  return large;
}

data::Image DrawPatches(data::Image image, const PatchPlan& plan) {
  const int height = image.height / plan.rows, width = image.width / plan.cols;
  for (size_t i = 0; i < plan.masked.size(); ++i) {
    if (!plan.masked[i]) continue;
    const int top = static_cast<int>(i) / plan.cols * height;
    const int left = static_cast<int>(i) % plan.cols * width;
    Paint(image, {left, top, left + width, top + height}, kHidden);
  }
  if (!plan.regions.empty()) {
    PaintBorders(image, plan, 4, kRim);
    PaintBorders(image, plan, 2, kBorder);
  }
  return image;
}

}  // namespace g2ll::report
