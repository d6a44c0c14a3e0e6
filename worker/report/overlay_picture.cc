#include "worker/report/overlay_picture.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

namespace g2ll::report {
namespace {

using Contours = std::vector<std::vector<cv::Point>>;

// Both in RGB order, as data::Image stores it.
const cv::Scalar kTruthRgb(0x56, 0xb4, 0xe9);
const cv::Scalar kPredictionRgb(0xf0, 0xe4, 0x42);
const cv::Scalar kRimRgb(20, 20, 20);

cv::Size ScaledSize(const data::Image& image, int min_side, int max_side) {
  const int side = std::max(image.width, image.height);
  const double scale = static_cast<double>(std::clamp(side, min_side, max_side)) / side;
  return {std::max(1, static_cast<int>(std::lround(image.width * scale))),
          std::max(1, static_cast<int>(std::lround(image.height * scale)))};
}

// OpenCV has no read-only matrix over foreign memory; the callers only read.
cv::Mat View(int height, int width, int type, const std::vector<uint8_t>& pixels) {
  return cv::Mat(height, width, type, const_cast<uint8_t*>(pixels.data()));
}

Contours Outline(const data::LesionMask& mask, cv::Size size) {
  if (mask.height == 0) {
    return {};
  }
  cv::Mat scaled;
  cv::resize(View(mask.height, mask.width, CV_8UC1, mask.pixels), scaled, size, 0, 0,
             cv::INTER_LINEAR);
  Contours contours;
  cv::findContours(scaled > 127, contours, cv::RETR_LIST, cv::CHAIN_APPROX_NONE);
  return contours;
}

}  // namespace

data::Image DrawOverlay(const data::Image& image, const data::LesionMask& truth,
                        const data::LesionMask& prediction, int min_side, int max_side) {
  const cv::Size size = ScaledSize(image, min_side, max_side);
  data::Image picture{size.height, size.width,
                      std::vector<uint8_t>(3 * static_cast<size_t>(size.area()))};
  cv::Mat canvas(size, CV_8UC3, picture.pixels.data());
  cv::resize(View(image.height, image.width, CV_8UC3, image.pixels), canvas, size, 0, 0,
             size.width < image.width ? cv::INTER_AREA : cv::INTER_CUBIC);

  const int line = std::max(1, std::max(size.width, size.height) / 128);
  const Contours truth_outline = Outline(truth, size);
  const Contours prediction_outline = Outline(prediction, size);
  for (const Contours* outline : {&truth_outline, &prediction_outline}) {
    cv::drawContours(canvas, *outline, -1, kRimRgb, line + 2, cv::LINE_AA);
  }
  cv::drawContours(canvas, truth_outline, -1, kTruthRgb, line, cv::LINE_AA);
  cv::drawContours(canvas, prediction_outline, -1, kPredictionRgb, line, cv::LINE_AA);
  return picture;
}

}  // namespace g2ll::report
