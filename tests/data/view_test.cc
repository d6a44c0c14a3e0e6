#include "worker/data/view_augmentation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "tests/data/test_files.h"
#include "worker/data/photometric.h"
#include "worker/mask/mask_strategy.h"

namespace g2ll::data {
namespace {

using ::testing::ElementsAre;

random::Key KeyOf(uint64_t sample, uint32_t view = 0) {
  return {.seed = 7, .epoch = 3, .sample = sample, .view = view};
}

ViewOptions NoChange() {
  ViewOptions options;
  options.horizontal_flip = options.vertical_flip = 0;
  options.color_jitter = options.grayscale = options.blur = options.blur_second = 0;
  return options;
}

SegmentationAugmentOptions NoSegmentationChange() {
  SegmentationAugmentOptions options;
  options.horizontal_flip = options.vertical_flip = 0;
  options.shift_scale_rotate = options.noise = 0;
  return options;
}

// Regions that bend and have corners, with a one-pixel dot in the first patch.
LabelMap WavyRegions(int height, int width) {
  LabelMap map{height, width, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double wave = 6 * std::sin(x / 9.0) + y + 0.37 * x;
      map.labels.push_back(static_cast<uint16_t>(static_cast<int>(wave + 12) / 19 % 7));
    }
  }
  map.labels[static_cast<size_t>(width) + 1] = 6;
  return map;
}

// Each region painted in a color of its own, so that the picture shows its labels.
Image Painted(const LabelMap& map) {
  Image image{map.height, map.width, {}};
  for (const uint16_t label : map.labels) {
    for (const int c : {0, 1, 2}) {
      image.pixels.push_back(static_cast<uint8_t>(label * 30 + c));
    }
  }
  return image;
}

CleanImage CleanOf(const LabelMap& map, int patch) {
  CleanImage clean;
  clean.image = Painted(map);
  clean.pixel_regions = map;
  clean.regions = *RegionsOfPatches(map, patch);
  return clean;
}

CleanImage Lesion(int side) {
  CleanImage clean;
  clean.image = test::VariedImage(side, 4);
  return clean;
}

Image ViewImage(const CleanImage& clean, const ViewOptions& options, const random::Key& key) {
  return MakeView(clean, options, 8, key)->image;
}

struct ViewSize {
  int height;
  int width;
  int patch;
};

class RegionsFollowTest : public testing::TestWithParam<ViewSize> {};

INSTANTIATE_TEST_SUITE_P(Sizes, RegionsFollowTest,
                         testing::Values(ViewSize{64, 64, 8}, ViewSize{96, 96, 16},
                                         ViewSize{48, 96, 8}, ViewSize{128, 64, 16}));

// The labels of a view are those of the label map sent through the very same frame,
// patch by patch, whatever crop and mirroring was drawn.
TEST_P(RegionsFollowTest, ALabelMapThroughTheSameStepsGivesEveryPatchItsLabel) {
  const ViewSize size = GetParam();
  const CleanImage clean = CleanOf(WavyRegions(size.height, size.width), size.patch);
  std::set<std::pair<bool, bool>> mirrorings;
  int num_long_boxes = 0;
  for (const double min_scale : {0.08, 0.4, 1.0}) {
    ViewOptions options = NoChange();
    options.horizontal_flip = options.vertical_flip = 0.5;
    options.crop_min_scale = min_scale;
    for (uint64_t sample = 0; sample < 100; ++sample) {
      const random::Key key = KeyOf(sample);
      const View view = *MakeView(clean, options, size.patch, key);
      const Frame frame = DrawFrame(options, size.height, size.width, key);
      const LabelMap pixels = CutOut(clean.pixel_regions, frame);
      const auto expected =
          mask::MajorityLabels(pixels.labels, size.height, size.width, size.patch);
      ASSERT_EQ(view.regions.patches.labels, expected->labels) << "sample " << sample;
      EXPECT_EQ(view.regions.traits, clean.regions.traits);
      mirrorings.emplace(frame.is_mirrored, frame.is_upside_down);
      const auto [short_side, long_side] = std::minmax(frame.box.height, frame.box.width);
      num_long_boxes += short_side * 5 < long_side * 4 ? 1 : 0;
    }
  }
  EXPECT_EQ(mirrorings.size(), 4U);
  EXPECT_GT(num_long_boxes, 10);
}

// Image and labels are cut by the same box: what a pixel shows is the color of its
// region, but for the smooth edges between regions.
TEST_P(RegionsFollowTest, ThePictureShowsTheRegionsWhereTheLabelsSay) {
  const ViewSize size = GetParam();
  const LabelMap map = WavyRegions(size.height, size.width);
  const Image painted = Painted(map);
  ViewOptions options = NoChange();
  options.horizontal_flip = options.vertical_flip = 0.5;
  options.crop_min_scale = 0.2;
  for (uint64_t sample = 0; sample < 40; ++sample) {
    const Frame frame = DrawFrame(options, size.height, size.width, KeyOf(sample));
    const Image image = CutOut(painted, frame);
    const LabelMap labels = CutOut(map, frame);
    const int width = labels.width;
    for (int y = 4; y + 4 < labels.height; ++y) {
      for (int x = 4; x + 4 < width; ++x) {
        const auto at = [&](int dy, int dx) {
          return labels.labels[static_cast<size_t>((y + dy) * width + x + dx)];
        };
        bool is_inside = true;
        for (int dy = -4; dy <= 4; ++dy) {
          for (int dx = -4; dx <= 4; ++dx) is_inside = is_inside && at(dy, dx) == at(0, 0);
        }
        if (!is_inside) continue;
        // Regions are 30 values apart.
        ASSERT_NEAR(image.pixels[static_cast<size_t>(y * width + x) * 3], at(0, 0) * 30, 14);
      }
    }
  }
}

TEST(RandomCropTest, BoxesHaveTheStatedAreasAndAspects) {
  double smallest = 1;
  double largest = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    random::Rng rng(KeyOf(i));
    const PixelBox box = RandomCrop(200, 300, 0.25, rng);
    ASSERT_GE(box.top, 0);
    ASSERT_GE(box.left, 0);
    ASSERT_LE(box.top + box.height, 200);
    ASSERT_LE(box.left + box.width, 300);
    const double area = static_cast<double>(box.height) * box.width / (200 * 300);
    const double aspect = static_cast<double>(box.width) / box.height;
    EXPECT_GE(area, 0.24);
    EXPECT_GE(aspect, 0.74);
    EXPECT_LE(aspect, 1.35);
    smallest = std::min(smallest, area);
    largest = std::max(largest, area);
  }
  EXPECT_LT(smallest, 0.28);
  EXPECT_GT(largest, 0.75);
}

