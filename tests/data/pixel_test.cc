#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "tests/data/test_files.h"
#include "worker/data/image_codec.h"
#include "worker/data/perceptual_hash.h"
#include "worker/data/pixel_statistics.h"
#include "worker/data/pixel_tensor.h"
#include "worker/data/resize.h"
#include "worker/data/synthetic_dermoscopy.h"

namespace g2ll::data {
namespace {

using ::testing::HasSubstr;

void WritePng(const std::string& path, const Image& image) {
  test::WriteBytes(path, *EncodePng(image));
}

std::unique_ptr<Dataset> OpenFolder(const std::string& folder) {
  DatasetOptions options;
  options.source = folder;
  options.split = Split::kAll;
  return *Dataset::Open(options);
}

TEST(NormTableTest, ScalesEachChannelByItsOwnNumbers) {
  const NormTable table = MakeNormTable({{0.5, 0.2, 0.0}, {0.5, 0.1, 1.0}});
  EXPECT_FLOAT_EQ(table[0][0], -1.0F);
  EXPECT_FLOAT_EQ(table[0][255], 1.0F);
  EXPECT_FLOAT_EQ(table[1][51], 0.0F);
  EXPECT_FLOAT_EQ(table[1][102], 2.0F);
  EXPECT_FLOAT_EQ(table[2][51], 0.2F);
  // ImageNet's numbers, by hand: (1 - 0.485) / 0.229 and (0 - 0.406) / 0.225.
  const NormTable imagenet = MakeNormTable(kImagenetScale);
  EXPECT_FLOAT_EQ(imagenet[0][255], 2.2489083F);
  EXPECT_FLOAT_EQ(imagenet[2][0], -1.8044444F);
}

TEST(MeasurePixelsTest, GivesMeanAndDeviationOverAllPixelsOfAllImages) {
  const test::TemporaryFolder folder;
  WritePng(folder / "a.png", test::PlainImage(16, 16, 0, 51, 77));
  WritePng(folder / "b.png", test::PlainImage(16, 16, 255, 153, 77));
  const PixelScale scale = *MeasurePixels(*OpenFolder(folder.path()), 16, 100, 1);
  EXPECT_DOUBLE_EQ(scale.mean[0], 0.5);
  EXPECT_DOUBLE_EQ(scale.deviation[0], 0.5);
  EXPECT_DOUBLE_EQ(scale.mean[1], 0.4);       // (51 + 153) / 2 / 255
  EXPECT_DOUBLE_EQ(scale.deviation[1], 0.2);  // 51 / 255
  EXPECT_NEAR(scale.mean[2], 77.0 / 255, 1e-15);
  EXPECT_DOUBLE_EQ(scale.deviation[2], 1.0 / 255);  // constant: one step, never zero
}

TEST(MeasurePixelsTest, IsTheSameToTheLastBitForAnyNumberOfThreads) {
  const test::TemporaryFolder folder;
  for (int i = 0; i < 13; ++i) {
    test::WriteJpeg(folder / ("p" + std::to_string(i) + ".jpg"), test::VariedImage(24 + i, i));
  }
  const auto set = OpenFolder(folder.path());
  const PixelScale one = *MeasurePixels(*set, 32, 100, 1);
  EXPECT_EQ(*MeasurePixels(*set, 32, 100, 4), one);
  EXPECT_EQ(*MeasurePixels(*set, 32, 100, 50), one);
}

TEST(MeasurePixelsTest, TakesABoundedNumberSpreadOverTheSet) {
  const test::TemporaryFolder folder;
  for (int i = 0; i < 10; ++i) {
    const auto value = static_cast<uint8_t>(10 * i);
    WritePng(folder / ("p" + std::to_string(i) + ".png"),
             test::PlainImage(16, 16, value, value, value));
  }
  // Images 0 and 5: values 0 and 50.
  EXPECT_DOUBLE_EQ(MeasurePixels(*OpenFolder(folder.path()), 16, 2, 3)->mean[0], 25.0 / 255);
}

TEST(MeasurePixelsTest, NamesTheFirstUnreadableImage) {
  const test::TemporaryFolder folder;
  for (int i = 0; i < 6; ++i) {
    test::WriteJpeg(folder / ("p" + std::to_string(i) + ".jpg"), test::VariedImage(32, i));
  }
  const auto set = OpenFolder(folder.path());
  test::WriteBytes(folder / "p3.jpg", "");
  const auto scale = MeasurePixels(*set, 32, 100, 2);
  EXPECT_EQ(scale.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(scale.status().message()), HasSubstr(folder / "p3.jpg"));
}

// A data set whose images do not fit into memory.
class TooLargeDataset final : public Dataset {
 public:
  int64_t size() const override { return 4; }
  const std::string& id(int64_t) const override { return name_; }
  const std::string& path(int64_t) const override { return name_; }
  absl::StatusOr<Image> LoadImage(int64_t) const override { throw std::bad_alloc(); }
  absl::StatusOr<Image> LoadImageFor(int64_t, int) const override { throw std::bad_alloc(); }
  absl::StatusOr<LesionMask> LoadMask(int64_t) const override { throw std::bad_alloc(); }
  const ClassLabels& classes() const override { return classes_; }
  absl::Status CheckFiles(int64_t) const override { return absl::OkStatus(); }
  const std::string& digest() const override { return name_; }

