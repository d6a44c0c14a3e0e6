#include "worker/data/perceptual_hash.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <opencv2/imgproc.hpp>

#include "worker/data/mat_view.h"

namespace g2ll::data {
namespace {

constexpr int kSide = 32;
constexpr size_t kBits = 64;

// The lowest frequencies but the mean, diagonal by diagonal.
std::array<float, kBits> LowFrequencies(const cv::Mat& transform) {
  std::array<float, kBits> values{};
  size_t count = 0;
  for (int diagonal = 1; count < kBits; ++diagonal) {
    for (int row = 0; row <= diagonal && count < kBits; ++row) {
      values[count++] = transform.at<float>(row, diagonal - row);
    }
  }
  return values;
}

}  // namespace

Fingerprint FingerprintOf(const Image& image) {
  cv::Mat gray;
  cv::cvtColor(internal::ViewOf(image), gray, cv::COLOR_RGB2GRAY);
  Fingerprint fingerprint;
  cv::Mat thumbnail(kSide, kSide, CV_8UC1, fingerprint.thumbnail.data());
  cv::resize(gray, thumbnail, thumbnail.size(), 0, 0, cv::INTER_AREA);
  cv::Mat transform;
  thumbnail.convertTo(transform, CV_32F);
  cv::dct(transform, transform);

  const std::array<float, kBits> values = LowFrequencies(transform);
  std::array<float, kBits> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const float median = (sorted[kBits / 2 - 1] + sorted[kBits / 2]) / 2;
  for (size_t bit = 0; bit < kBits; ++bit) {
    if (values[bit] > median) fingerprint.hash |= uint64_t{1} << bit;
  }
  return fingerprint;
}

double Correlation(const Fingerprint& a, const Fingerprint& b) {
  // Whole numbers until the end, so that order and machine make no difference.
  int64_t sum_a = 0;
  int64_t sum_b = 0;
  int64_t square_a = 0;
  int64_t square_b = 0;
  int64_t product = 0;
  for (size_t i = 0; i < a.thumbnail.size(); ++i) {
    const int64_t x = a.thumbnail[i];
    const int64_t y = b.thumbnail[i];
    sum_a += x;
    sum_b += y;
    square_a += x * x;
    square_b += y * y;
    product += x * y;
  }
  const auto n = static_cast<int64_t>(a.thumbnail.size());
  const int64_t variance_a = n * square_a - sum_a * sum_a;
  const int64_t variance_b = n * square_b - sum_b * sum_b;
  if (variance_a == 0 || variance_b == 0) return a.thumbnail == b.thumbnail ? 1.0 : 0.0;
  return static_cast<double>(n * product - sum_a * sum_b) /
         std::sqrt(static_cast<double>(variance_a) * static_cast<double>(variance_b));
}

}  // namespace g2ll::data