TEST(RandomCropTest, APictureTooLongForAnyBoxIsCutInTheMiddle) {
  random::Rng rng(KeyOf(1));
  const PixelBox box = RandomCrop(30, 300, 0.9, rng);
  EXPECT_THAT((std::vector<int>{box.top, box.left, box.height, box.width}),
              ElementsAre(0, 130, 30, 40));
  const PixelBox tall = RandomCrop(300, 30, 0.9, rng);
  EXPECT_THAT((std::vector<int>{tall.top, tall.left, tall.height, tall.width}),
              ElementsAre(130, 0, 40, 30));
}

TEST(MakeViewTest, WithoutAnyChangeTheViewIsTheImage) {
  const CleanImage clean = CleanOf(WavyRegions(64, 64), 8);
  const View view = *MakeView(clean, NoChange(), 8, KeyOf(1));
  EXPECT_EQ(view.image.pixels, clean.image.pixels);
  EXPECT_EQ(view.regions.patches.labels, clean.regions.patches.labels);
}

TEST(MakeViewTest, BlurAndSolarizeTellTheSecondViewFromTheFirst) {
  const CleanImage clean = Lesion(256);
  ViewOptions options = NoChange();
  options.blur = 1;
  EXPECT_NE(ViewImage(clean, options, KeyOf(1, 0)).pixels, clean.image.pixels);
  EXPECT_EQ(ViewImage(clean, options, KeyOf(1, 1)).pixels, clean.image.pixels);
  options = NoChange();
  options.blur_second = 1;
  EXPECT_EQ(ViewImage(clean, options, KeyOf(1, 0)).pixels, clean.image.pixels);
  EXPECT_NE(ViewImage(clean, options, KeyOf(1, 1)).pixels, clean.image.pixels);
  options = NoChange();
  options.solarize = 1;
  Image inverted = clean.image;
  Solarize(inverted);
  EXPECT_EQ(ViewImage(clean, options, KeyOf(1, 0)).pixels, clean.image.pixels);
  EXPECT_EQ(ViewImage(clean, options, KeyOf(1, 1)).pixels, inverted.pixels);
}

