#include "worker/data/synthetic_dermoscopy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "worker/data/mat_view.h"
#include "worker/random/rng.h"

namespace g2ll::data {
namespace {

using random::Rng;
using Color = cv::Vec3f;  // red, green, blue in [0, 255]

constexpr double kTwoPi = 2.0 * std::numbers::pi;
constexpr size_t kHarmonics = 9;
constexpr double kReferenceSize = 256.0;  // sizes below are in pixels of a 256-pixel image

// Typical skin under a dermatoscope, from pale to tanned.
constexpr std::array<std::array<float, 3>, 6> kSkins = {{{232, 196, 184},
                                                         {222, 172, 152},
                                                         {211, 158, 146},
                                                         {226, 186, 160},
                                                         {198, 147, 128},
                                                         {214, 174, 180}}};
// Pigment, from light brown and reddish to nearly black.
constexpr std::array<std::array<float, 3>, 7> kPigments = {{{142, 96, 72},
                                                            {116, 76, 58},
                                                            {92, 60, 50},
                                                            {158, 104, 92},
                                                            {70, 50, 48},
                                                            {172, 122, 98},
                                                            {104, 82, 84}}};

template <size_t N>
Color PickColor(const std::array<std::array<float, 3>, N>& palette, float jitter, Rng& rng) {
  const auto& base = palette[rng.Below(N)];
  const float shade = jitter * rng.CoarseNormal();
  Color color;
  for (int c = 0; c < 3; ++c) {
    color[c] = base[static_cast<size_t>(c)] + shade + 0.4F * jitter * rng.CoarseNormal();
  }
  return color;
}

// Purposes of streams of one picture; changing one part leaves the others alone.
enum Part : uint32_t { kOutline, kColors, kTexture, kHairs, kSensor };

Rng StreamFor(const SyntheticKey& key, Part part) {
  return Rng({.seed = key.seed,
              .sample = key.index,
              .view = part,
              .purpose = random::Purpose::kSynthetic});
}

// The outline of a lesion: an ellipse whose radius varies smoothly with the angle.
class Outline {
 public:
  explicit Outline(const SyntheticKey& key) {
    Rng rng = StreamFor(key, kOutline);
    const double scale = key.size / kReferenceSize;
    const double longest = rng.Uniform(25.0, 100.0);
    const double shortest = std::max(25.0, longest * rng.Uniform(0.55, 1.0));
    long_radius_ = longest * scale;
    short_radius_ = shortest * scale;
    const double angle = rng.Uniform(0.0, kTwoPi);
    // Far enough inside that some lesion is always seen.
    const auto place = [&] {
      return key.size / 2.0 + std::clamp(20.0 * rng.Normal(), -70.0, 70.0) * scale;
    };
    center_x_ = place();
    center_y_ = place();
    cos_angle_ = std::cos(angle);
    sin_angle_ = std::sin(angle);
    const double roughness = rng.Uniform(0.02, 0.09);
    for (size_t k = 0; k < kHarmonics; ++k) {
      const double amplitude =
          roughness * rng.Normal() / std::sqrt(1.0 + 0.6 * static_cast<double>(k));
      const double phase = rng.Uniform(0.0, kTwoPi);
      cosines_[k] = amplitude * std::cos(phase);
      sines_[k] = -amplitude * std::sin(phase);
    }
  }

  // Radius of a disc of about the same area, in pixels.
  double MeanRadius() const { return std::sqrt(long_radius_ * short_radius_); }

