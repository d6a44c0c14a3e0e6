#include "worker/data/view_augmentation.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "proto/common/status_macros.h"
#include "worker/data/mat_view.h"
#include "worker/data/photometric.h"

namespace g2ll::data {
namespace {

using random::Rng;

// The values are part of every key, so they are never renumbered; 10 is CutMix (cutmix.cc).
enum class Step : uint32_t {
  kCrop = 1,
  kHorizontalFlip = 2,
  kVerticalFlip = 3,
  kAffine = 4,
  kJitter = 5,
  kGrayscale = 6,
  kBlur = 7,
  kSolarize = 8,
  kNoise = 9,
};

Rng StreamOf(random::Key key, Step step) {
  key.purpose = random::Purpose::kView;
  key.view |= static_cast<uint32_t>(step) << 8;
  return Rng(key);
}

// The rest of the step's stream where chance chooses the step.
std::optional<Rng> Chosen(const random::Key& key, Step step, double probability) {
  Rng rng = StreamOf(key, step);
  if (!rng.Bernoulli(probability)) return std::nullopt;
  return rng;
}

// The options that images and views have in common.
template <typename Options>
Frame DrawFrameOf(const Options& options, int height, int width, const random::Key& key) {
  Frame frame{.box = {0, 0, height, width}};
  if (options.crop_min_scale < 1.0) {
    Rng rng = StreamOf(key, Step::kCrop);
    frame.box = RandomCrop(height, width, options.crop_min_scale, rng);
  }
  frame.is_mirrored = Chosen(key, Step::kHorizontalFlip, options.horizontal_flip).has_value();
  frame.is_upside_down = Chosen(key, Step::kVerticalFlip, options.vertical_flip).has_value();
  return frame;
}

template <typename Picture>
Picture CutOutOf(const Picture& picture, const Frame& frame) {
  Picture part = CropAndResize(picture, frame.box, picture.height, picture.width);
  if (frame.is_mirrored) FlipHorizontally(part);
  if (frame.is_upside_down) FlipVertically(part);
  return part;
}

template <typename Options>
void JitterAndGray(const Options& options, const random::Key& key, Image& image) {
  if (auto rng = Chosen(key, Step::kJitter, options.color_jitter)) {
    JitterColors(options.jitter, *rng, image);
  }
  if (Chosen(key, Step::kGrayscale, options.grayscale)) MakeGray(image);
}

void BlurSometimes(double probability, const random::Key& key, Image& image) {
  if (auto rng = Chosen(key, Step::kBlur, probability)) {
    // The radius is given for pictures of 256 pixels.
    Blur(image, rng->Uniform(0.1, 2.0) * image.width / 256.0);
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

PixelBox InTheMiddle(int height, int width, int box_height, int box_width) {
  return {(height - box_height) / 2, (width - box_width) / 2, box_height, box_width};
}

}  // namespace

PixelBox RandomCrop(int height, int width, double min_scale, Rng& rng) {
  constexpr double kMinRatio = 3.0 / 4.0;
  constexpr double kMaxRatio = 4.0 / 3.0;
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
  const double ratio = static_cast<double>(width) / height;
  if (ratio < kMinRatio) {
    return InTheMiddle(height, width, static_cast<int>(std::lround(width / kMinRatio)), width);
  }
  if (ratio > kMaxRatio) {
    return InTheMiddle(height, width, height, static_cast<int>(std::lround(height * kMaxRatio)));
  }
  return {0, 0, height, width};
}

Frame DrawFrame(const ViewOptions& options, int height, int width, const random::Key& key) {
  return DrawFrameOf(options, height, width, key);
}

Image CutOut(const Image& image, const Frame& frame) { return CutOutOf(image, frame); }
LabelMap CutOut(const LabelMap& map, const Frame& frame) { return CutOutOf(map, frame); }

absl::StatusOr<View> MakeView(const CleanImage& clean, const ViewOptions& options, int patch,
                              const random::Key& key) {
  const bool is_second = key.view == 1;
  const int height = clean.image.height;
  const int width = clean.image.width;
  const Frame frame = DrawFrame(options, height, width, key);
  View view;
  view.image = CutOut(clean.image, frame);
  view.regions = clean.regions;
  if (clean.regions.patches.grid.num_patches() > 0) {
    if (options.crop_min_scale < 1.0) {
      const LabelMap pixels = CutOut(clean.pixel_regions, frame);
      G2LL_ASSIGN_OR_RETURN(view.regions.patches,
                            mask::MajorityLabels(pixels.labels, height, width, patch));
    } else {
      // Ties go to the lower label, so the majority may be taken before mirroring.
      mask::PatchLabels& labels = view.regions.patches;
      if (frame.is_mirrored) labels = mask::FlipHorizontally(labels);
      if (frame.is_upside_down) labels = mask::FlipVertically(labels);
    }
  }
  JitterAndGray(options, key, view.image);
  BlurSometimes(is_second ? options.blur_second : options.blur, key, view.image);
  if (is_second && Chosen(key, Step::kSolarize, options.solarize)) Solarize(view.image);
  return view;
}

void AugmentForSegmentation(const SegmentationAugmentOptions& options, const random::Key& key,
                            Image& image, LesionMask& mask) {
  const Frame frame = DrawFrameOf(options, image.height, image.width, key);
  image = CutOutOf(image, frame);
  mask = CutOutOf(mask, frame);
  if (auto rng = Chosen(key, Step::kAffine, options.shift_scale_rotate)) {
    const cv::Mat affine = RandomAffine(image.height, image.width, *rng);
    Warp(image, affine, cv::INTER_LINEAR);
    Warp(mask, affine, cv::INTER_NEAREST);
  }
  JitterAndGray(options, key, image);
  BlurSometimes(options.blur, key, image);
  if (auto rng = Chosen(key, Step::kNoise, options.noise)) AddNoise(*rng, image);
}

}  // namespace g2ll::data