// An ablation: without one step a view differs only in what that step does.
TEST(MakeViewTest, TurningOneStepOffLeavesTheDrawsOfTheOthers) {
  const CleanImage clean = CleanOf(WavyRegions(64, 64), 8);
  ViewOptions all;
  all.solarize = all.blur_second = all.grayscale = all.color_jitter = 0.5;
  all.crop_min_scale = 0.4;
  for (uint64_t sample = 0; sample < 30; ++sample) {
    const random::Key key = KeyOf(sample, 1);
    ViewOptions only = NoChange();
    only.crop_min_scale = 0.4;
    only.horizontal_flip = only.vertical_flip = 0.5;
    // What is left of each step by itself, one after the other, is the whole.
    CleanImage staged;
    staged.image = ViewImage(clean, only, key);
    for (const auto& turn_on : std::vector<std::function<void(ViewOptions&)>>{
             [](ViewOptions& o) { o.color_jitter = 0.5; },
             [](ViewOptions& o) { o.grayscale = 0.5; }, [](ViewOptions& o) { o.blur_second = 0.5; },
             [](ViewOptions& o) { o.solarize = 0.5; }}) {
      ViewOptions one = NoChange();
      turn_on(one);
      staged.image = ViewImage(staged, one, key);
    }
    EXPECT_EQ(ViewImage(clean, all, key).pixels, staged.image.pixels) << "sample " << sample;
  }
}

// Without hue the other three factors and their order stay.
TEST(MakeViewTest, TurningOneAmountOfTheJitterOffLeavesTheOthers) {
  for (uint64_t sample = 0; sample < 20; ++sample) {
    JitterAmounts amounts;
    amounts.hue = 0;
    Image gray = test::VariedImage(16, 2);
    MakeGray(gray);
    Image without_hue = gray;
    random::Rng first(KeyOf(sample));
    JitterColors(amounts, first, without_hue);
    amounts.hue = 0.1;  // a grey picture has no hue to change
    random::Rng second(KeyOf(sample));
    JitterColors(amounts, second, gray);
    EXPECT_EQ(gray.pixels, without_hue.pixels);
  }
}

TEST(MakeViewTest, ViewsDependOnTheirKeyAloneNotOnOrderOrThread) {
  const CleanImage clean = CleanOf(WavyRegions(64, 64), 8);
  ViewOptions options;
  options.solarize = 0.2;
  options.crop_min_scale = 0.3;
  constexpr size_t kViews = 64;
  std::vector<View> in_order(kViews);
  for (size_t i = 0; i < kViews; ++i) {
    in_order[i] = *MakeView(clean, options, 8, KeyOf(i / 2, i % 2));
  }
  std::vector<View> in_threads(kViews);
  std::atomic<size_t> next = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (size_t turn = next++; turn < kViews; turn = next++) {
          const size_t i = kViews - 1 - turn;
          in_threads[i] = *MakeView(clean, options, 8, KeyOf(i / 2, i % 2));
        }
      });
    }
  }
  for (size_t i = 0; i < kViews; ++i) {
    EXPECT_EQ(in_order[i].image.pixels, in_threads[i].image.pixels);
    EXPECT_EQ(in_order[i].regions.patches.labels, in_threads[i].regions.patches.labels);
  }
  EXPECT_NE(in_order[0].image.pixels, in_order[1].image.pixels);
}

TEST(MakeViewTest, EveryStepHappensAsOftenAsItsProbabilitySays) {
  const CleanImage clean = Lesion(8);
  constexpr int kDraws = 3000;
  const auto share = [&](const std::function<void(ViewOptions&)>& turn_on) {
    ViewOptions options = NoChange();
    turn_on(options);
    int changed = 0;
    for (uint64_t i = 0; i < kDraws; ++i) {
      changed += ViewImage(clean, options, KeyOf(i, 1)).pixels != clean.image.pixels ? 1 : 0;
    }
    return static_cast<double>(changed) / kDraws;
  };
  // Three standard deviations of 3,000 draws are below 0.03.
  EXPECT_NEAR(share([](ViewOptions& o) { o.horizontal_flip = 0.5; }), 0.5, 0.03);
  EXPECT_NEAR(share([](ViewOptions& o) { o.vertical_flip = 0.3; }), 0.3, 0.03);
  EXPECT_NEAR(share([](ViewOptions& o) { o.color_jitter = 0.8; }), 0.8, 0.03);
  EXPECT_NEAR(share([](ViewOptions& o) { o.grayscale = 0.2; }), 0.2, 0.03);
  EXPECT_NEAR(share([](ViewOptions& o) { o.solarize = 0.2; }), 0.2, 0.03);
}

