#include "worker/data/slic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

#include "tests/data/test_files.h"
#include "worker/data/superpixel_cache.h"
#include "worker/data/synthetic_dermoscopy.h"

namespace g2ll::data {
namespace {

int NumRegions(const LabelMap& map) {
  return *std::max_element(map.labels.begin(), map.labels.end()) + 1;
}

std::vector<int> Counts(const LabelMap& map) {
  std::vector<int> counts(static_cast<size_t>(NumRegions(map)), 0);
  for (const uint16_t label : map.labels) ++counts[label];
  return counts;
}

// 4-connected parts; equal to the number of regions when each is in one piece.
int NumParts(const LabelMap& map) { return NumRegions(ConnectRegions(map, 0)); }

TEST(SlicTest, PlacesEightSeedsInThreeRowsAtEverySize) {
  for (const int side : {64, 96, 128, 224, 256, 512}) {
    EXPECT_EQ(PlaceSeeds(side, side, 8).seeds.size(), 8U) << side;
  }
  const SlicSeeds seeds = PlaceSeeds(256, 256, 8);
  EXPECT_EQ(seeds.step, 91);
  std::vector<int> rows;
  for (const SlicSeed& seed : seeds.seeds) rows.push_back(seed.y);
  EXPECT_THAT(rows, testing::ElementsAre(45, 45, 45, 136, 136, 227, 227, 227));
}

TEST(SlicTest, CutsAPlainImageIntoTheHexagonalPartition) {
  const std::vector<int> expected = {7605, 8572, 7480, 9257, 9211, 8499, 7521, 7391};
  const std::vector<int> counts =
      Counts(SlicRegions(test::PlainImage(256, 256, 120, 120, 120), {}));
  ASSERT_EQ(counts.size(), expected.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    EXPECT_NEAR(counts[i], expected[i], 0.03 * expected[i]) << i;
  }
}

TEST(SlicTest, RegionsAreNumberedInReadingOrderWithoutGapsAndInOnePieceEach) {
  for (uint64_t index = 0; index < 12; ++index) {
    const LabelMap map = SlicRegions(SyntheticImage({1, index, 256}), {});
    std::vector<bool> seen(static_cast<size_t>(NumRegions(map)), false);
    uint16_t next = 0;
    for (const uint16_t label : map.labels) {
      ASSERT_LE(label, next);
      if (label == next) ++next;
      seen[label] = true;
    }
    EXPECT_EQ(next, NumRegions(map));
    EXPECT_EQ(NumParts(map), NumRegions(map));
    EXPECT_GE(NumRegions(map), 5);
    EXPECT_LE(NumRegions(map), 12);
  }
}

TEST(SlicTest, EveryRegionOfATwoToneDiscIsPure) {
  const Image image = test::TwoToneDisc(256, 60);
  const LabelMap map = SlicRegions(image, {});
  std::vector<int> lesion(static_cast<size_t>(NumRegions(map)), 0);
  for (size_t i = 0; i < map.labels.size(); ++i) {
    lesion[map.labels[i]] += image.pixels[3 * i] == 110 ? 1 : 0;
  }
  const std::vector<int> counts = Counts(map);
  for (size_t region = 0; region < counts.size(); ++region) {
    const double purest = std::max(lesion[region], counts[region] - lesion[region]);
    EXPECT_GE(purest / counts[region], 0.98) << region;
  }
}

TEST(SlicTest, AConstantAddedToTheBrightnessChangesNothing) {
  LabImage lab = SmoothedLab(SyntheticImage({2, 3, 256}));
  const LabelMap before = SlicRegions(lab, {});
  for (int16_t& value : lab.l) value = static_cast<int16_t>(value + 77);
  EXPECT_EQ(SlicRegions(lab, {}).labels, before.labels);
}

TEST(SlicTest, GrayHasNoColorAndBlackAndWhiteAreTheEndsOfL) {
  const LabImage white = SmoothedLab(test::PlainImage(4, 4, 255, 255, 255));
  const LabImage black = SmoothedLab(test::PlainImage(4, 4, 0, 0, 0));
  const LabImage gray = SmoothedLab(test::PlainImage(4, 4, 119, 119, 119));
  EXPECT_EQ(white.l[5], 100 * LabImage::kScale);
  EXPECT_EQ(black.l[5], 0);
  EXPECT_EQ(gray.a[5], 0);
  EXPECT_EQ(gray.b[5], 0);
  EXPECT_NEAR(gray.l[5] / 16.0, 50.0, 0.2);
  // sRGB red.
  const LabImage red = SmoothedLab(test::PlainImage(4, 4, 255, 0, 0));
  EXPECT_NEAR(red.l[5] / 16.0, 53.24, 0.1);
  EXPECT_NEAR(red.a[5] / 16.0, 80.09, 0.2);
  EXPECT_NEAR(red.b[5] / 16.0, 67.20, 0.2);
}

TEST(SlicTest, ThreadsGetTheSameLabels) {
  const Image image = SyntheticImage({3, 1, 256});
  const LabelMap alone = SlicRegions(image, {});
  std::vector<LabelMap> maps(4);
  {
    std::vector<std::jthread> threads;
    for (LabelMap& map : maps) {
      threads.emplace_back([&map, &image] { map = SlicRegions(image, {}); });
    }
  }
  for (const LabelMap& map : maps) EXPECT_EQ(map.labels, alone.labels);
}

TEST(SlicTest, SurvivesTinyOddAndNoisyPictures) {
  EXPECT_EQ(NumRegions(SlicRegions(test::PlainImage(1, 1, 9, 9, 9), {})), 1);
  const LabelMap wide = SlicRegions(test::PlainImage(8, 100, 9, 9, 9), {});
  EXPECT_EQ(NumParts(wide), NumRegions(wide));
  Image noise = test::PlainImage(64, 64, 0, 0, 0);
  uint32_t state = 1;
  for (uint8_t& value : noise.pixels) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<uint8_t>(state >> 24);
  }
  const LabelMap noisy = SlicRegions(noise, {});
  EXPECT_EQ(NumParts(noisy), NumRegions(noisy));
}

TEST(ConnectRegionsTest, ASmallPartJoinsTheNeighborWithTheLongestBorder) {
  // A single pixel of label 5 that touches label 1 on three sides and 0 on one.
  const LabelMap map{3, 4, {0, 1, 1, 1, 0, 5, 1, 1, 0, 1, 1, 1}};
  EXPECT_THAT(ConnectRegions(map, 1).labels,
              testing::ElementsAre(0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1));
}

TEST(LabelMapFileTest, ComesBackAsItWasAndDamageIsNoticed) {
  const LabelMap map = SlicRegions(SyntheticImage({1, 2, 64}), {});
  const std::string bytes = EncodeLabelMap(map);
  ASSERT_TRUE(DecodeLabelMap(bytes).has_value());
  EXPECT_EQ(DecodeLabelMap(bytes)->labels, map.labels);
  for (size_t at = 0; at < bytes.size(); at += 5) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_FALSE(DecodeLabelMap(damaged).has_value()) << at;
    EXPECT_FALSE(DecodeLabelMap(bytes.substr(0, at)).has_value()) << at;
  }
}

