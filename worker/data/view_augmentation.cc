#include "worker/data/view_augmentation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "proto/common/status_macros.h"
#include "worker/data/mat_view.h"

namespace g2ll::data {
namespace {

using random::Rng;

uint8_t ToByte(float value) { return static_cast<uint8_t>(std::clamp(value + 0.5F, 0.0F, 255.0F)); }

// Rec. 601 luma of one pixel.
float Luma(const uint8_t* pixel) {
  return 0.299F * static_cast<float>(pixel[0]) + 0.587F * static_cast<float>(pixel[1]) +
         0.114F * static_cast<float>(pixel[2]);
}

// The four steps of color jitter in random order, with the strengths of DINO.
void JitterColors(Image& image, Rng& rng) {
  std::vector<int> order = {0, 1, 2, 3};
  random::Shuffle(order, rng);
  const double brightness = rng.Uniform(0.6, 1.4);
  const double contrast = rng.Uniform(0.6, 1.4);
  const double saturation = rng.Uniform(0.8, 1.2);
  const double hue = rng.Uniform(-0.1, 0.1);
  for (const int step : order) {
    if (step == 0) ScaleBrightness(image, brightness);
    if (step == 1) ScaleContrast(image, contrast);
    if (step == 2) ScaleSaturation(image, saturation);
    if (step == 3) ShiftHue(image, hue);
  }
}

// Shift, scale and rotation about the middle, as one affine map.
cv::Mat RandomAffine(int height, int width, Rng& rng) {
  const double angle = rng.Uniform(-45.0, 45.0);
  const double scale = rng.Uniform(0.9, 1.1);
  const double shift_x = rng.Uniform(-0.0625, 0.0625) * width;
  const double shift_y = rng.Uniform(-0.0625, 0.0625) * height;
  const cv::Point2f middle(static_cast<float>(width - 1) / 2, static_cast<float>(height - 1) / 2);
  cv::Mat affine = cv::getRotationMatrix2D(middle, angle, scale);
  affine.at<double>(0, 2) += shift_x;
  affine.at<double>(1, 2) += shift_y;
  return affine;
}

template <typename Picture>
void Warp(Picture& picture, const cv::Mat& affine, int interpolation) {
  const cv::Mat source = internal::ViewOf(picture).clone();
  cv::Mat target = internal::ViewOf(picture);
  cv::warpAffine(source, target, affine, target.size(), interpolation, cv::BORDER_REFLECT_101);
}

void AddNoise(Image& image, Rng& rng) {
  const auto sigma = static_cast<float>(std::sqrt(rng.Uniform(10.0, 50.0)));
  for (uint8_t& value : image.pixels) {
    value = ToByte(static_cast<float>(value) + sigma * rng.CoarseNormal());
  }
}

}  // namespace

PixelBox RandomCrop(int height, int width, double min_scale, Rng& rng) {
  constexpr double kLogRatio = 0.28768207245178085;  // ln(4/3)
  constexpr int kTries = 10;
  const double area = static_cast<double>(height) * width;
  for (int i = 0; i < kTries; ++i) {
    const double target = area * rng.Uniform(min_scale, 1.0);
    const double ratio = std::exp(rng.Uniform(-kLogRatio, kLogRatio));
    PixelBox box;
    box.width = static_cast<int>(std::lround(std::sqrt(target * ratio)));
    box.height = static_cast<int>(std::lround(std::sqrt(target / ratio)));
    if (box.width < 1 || box.height < 1 || box.width > width || box.height > height) continue;
    box.top = static_cast<int>(rng.Between(0, height - box.height));
    box.left = static_cast<int>(rng.Between(0, width - box.width));
    return box;
  }
  return {0, 0, height, width};
}

absl::StatusOr<View> MakeView(const CleanImage& clean, const ViewOptions& options, int patch,
                              bool is_second, Rng& rng) {
  View view;
  const int height = clean.image.height;
  const int width = clean.image.width;
  const bool has_regions = clean.regions.patches.grid.num_patches() > 0;
  if (options.crop_min_scale < 1.0) {
    const PixelBox box = RandomCrop(height, width, options.crop_min_scale, rng);
    view.image = CropAndResize(clean.image, box, height, width);
    if (has_regions) {
      const LabelMap pixels = CropAndResize(clean.pixel_regions, box, height, width);
      G2LL_ASSIGN_OR_RETURN(view.regions.patches,
                            mask::MajorityLabels(pixels.labels, height, width, patch));
      view.regions.center_distances = clean.regions.center_distances;
    }
  } else {
    view.image = clean.image;
    view.regions = clean.regions;
  }
  if (rng.Bernoulli(options.horizontal_flip)) {
    FlipHorizontally(view.image);
    view.regions.patches = mask::FlipHorizontally(view.regions.patches);
  }
  if (rng.Bernoulli(options.vertical_flip)) {
    FlipVertically(view.image);
    view.regions.patches = mask::FlipVertically(view.regions.patches);
  }
  if (rng.Bernoulli(options.color_jitter)) JitterColors(view.image, rng);
  if (rng.Bernoulli(options.grayscale)) MakeGray(view.image);
  if (rng.Bernoulli(is_second ? options.blur_second : options.blur)) {
    // The radius is given for pictures of 256 pixels.
    Blur(view.image, rng.Uniform(0.1, 2.0) * width / 256.0);
  }
  return view;
}

void ScaleBrightness(Image& image, double factor) {
  const auto scale = static_cast<float>(factor);
  for (uint8_t& value : image.pixels) value = ToByte(scale * static_cast<float>(value));
}

void ScaleContrast(Image& image, double factor) {
  double sum = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) sum += Luma(&image.pixels[i]);
  const auto mean = static_cast<float>(sum * 3 / static_cast<double>(image.pixels.size()));
  const auto scale = static_cast<float>(factor);
  for (uint8_t& value : image.pixels) {
    value = ToByte(mean + scale * (static_cast<float>(value) - mean));
  }
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
  cv::Mat view = internal::ViewOf(image);
  cv::Mat hsv;
  cv::cvtColor(view, hsv, cv::COLOR_RGB2HSV_FULL);  // a full turn is 256
  const auto steps = static_cast<uint8_t>(std::lround(shift * 256.0) & 0xFF);
  for (int y = 0; y < hsv.rows; ++y) {
    auto* row = hsv.ptr<uint8_t>(y);
    for (int x = 0; x < hsv.cols; ++x) row[3 * x] = static_cast<uint8_t>(row[3 * x] + steps);
  }
  cv::cvtColor(hsv, view, cv::COLOR_HSV2RGB_FULL);
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

void AugmentForSegmentation(const SegmentationAugmentOptions& options, Rng& rng, Image& image,
                            LesionMask& mask) {
  if (rng.Bernoulli(options.horizontal_flip)) {
    FlipHorizontally(image);
    FlipHorizontally(mask);
  }
  if (rng.Bernoulli(options.vertical_flip)) {
    FlipVertically(image);
    FlipVertically(mask);
  }
  if (rng.Bernoulli(options.shift_scale_rotate)) {
    const cv::Mat affine = RandomAffine(image.height, image.width, rng);
    Warp(image, affine, cv::INTER_LINEAR);
    Warp(mask, affine, cv::INTER_NEAREST);
  }
  if (rng.Bernoulli(options.noise)) AddNoise(image, rng);
}

}  // namespace g2ll::data