// Values by hand from torchvision's definitions.
TEST(PhotometricTest, BrightnessMultipliesAndStopsAtWhite) {
  Image image = test::PlainImage(1, 1, 200, 100, 51);
  ScaleBrightness(image, 0.6);
  EXPECT_THAT(image.pixels, ElementsAre(120, 60, 31));  // 30.6
  ScaleBrightness(image, 4.0);
  EXPECT_THAT(image.pixels, ElementsAre(255, 240, 124));
}

TEST(PhotometricTest, ContrastStretchesAboutTheMeanLumaOfThePicture) {
  Image image{1, 2, {100, 100, 100, 200, 200, 200}};  // mean luma 150
  ScaleContrast(image, 1.4);
  EXPECT_THAT(image.pixels, ElementsAre(80, 80, 80, 220, 220, 220));
  Image colored{1, 2, {255, 0, 0, 0, 0, 0}};  // luma 76.245 and 0, mean 38.1225
  ScaleContrast(colored, 0.5);
  EXPECT_THAT(colored.pixels, ElementsAre(147, 19, 19, 19, 19, 19));  // 146.56, 19.06
  ScaleContrast(colored, 0.0);
  EXPECT_EQ(colored.pixels[0], colored.pixels[3]);
}

TEST(PhotometricTest, SaturationMovesEachPixelFromItsOwnLuma) {
  Image image = test::PlainImage(1, 1, 200, 100, 50);  // luma 124.2
  ScaleSaturation(image, 1.2);
  EXPECT_THAT(image.pixels, ElementsAre(215, 95, 35));  // 215.16, 95.16, 35.16
  Image flat = test::PlainImage(1, 1, 200, 100, 50);
  ScaleSaturation(flat, 0.0);
  EXPECT_THAT(flat.pixels, ElementsAre(124, 124, 124));
}

TEST(PhotometricTest, HueTurnsTheColorCircleAndKeepsSaturationAndValue) {
  const Image image = test::PlainImage(1, 1, 200, 100, 50);  // hue 20 degrees
  const auto turned = [&](double shift) {
    Image copy = image;
    ShiftHue(copy, shift);
    return copy.pixels;
  };
  EXPECT_THAT(turned(0.0), ElementsAre(200, 100, 50));
  EXPECT_THAT(turned(1.0 / 3), ElementsAre(50, 200, 100));
  EXPECT_THAT(turned(-1.0 / 3), ElementsAre(100, 50, 200));
  EXPECT_THAT(turned(0.5), ElementsAre(50, 150, 200));
  EXPECT_THAT(turned(0.1), ElementsAre(200, 190, 50));  // 56 degrees: 50 + 150 * 56/60
  EXPECT_THAT(turned(-0.1), ElementsAre(200, 50, 90));  // -16 degrees: 50 + 150 * 16/60
  Image gray = test::PlainImage(1, 1, 77, 77, 77);
  ShiftHue(gray, 0.3);
  EXPECT_THAT(gray.pixels, ElementsAre(77, 77, 77));
}

TEST(PhotometricTest, AFullTurnOfTheHueIsNoChangeForAnyColor) {
  for (const int step : {1, 7, 50, 99}) {
    Image image = test::VariedImage(32, step);
    const Image before = image;
    ShiftHue(image, step / 100.0);
    ShiftHue(image, 1.0 - step / 100.0);
    for (size_t i = 0; i < image.pixels.size(); ++i) {
      ASSERT_NEAR(image.pixels[i], before.pixels[i], 1.0);  // rounded twice
    }
  }
}

TEST(PhotometricTest, GrayIsTheLumaInAllChannels) {
  Image image{1, 3, {200, 100, 50, 255, 255, 255, 0, 0, 255}};
  MakeGray(image);
  EXPECT_THAT(image.pixels, ElementsAre(124, 124, 124, 255, 255, 255, 29, 29, 29));
}

TEST(PhotometricTest, SolarizeInvertsFrom128On) {
  Image image{1, 1, {127, 128, 255}};
  Solarize(image);
  EXPECT_THAT(image.pixels, ElementsAre(127, 127, 0));
}