  // Distance from the lesion's center relative to its outline: below 1 inside.
  double RelativeRadius(double x, double y) const {
    const double dx = x - center_x_;
    const double dy = y - center_y_;
    const double u = (dx * cos_angle_ + dy * sin_angle_) / long_radius_;
    const double v = (dy * cos_angle_ - dx * sin_angle_) / short_radius_;
    const double radius = std::sqrt(u * u + v * v);
    if (radius == 0.0) return 0.0;
    // Multiples of the angle by the addition theorems: no inverse function needed.
    const double c = u / radius;
    const double s = v / radius;
    double cosine = c * c - s * s;
    double sine = 2.0 * c * s;
    double boundary = 1.0;
    for (size_t k = 0; k < kHarmonics; ++k) {
      boundary += cosines_[k] * cosine + sines_[k] * sine;
      const double next = cosine * c - sine * s;
      sine = sine * c + cosine * s;
      cosine = next;
    }
    return radius / std::max(boundary, 0.3);
  }

 private:
  double long_radius_ = 0, short_radius_ = 0, center_x_ = 0, center_y_ = 0;
  double cos_angle_ = 1, sin_angle_ = 0;
  std::array<double, kHarmonics> cosines_{};  // of 2, 3, ... times the angle
  std::array<double, kHarmonics> sines_{};
};

// Relative radius at every pixel center, [size, size] float.
cv::Mat RadiusField(const SyntheticKey& key) {
  const Outline outline(key);
  cv::Mat field(key.size, key.size, CV_32F);
  for (int y = 0; y < key.size; ++y) {
    auto* row = field.ptr<float>(y);
    for (int x = 0; x < key.size; ++x) {
      row[x] = static_cast<float>(outline.RelativeRadius(x + 0.5, y + 0.5));
    }
  }
  return field;
}

// Smooth noise of about unit variance whose blobs are size / cells pixels wide.
cv::Mat SmoothNoise(int size, int cells, Rng& rng) {
  cv::Mat coarse(cells + 3, cells + 3, CV_32F);
  for (int i = 0; i < coarse.rows * coarse.cols; ++i) {
    coarse.at<float>(i / coarse.cols, i % coarse.cols) = 1.4F * rng.CoarseNormal();
  }
  cv::Mat fine;
  cv::resize(coarse, fine, {size, size}, 0, 0, cv::INTER_CUBIC);
  return fine;
}

cv::Mat LayeredNoise(int size, std::initializer_list<int> cells, Rng& rng) {
  cv::Mat sum = cv::Mat::zeros(size, size, CV_32F);
  float weight = 1.0F;
  for (const int count : cells) {
    sum += weight * SmoothNoise(size, count, rng);
    weight *= 0.6F;
  }
  return sum;
}

// 1 well inside the lesion, 0 well outside, with a border of the given width.
float Coverage(float relative_radius, float softness) {
  return 1.0F / (1.0F + std::exp((relative_radius - 1.0F) / softness));
}

struct Palette {
  Color skin, skin_second, pigment, pigment_second, rim;
  float softness = 0.05F;  // width of the border, relative to the radius
  float network = 0.0F;    // strength of the pigment network
  float darkening = 0.5F;  // how far the middle is darker than the rim
};

Palette PickPalette(const SyntheticKey& key) {
  Rng rng = StreamFor(key, kColors);
  Palette palette;
  palette.skin = PickColor(kSkins, 9.0F, rng);
  // Redness comes and goes over skin.
  palette.skin_second = palette.skin + Color(-4.0F, -16.0F, -13.0F);
  palette.pigment = PickColor(kPigments, 10.0F, rng);
  palette.pigment_second = PickColor(kPigments, 10.0F, rng);
  const auto contrast = static_cast<float>(rng.Uniform(0.62, 1.0));
  palette.pigment = palette.skin + (palette.pigment - palette.skin) * contrast;
  palette.pigment_second = palette.skin + (palette.pigment_second - palette.skin) * contrast;
  palette.rim = palette.skin * 0.45F + palette.pigment * 0.55F + Color(8.0F, -4.0F, -6.0F);
  palette.softness = static_cast<float>(rng.Uniform(0.02, 0.09));
  palette.network = static_cast<float>(rng.Uniform(0.0, 13.0));
  palette.darkening = static_cast<float>(rng.Uniform(0.2, 0.8));
  return palette;
}

// Skin and lesion, without hairs and optics, [size, size] of Color.
cv::Mat PaintTissue(const SyntheticKey& key, const Palette& palette) {
  Rng rng = StreamFor(key, kTexture);
  const int size = key.size;
  const cv::Mat radius = RadiusField(key);
  const cv::Mat redness = LayeredNoise(size, {3, 7, 15}, rng);
  const cv::Mat skin_grain = LayeredNoise(size, {20, 42, 84}, rng);
  const cv::Mat mottle = LayeredNoise(size, {4, 9, 19, 40}, rng);
  const cv::Mat network = LayeredNoise(size, {34, 60}, rng);
  const cv::Mat wobble = LayeredNoise(size, {10, 24, 50}, rng);
  cv::Mat tissue(size, size, CV_32FC3);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const float blush = std::clamp(0.5F + 0.35F * redness.at<float>(y, x), 0.0F, 1.0F);
      Color skin = palette.skin * (1.0F - blush) + palette.skin_second * blush;
      skin += Color::all(2.2F * skin_grain.at<float>(y, x));

      const float r = radius.at<float>(y, x);
      const float mixing = std::clamp(0.5F + 0.45F * mottle.at<float>(y, x), 0.0F, 1.0F);
      Color lesion = palette.pigment * (1.0F - mixing) + palette.pigment_second * mixing;
      const float toward_rim = std::clamp(std::pow(r, 3.0F) * palette.darkening, 0.0F, 0.9F);
      lesion = lesion * (1.0F - toward_rim) + palette.rim * toward_rim;
      lesion += Color::all(5.0F * mottle.at<float>(y, x) -
                           palette.network * std::abs(network.at<float>(y, x)));

      // Pigment fades irregularly, while the outline itself stays exact on average.
      const float ragged = r + 0.015F * wobble.at<float>(y, x);
      const float coverage = Coverage(ragged, palette.softness);
      tissue.at<Color>(y, x) = skin * (1.0F - coverage) + lesion * coverage;
    }
  }
  return tissue;
}

