#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
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

Image Lesion(uint64_t index) { return SyntheticImage({.seed = 5, .index = index, .size = 128}); }

TEST(FingerprintTest, SurvivesRecompressionSquashingAndBrightness) {
  const test::TemporaryFolder folder;
  for (uint64_t sample = 0; sample < 6; ++sample) {
    const Image image = Lesion(sample);
    const Fingerprint original = FingerprintOf(image);
    test::WriteBytes(folder / "a.jpg", *EncodeJpeg(image, 60));
    Image brighter = image;
    for (uint8_t& value : brighter.pixels) {
      value = static_cast<uint8_t>(std::min(255, value + 6));
    }
    for (const Image& copy :
         {*ReadImage(folder / "a.jpg"), ResizeImage(image, 64, 100), brighter}) {
      const Fingerprint fingerprint = FingerprintOf(copy);
      EXPECT_LE(HashDistance(original.hash, fingerprint.hash), kMaxHashDistance);
      EXPECT_GT(Correlation(original, fingerprint), kMinCorrelation);
    }
  }
}

TEST(FingerprintTest, TellsLesionsApart) {
  std::vector<Fingerprint> fingerprints;
  for (uint64_t sample = 0; sample < 40; ++sample) {
    fingerprints.push_back(FingerprintOf(Lesion(sample)));
  }
  int alike = 0;
  for (size_t i = 0; i < fingerprints.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      alike += HashDistance(fingerprints[i].hash, fingerprints[j].hash) <= kMaxHashDistance &&
                       Correlation(fingerprints[i], fingerprints[j]) > kMinCorrelation
                   ? 1
                   : 0;
    }
  }
  EXPECT_EQ(alike, 0);
}

TEST(FingerprintTest, CorrelationIsPearsonsAndPlainPicturesAreLikeTheirEqualsOnly) {
  Image ramp = test::PlainImage(32, 32, 0, 0, 0);
  for (size_t i = 0; i < ramp.pixels.size(); ++i) {
    ramp.pixels[i] = static_cast<uint8_t>(i / 3 % 32 * 4);
  }
  Image inverse = ramp;
  for (uint8_t& value : inverse.pixels) value = static_cast<uint8_t>(200 - value);
  EXPECT_NEAR(Correlation(FingerprintOf(ramp), FingerprintOf(ramp)), 1.0, 1e-12);
  EXPECT_NEAR(Correlation(FingerprintOf(ramp), FingerprintOf(inverse)), -1.0, 1e-12);
  const Fingerprint gray = FingerprintOf(test::PlainImage(20, 20, 90, 90, 90));
  EXPECT_EQ(Correlation(gray, gray), 1.0);
  EXPECT_EQ(Correlation(gray, FingerprintOf(test::PlainImage(20, 20, 91, 91, 91))), 0.0);
  EXPECT_EQ(Correlation(gray, FingerprintOf(ramp)), 0.0);
  EXPECT_EQ(HashDistance(0b1011, 0b0010), 2);
}

TEST(FingerprintTest, APictureOfOnePixelHasOne) {
  const Fingerprint one = FingerprintOf(test::PlainImage(1, 1, 200, 100, 50));
  EXPECT_EQ(one.thumbnail[0], one.thumbnail[1023]);
}

}  // namespace
}  // namespace g2ll::data