TEST(SuperpixelCacheTest, FindsWhatWasStoredUnderTheSamePixelsAndSettingsOnly) {
  const test::TemporaryFolder folder;
  const auto cache = SuperpixelCache::Open(folder / "cache");
  ASSERT_TRUE(cache.ok());
  const Image image = SyntheticImage({1, 2, 64});
  const std::string key = SuperpixelCache::KeyOf(image, {});
  EXPECT_FALSE((*cache)->Find(key).has_value());
  const LabelMap map = SlicRegions(image, {});

  (*cache)->Store(key, map);

  EXPECT_EQ((*cache)->Find(key)->labels, map.labels);
  SlicOptions other;
  other.regions = 9;
  EXPECT_NE(SuperpixelCache::KeyOf(image, other), key);
  Image changed = image;
  changed.pixels[100] ^= 1;
  EXPECT_NE(SuperpixelCache::KeyOf(changed, {}), key);
}

TEST(SuperpixelCacheTest, StaysWithinItsBound) {
  const test::TemporaryFolder folder;
  constexpr int64_t kBound = 8'000;
  const auto cache = SuperpixelCache::Open(folder.path(), kBound);
  ASSERT_TRUE(cache.ok());
  for (uint64_t i = 0; i < 40; ++i) {
    const Image image = SyntheticImage({1, i, 32});
    (*cache)->Store(SuperpixelCache::KeyOf(image, {}), SlicRegions(image, {}));
  }
  int64_t bytes = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (file.is_regular_file()) bytes += static_cast<int64_t>(file.file_size());
  }
  EXPECT_GT(bytes, 0);
  EXPECT_LE(bytes, kBound);
}

TEST(SuperpixelCacheTest, NamesAFolderThatCannotBeMade) {
  const test::TemporaryFolder folder;
  test::WriteBytes(folder / "file", "x");
  const auto cache = SuperpixelCache::Open(folder / "file/cache");
  ASSERT_FALSE(cache.ok());
  EXPECT_THAT(std::string(cache.status().message()), testing::HasSubstr(folder / "file/cache"));
}

}  // namespace
}  // namespace g2ll::data