// One hair: a bent line that may cross the whole picture, drawn with soft edges.
void DrawHair(cv::Mat& cover, double scale, Rng& rng) {
  const double size = cover.rows;
  const double angle = rng.Uniform(0.0, kTwoPi);
  const double length = rng.Uniform(0.25, 1.1) * size;
  const cv::Point2d middle(rng.Uniform(0.0, size), rng.Uniform(0.0, size));
  const cv::Point2d along(std::cos(angle), std::sin(angle));
  const cv::Point2d across(-along.y, along.x);
  const double bend = rng.Uniform(-0.25, 0.25) * length;
  constexpr int kShift = 4;  // OpenCV's fixed-point coordinates
  std::vector<cv::Point> points;
  for (int i = 0; i <= 24; ++i) {
    const double t = i / 12.0 - 1.0;
    const cv::Point2d at = middle + along * (t * length / 2) + across * (bend * (1.0 - t * t));
    points.emplace_back(cv::Point(static_cast<int>(std::lround(at.x * (1 << kShift))),
                                  static_cast<int>(std::lround(at.y * (1 << kShift)))));
  }
  const int thickness = std::max(1, static_cast<int>(std::lround(rng.Uniform(0.8, 2.4) * scale)));
  cv::polylines(cover, points, false, cv::Scalar(rng.Uniform(150.0, 240.0)), thickness, cv::LINE_AA,
                kShift);
}

