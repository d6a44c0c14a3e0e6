#include "worker/tool/mask_figure.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <opencv2/imgproc.hpp>

namespace g2ll::tool {
namespace {

constexpr int kGap = 8;
constexpr int kTextHeight = 44;
constexpr uint8_t kMaskedGray = 128;

// Colors that differ from skin, from lesions and from their neighbors in this list.
constexpr std::array<std::array<uint8_t, 3>, 10> kColors = {{{255, 230, 0},
                                                             {0, 200, 255},
                                                             {255, 60, 200},
                                                             {60, 230, 60},
                                                             {255, 140, 0},
                                                             {90, 110, 255},
                                                             {255, 255, 255},
                                                             {180, 255, 120},
                                                             {190, 80, 255},
                                                             {0, 230, 180}}};

size_t At(int y, int x, int width) {
  return static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x);
}

// Whether another region or the picture's edge lies within `width` pixels.
bool IsNearBorder(const data::LabelMap& regions, int y, int x, int width) {
  const uint16_t own = regions.labels[At(y, x, regions.width)];
  for (int dy = -width; dy <= width; ++dy) {
    for (int dx = -width; dx <= width; ++dx) {
      const int row = y + dy;
      const int col = x + dx;
      if (row < 0 || col < 0 || row >= regions.height || col >= regions.width) return true;
      if (regions.labels[At(row, col, regions.width)] != own) return true;
    }
  }
  return false;
}

// Centered under a panel that begins at `left`.
void Write(cv::Mat& canvas, const std::string& text, double scale, const cv::Point& left_baseline,
           int width) {
  constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
  int below = 0;
  const cv::Size size = cv::getTextSize(text, kFont, scale, 1, &below);
  const cv::Point at(left_baseline.x + (width - size.width) / 2, left_baseline.y);
  cv::putText(canvas, text, at, kFont, scale, {30, 30, 30}, 1, cv::LINE_AA);
}

}  // namespace

void OutlineRegions(const data::LabelMap& regions, int width, const std::vector<int>* only,
                    data::Image& image) {
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const int region = regions.labels[At(y, x, image.width)];
      if (only != nullptr && std::find(only->begin(), only->end(), region) == only->end()) continue;
      if (!IsNearBorder(regions, y, x, width)) continue;
      const auto& color = kColors[static_cast<size_t>(region) % kColors.size()];
      std::copy(color.begin(), color.end(), &image.pixels[At(y, x, image.width) * 3]);
    }
  }
}

void PaintMasked(const mask::PatchMask& mask, int patch, data::Image& image) {
  const int cols = image.width / patch;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      if (!mask.masked[At(y / patch, x / patch, cols)]) continue;
      std::fill_n(&image.pixels[At(y, x, image.width) * 3], 3, kMaskedGray);
    }
  }
}

data::Image JoinPanels(const std::vector<Panel>& panels) {
  const int width = panels[0].picture.width;
  const int height = panels[0].picture.height;
  const auto count = static_cast<int>(panels.size());
  data::Image joined{height + kTextHeight, count * width + (count - 1) * kGap, {}};
  joined.pixels.assign(At(joined.height, 0, joined.width) * 3, 255);
  cv::Mat canvas(joined.height, joined.width, CV_8UC3, joined.pixels.data());
  for (int i = 0; i < count; ++i) {
    const Panel& panel = panels[static_cast<size_t>(i)];
    const int left = i * (width + kGap);
    for (int y = 0; y < height; ++y) {
      std::copy_n(&panel.picture.pixels[At(y, 0, width) * 3], static_cast<size_t>(width) * 3,
                  &joined.pixels[At(y, left, joined.width) * 3]);
    }
    Write(canvas, panel.title, 0.5, {left, height + 18}, width);
    Write(canvas, panel.note, 0.4, {left, height + 36}, width);
  }
  return joined;
}

}  // namespace g2ll::tool