TEST(PhotometricTest, BlurIsAGaussianOfTheGivenDeviation) {
  constexpr int kSide = 31;
  Image image = test::PlainImage(kSide, kSide, 0, 0, 0);
  for (int y = 0; y < kSide; ++y) {
    image.pixels[static_cast<size_t>(y * kSide + kSide / 2) * 3] = 255;  // a vertical line
  }
  Blur(image, 2.0);
  for (const int offset : {0, 1, 2, 4}) {
    double sum = 0;
    for (int x = -15; x <= 15; ++x) sum += std::exp(-x * x / 8.0);
    const double expected = 255 * std::exp(-offset * offset / 8.0) / sum;
    const size_t at = static_cast<size_t>(10 * kSide + kSide / 2 + offset) * 3;
    EXPECT_NEAR(image.pixels[at], expected, 1.5) << "offset " << offset;
  }
}

// A picture that is its own mask: white lesion on black.
struct Pair {
  Image image;
  LesionMask mask;
};

Pair LesionPair(int side) {
  Pair pair{test::PlainImage(side, side, 0, 0, 0), test::PlainMask(side, side, 0)};
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const double dy = (y - 0.42 * side) / (0.31 * side);
      const double dx = (x - 0.61 * side) / (0.22 * side);
      if (dy * dy + dx * dx > 1.0) continue;
      const size_t at = static_cast<size_t>(y * side + x);
      pair.mask.pixels[at] = 255;
      std::fill_n(pair.image.pixels.begin() + static_cast<ptrdiff_t>(3 * at), 3, uint8_t{255});
    }
  }
  return pair;
}

TEST(AugmentForSegmentationTest, ImageAndMaskStayAlignedThroughEveryGeometricStep) {
  constexpr int kSide = 96;
  for (const double min_scale : {1.0, 0.5}) {
    SegmentationAugmentOptions options = NoSegmentationChange();
    options.horizontal_flip = options.vertical_flip = options.shift_scale_rotate = 0.5;
    options.crop_min_scale = min_scale;
    for (uint64_t sample = 0; sample < 80; ++sample) {
      Pair pair = LesionPair(kSide);
      AugmentForSegmentation(options, KeyOf(sample), pair.image, pair.mask);
      for (int y = 1; y + 1 < kSide; ++y) {
        for (int x = 1; x + 1 < kSide; ++x) {
          const auto at = [&](int dy, int dx) {
            return pair.mask.pixels[static_cast<size_t>((y + dy) * kSide + x + dx)];
          };
          ASSERT_TRUE(at(0, 0) == 0 || at(0, 0) == 255);
          const bool is_edge = at(-1, 0) != at(0, 0) || at(1, 0) != at(0, 0) ||
                               at(0, -1) != at(0, 0) || at(0, 1) != at(0, 0);
          if (is_edge) continue;
          const uint8_t value = pair.image.pixels[static_cast<size_t>(y * kSide + x) * 3];
          ASSERT_EQ(value > 127, at(0, 0) == 255) << "sample " << sample << " at " << y << " " << x;
        }
      }
    }
  }
}

TEST(AugmentForSegmentationTest, ColorStepsLeaveTheMaskAlone) {
  SegmentationAugmentOptions options = NoSegmentationChange();
  options.color_jitter = options.grayscale = options.blur = options.noise = 1.0;
  Pair pair = LesionPair(64);
  const Pair before = pair;
  AugmentForSegmentation(options, KeyOf(5), pair.image, pair.mask);
  EXPECT_EQ(pair.mask.pixels, before.mask.pixels);
  EXPECT_NE(pair.image.pixels, before.image.pixels);
}

TEST(AugmentForSegmentationTest, TurningColorOnLeavesTheGeometry) {
  SegmentationAugmentOptions plain;
  plain.noise = 0;
  SegmentationAugmentOptions colored = plain;
  colored.color_jitter = colored.grayscale = colored.blur = colored.noise = 0.5;
  for (uint64_t sample = 0; sample < 20; ++sample) {
    Pair a = LesionPair(64);
    Pair b = LesionPair(64);
    AugmentForSegmentation(plain, KeyOf(sample), a.image, a.mask);
    AugmentForSegmentation(colored, KeyOf(sample), b.image, b.mask);
    EXPECT_EQ(a.mask.pixels, b.mask.pixels);
  }
}

}  // namespace
}  // namespace g2ll::data