 private:
  std::string name_ = "large";
  ClassLabels classes_;
};

TEST(MeasurePixelsTest, WhatAThreadThrowsReachesTheCaller) {
  EXPECT_THROW(MeasurePixels(TooLargeDataset(), 16, 100, 3).IgnoreError(), std::bad_alloc);
}

Image Lesion(uint64_t index) { return SyntheticImage({.seed = 5, .index = index, .size = 128}); }

// The part of a picture inside a box, at its own size.
Image Part(const Image& image, const PixelBox& box) {
  return CropAndResize(image, box, box.height, box.width);
}

TEST(LooksTest, SurviveRecompressionSquashingAndBrightness) {
  const test::TemporaryFolder folder;
  for (uint64_t index = 0; index < 6; ++index) {
    const Image image = Lesion(index);
    test::WriteBytes(folder / "a.jpg", *EncodeJpeg(image, 60));
    Image brighter = image;
    for (uint8_t& value : brighter.pixels) {
      value = static_cast<uint8_t>(std::min(255, value + 6));
    }
    for (const Image& copy :
         {*ReadImage(folder / "a.jpg"), ResizeImage(image, 64, 100), brighter}) {
      EXPECT_TRUE(Compare(LooksOf(image), LooksOf(copy)).is_near);
    }
  }
}

// One release squeezes the whole photograph into a square, another keeps its central square.
TEST(LooksTest, ASqueezedPictureIsLikeTheCentralSquareOfItsOriginal) {
  for (uint64_t index = 0; index < 6; ++index) {
    const Image original = ResizeImage(Lesion(index), 150, 200);
    const Image squeezed = ResizeImage(original, 128, 128);
    const Image square = ResizeImage(Part(original, {0, 25, 150, 150}), 160, 160);
    EXPECT_TRUE(Compare(LooksOf(squeezed), LooksOf(square)).is_near);
    EXPECT_TRUE(Compare(LooksOf(square), LooksOf(original)).is_near);
    EXPECT_TRUE(Compare(LooksOf(original), LooksOf(squeezed)).is_near);
  }
}

TEST(LooksTest, TellLesionsApart) {
  std::vector<Looks> looks;
  for (uint64_t index = 0; index < 40; ++index) looks.push_back(LooksOf(Lesion(index)));
  int alike = 0;
  for (size_t i = 0; i < looks.size(); ++i) {
    for (size_t j = 0; j < i; ++j) alike += Compare(looks[i], looks[j]).is_near ? 1 : 0;
  }
  EXPECT_EQ(alike, 0);
}

TEST(LooksTest, CorrelationIsPearsonsAndPlainPicturesAreLikeTheirEqualsOnly) {
  Image ramp = test::PlainImage(32, 32, 0, 0, 0);
  for (size_t i = 0; i < ramp.pixels.size(); ++i) {
    ramp.pixels[i] = static_cast<uint8_t>(i / 3 % 32 * 4);
  }
  Image inverse = ramp;
  for (uint8_t& value : inverse.pixels) value = static_cast<uint8_t>(200 - value);
  const Fingerprint rising = LooksOf(ramp).whole;
  EXPECT_NEAR(Correlation(rising, rising), 1.0, 1e-12);
  EXPECT_NEAR(Correlation(rising, LooksOf(inverse).whole), -1.0, 1e-12);
  const Fingerprint gray = LooksOf(test::PlainImage(20, 20, 90, 90, 90)).whole;
  EXPECT_EQ(Correlation(gray, gray), 1.0);
  EXPECT_EQ(Correlation(gray, LooksOf(test::PlainImage(20, 20, 91, 91, 91)).whole), 0.0);
  EXPECT_EQ(Correlation(gray, rising), 0.0);
  EXPECT_EQ(HashDistance(0b1011, 0b0010), 2);
}

TEST(LooksTest, ArePerceivedOfPicturesOfOnePixelOrOneRow) {
  const Fingerprint one = LooksOf(test::PlainImage(1, 1, 200, 100, 50)).whole;
  EXPECT_EQ(one.thumbnail[0], one.thumbnail[1023]);
  const Looks row = LooksOf(test::PlainImage(1, 700, 9, 9, 9));
  EXPECT_EQ(row.whole.thumbnail, row.middle.thumbnail);
}

}  // namespace
}  // namespace g2ll::data
