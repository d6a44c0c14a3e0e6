#include "worker/data/perceptual_hash.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <opencv2/imgproc.hpp>

#include "worker/data/mat_view.h"

namespace g2ll::data {
namespace {

constexpr int kSide = 32;
constexpr int kFrequencies = 8;  // a side
constexpr size_t kBits = kFrequencies * kFrequencies;

uint64_t HashOf(const cv::Mat& luma) {
  cv::Mat transform;
  luma.convertTo(transform, CV_32F);
  cv::dct(transform, transform);
  std::array<float, kBits> values{};
  for (size_t bit = 0; bit < kBits; ++bit) {
    values[bit] = transform.at<float>(static_cast<int>(bit) / kFrequencies,
                                      static_cast<int>(bit) % kFrequencies);
  }
  std::array<float, kBits> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const float median = (sorted[kBits / 2 - 1] + sorted[kBits / 2]) / 2;
  uint64_t hash = 0;
  for (size_t bit = 0; bit < kBits; ++bit) {
    if (values[bit] > median) hash |= uint64_t{1} << bit;
  }
  return hash;
}

Fingerprint FingerprintOf(const cv::Mat& gray) {
  Fingerprint fingerprint;
  cv::Mat luma(kSide, kSide, CV_8UC1, fingerprint.thumbnail.data());
  cv::resize(gray, luma, luma.size(), 0, 0, cv::INTER_AREA);
  fingerprint.hash = HashOf(luma);
  return fingerprint;
}

// Where the middle lies; at least one pixel.
cv::Rect MiddleOf(int height, int width) {
  const int shorter = std::min(height, width);
  const int box_width = height == width ? std::max(1, width * 3 / 4) : shorter;
  return {(width - box_width) / 2, (height - shorter) / 2, box_width, shorter};
}

}  // namespace

Looks LooksOf(const Image& image) {
  cv::Mat gray;
  cv::cvtColor(internal::ViewOf(image), gray, cv::COLOR_RGB2GRAY);
  return {FingerprintOf(gray), FingerprintOf(gray(MiddleOf(image.height, image.width)))};
}

Likeness Compare(const Looks& a, const Looks& b) {
  Likeness best;
  const auto consider = [&](const Fingerprint& x, const Fingerprint& y, double min_correlation) {
    Likeness likeness{HashDistance(x.hash, y.hash), Correlation(x, y), false};
    likeness.is_near =
        likeness.distance <= kMaxHashDistance && likeness.correlation > min_correlation;
    const bool is_closer = likeness.distance < best.distance;
    if (likeness.is_near == best.is_near ? is_closer : likeness.is_near) best = likeness;
  };
  consider(a.whole, b.whole, kMinCorrelation);
  consider(a.whole, b.middle, kMinMiddleCorrelation);
  consider(a.middle, b.whole, kMinMiddleCorrelation);
  return best;
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