void AddHairs(const SyntheticKey& key, cv::Mat& picture) {
  Rng rng = StreamFor(key, kHairs);
  const double scale = key.size / kReferenceSize;
  cv::Mat cover = cv::Mat::zeros(key.size, key.size, CV_8U);
  const int64_t count = rng.Between(0, 15);
  for (int64_t i = 0; i < count; ++i) DrawHair(cover, scale, rng);
  // From black to dark brown.
  const auto shade = static_cast<float>(rng.Uniform(18.0, 55.0));
  const auto warmth = static_cast<float>(rng.Uniform(1.0, 1.6));
  const Color hair(shade * warmth, shade * (0.5F + 0.5F * warmth), shade);
  for (int y = 0; y < key.size; ++y) {
    for (int x = 0; x < key.size; ++x) {
      const float share = static_cast<float>(cover.at<uint8_t>(y, x)) / 255.0F;
      Color& pixel = picture.at<Color>(y, x);
      pixel = pixel * (1.0F - share) + hair * share;
    }
  }
}

// Uneven light, dark corners, blur of the lens and noise of the sensor.
Image Photograph(const SyntheticKey& key, const cv::Mat& scene) {
  Rng rng = StreamFor(key, kSensor);
  const double size = key.size;
  const double scale = size / kReferenceSize;
  const double fall_off = rng.Uniform(0.05, 0.35);
  const double tilt_x = rng.Uniform(-0.06, 0.06);
  const double tilt_y = rng.Uniform(-0.06, 0.06);
  // Some instruments show the black ring of their tube.
  const bool has_tube = rng.Bernoulli(0.2);
  const double tube = has_tube ? rng.Uniform(0.54, 0.66) : 10.0;
  const float noise = static_cast<float>(rng.Uniform(1.0, 3.0));
  cv::Mat blurred;
  cv::GaussianBlur(scene, blurred, {0, 0}, std::max(0.3, rng.Uniform(0.5, 1.1) * scale));
  Image image = internal::BlankImage(key.size, key.size);
  size_t out = 0;
  for (int y = 0; y < key.size; ++y) {
    for (int x = 0; x < key.size; ++x) {
      const double u = (x + 0.5) / size - 0.5;
      const double v = (y + 0.5) / size - 0.5;
      const double from_center = std::sqrt(u * u + v * v);
      double light = 1.0 - fall_off * 2.0 * from_center * from_center + tilt_x * u + tilt_y * v;
      light *= 1.0 / (1.0 + std::exp((from_center - tube) / 0.012));
      const Color& pixel = blurred.at<Color>(y, x);
      for (int c = 0; c < 3; ++c) {
        const float value = pixel[c] * static_cast<float>(light) + noise * rng.CoarseNormal();
        image.pixels[out++] = static_cast<uint8_t>(std::clamp(std::lround(value), 0L, 255L));
      }
    }
  }
  return image;
}

}  // namespace

Image SyntheticImage(const SyntheticKey& key) {
  cv::Mat scene = PaintTissue(key, PickPalette(key));
  AddHairs(key, scene);
  return Photograph(key, scene);
}

LesionMask SyntheticMask(const SyntheticKey& key) {
  const cv::Mat radius = RadiusField(key);
  LesionMask mask = internal::BlankMask(key.size, key.size);
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    mask.pixels[i] = radius.ptr<float>()[i] < 1.0F ? 255 : 0;
  }
  return mask;
}

int64_t SyntheticClass(const SyntheticKey& key) {
  constexpr double kLargeRadius = 60.0;  // pixels of a 256-pixel image
  constexpr float kDarkLevel = 100.0F;   // mean of the channels
  constexpr float kWarmShare = 0.15F;    // of red above blue in all light
  const Palette palette = PickPalette(key);
  const Color pigment = (palette.pigment + palette.pigment_second) * 0.5F;
  const float light = pigment[0] + pigment[1] + pigment[2];
  const bool is_large = Outline(key).MeanRadius() * kReferenceSize > kLargeRadius * key.size;
  const bool is_dark = light < 3.0F * kDarkLevel;
  const bool is_warm = pigment[0] - pigment[2] > kWarmShare * light;
  return 4 * int64_t{is_large} + 2 * int64_t{is_dark} + int64_t{is_warm};
}

}  // namespace g2ll::data
