#include "worker/data/slic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "tests/data/region_agreement.h"
#include "tests/data/test_files.h"
#include "worker/data/slic_tile.h"
#include "worker/data/synthetic_dermoscopy.h"

namespace g2ll::data {
namespace {

using test::NumRegions;

// A picture made of whole numbers only: fields of color with rough edges and noise.
Image Drawing(uint64_t seed) {
  Image image{256, 256, {}};
  uint64_t state = seed + 1;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      const auto noise = static_cast<int>(state >> 59);
      const int dy = y - 120, dx = x - 100 - 20 * static_cast<int>(seed);
      const bool inside = dy * dy + 2 * dx * dx + 100 * noise < 4000;
      const int shade = (x + y) / 8 + noise;
      for (const int tone : {0, 30, 50}) {
        image.pixels.push_back(static_cast<uint8_t>((inside ? 60 : 200) - tone / 2 - shade / 2));
      }
    }
  }
  return image;
}

// FNV-1a.
uint64_t HashLabels(const LabelMap& map) {
  uint64_t hash = 14695981039346656037U;
  for (const uint16_t label : map.labels) hash = (hash ^ label) * 1099511628211U;
  return hash;
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

TEST(SlicTest, RegionSizesGiveOpenCvsNumbersOfSeeds) {
  const auto seeds = [](int step, SlicLayout layout) {
    return SeedsAtStep(256, 256, step, layout).seeds.size();
  };
  for (const int step : {86, 90, 91, 100, 102}) {
    EXPECT_EQ(seeds(step, SlicLayout::kHex), 8U) << step;
  }
  EXPECT_EQ(seeds(85, SlicLayout::kHex), 9U);
  EXPECT_EQ(seeds(103, SlicLayout::kHex), 4U);
  EXPECT_EQ(seeds(91, SlicLayout::kGrid), 9U);
}

TEST(SlicTest, AGridPlacesTheNumberOfSeedsNearestToWhatIsAsked) {
  for (const auto& [regions, seeds] : {std::pair{1, 1U}, {4, 4U}, {8, 9U}, {15, 16U}, {36, 36U}}) {
    EXPECT_EQ(PlaceSeeds(256, 256, regions, SlicLayout::kGrid).seeds.size(), seeds) << regions;
  }
  // Rows and columns differ where the picture is not square.
  EXPECT_EQ(PlaceSeeds(100, 300, 3, SlicLayout::kGrid).seeds.size(), 3U);
}

TEST(SlicTest, CutsAPlainImageIntoTheHexagonalPartition) {
  const std::vector<int> expected = {7605, 8572, 7480, 9257, 9211, 8499, 7521, 7391};
  const std::vector<int> counts =
      test::RegionCounts(SlicRegions(test::PlainImage(256, 256, 120, 120, 120), {}));
  ASSERT_EQ(counts.size(), expected.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    EXPECT_NEAR(counts[i], expected[i], 0.03 * expected[i]) << i;
  }
}

TEST(SlicTest, RegionsAreNumberedInReadingOrderWithoutGapsAndInOnePieceEach) {
  for (uint64_t index = 0; index < 12; ++index) {
    const LabelMap map = SlicRegions(SyntheticImage({1, index, 256}), {});
    uint16_t next = 0;
    for (const uint16_t label : map.labels) {
      ASSERT_LE(label, next);
      if (label == next) ++next;
    }
    EXPECT_EQ(next, NumRegions(map));
    EXPECT_EQ(NumParts(map), NumRegions(map));
    EXPECT_GE(NumRegions(map), 5);
    EXPECT_LE(NumRegions(map), 12);
  }
}

// The share of the disc or of the skin, whichever is larger, in the region of a TwoToneDisc
// where it is the smallest.
double LeastPurity(const SlicOptions& options) {
  const Image image = test::TwoToneDisc(256, 60);
  const LabelMap map = SlicRegions(image, options);
  const std::vector<int> counts = test::RegionCounts(map);
  std::vector<int> lesion(counts.size(), 0);
  for (size_t i = 0; i < map.labels.size(); ++i) {
    lesion[map.labels[i]] += image.pixels[3 * i] == 110 ? 1 : 0;
  }
  double least = 1;
  for (size_t region = 0; region < counts.size(); ++region) {
    const double purest = std::max(lesion[region], counts[region] - lesion[region]);
    least = std::min(least, purest / counts[region]);
  }
  return least;
}

TEST(SlicTest, EveryRegionOfATwoToneDiscIsPure) { EXPECT_GE(LeastPurity({}), 0.98); }

TEST(SlicTest, EveryRegionOfASharpDiscIsPurerStill) {
  SlicOptions sharp;
  sharp.blur = false;
  EXPECT_GE(LeastPurity(sharp), 0.99);
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

TEST(SlicTest, ManyThreadsGetTheSameLabels) {
  std::vector<Image> images;
  std::vector<LabelMap> alone;
  for (uint64_t index = 0; index < 4; ++index) {
    images.push_back(SyntheticImage({3, index, 128}));
    alone.push_back(SlicRegions(images.back(), {}));
  }
  constexpr size_t kThreads = 8;
  std::vector<std::vector<LabelMap>> maps(kThreads);
  {
    std::vector<std::jthread> threads;
    for (size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (const Image& image : images) maps[thread].push_back(SlicRegions(image, {}));
      });
    }
  }
  for (const std::vector<LabelMap>& of_thread : maps) {
    for (size_t i = 0; i < images.size(); ++i) EXPECT_EQ(of_thread[i].labels, alone[i].labels);
  }
}

std::vector<SlicOptions> ManyOptions() {
  std::vector<SlicOptions> all(5);
  all[1].regions = 100;
  all[2].mode = SlicMode::kSlic;
  all[3].layout = SlicLayout::kGrid;
  all[3].blur = false;
  all[4].regions = 1;
  return all;
}

// Whole tiles, and pictures whose last tiles reach beyond them.
constexpr int kSides[] = {33, 64, 150, 256};

TEST(SlicTest, EveryKindOfVectorsGivesTheSameLabels) {
  const SlicLoops& plain = SupportedSlicLoops().front();
  for (const SlicLoops& loops : SupportedSlicLoops()) {
    for (const int side : kSides) {
      const LabImage lab = SmoothedLab(SyntheticImage({4, 1, side}));
      for (const SlicOptions& options : ManyOptions()) {
        EXPECT_EQ(SlicRegionsBy(loops, lab, options).labels,
                  SlicRegionsBy(plain, lab, options).labels)
            << loops.name << " " << side;
      }
    }
  }
}

TEST(SlicTest, LeavingOutWhatATilesColorsRuleOutChangesNothing) {
  SlicLoops thorough = SupportedSlicLoops().back();
  thorough.prune = false;
  for (const int side : kSides) {
    for (uint64_t index = 0; index < 3; ++index) {
      const LabImage lab = SmoothedLab(SyntheticImage({6, index, side}));
      for (const SlicOptions& options : ManyOptions()) {
        EXPECT_EQ(SlicRegions(lab, options).labels, SlicRegionsBy(thorough, lab, options).labels)
            << side << " " << index;
      }
    }
  }
}

// The digest of what one machine gave; every other must give the same.
TEST(SlicTest, LabelsAreTheSameOnEveryMachine) {
  uint64_t hash = 0;
  for (uint64_t index = 0; index < 4; ++index) {
    hash ^= HashLabels(SlicRegions(Drawing(index), {}));
  }
  EXPECT_EQ(hash, 1951373503069305402U);
}

TEST(SlicTest, EveryOptionButExactChangesTheRegions) {
  const Image image = SyntheticImage({5, 2, 256});
  const LabelMap usual = SlicRegions(image, {});
  std::vector<SlicOptions> all(6);
  all[0].mode = SlicMode::kSlic;
  all[1].layout = SlicLayout::kGrid;
  all[2].iterations = 2;
  all[3].blur = false;
  all[4].min_size_percent = 0;
  all[5].regions = 12;
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_NE(SlicRegions(image, all[i]).labels, usual.labels) << i;
  }
}

TEST(SlicTest, ModeSlicIsTheMoreCompactTheLargerItsCompactness) {
  const Image image = SyntheticImage({5, 2, 256});
  const LabelMap plain = SlicRegions(test::PlainImage(256, 256, 9, 9, 9), {});
  SlicOptions options;
  options.mode = SlicMode::kSlic;
  double last = 0;
  for (const double compactness : {2.0, 20.0, 1000.0}) {
    options.compactness = compactness;
    const double likeness = test::RegionPurity(SlicRegions(image, options), plain);
    EXPECT_GT(likeness, last) << compactness;
    last = likeness;
  }
  EXPECT_GT(last, 0.99);
}

TEST(SlicTest, ExactGivesTheNumberOfRegionsAskedForEachInOnePiece) {
  for (const int regions : {1, 2, 5, 8, 9, 24}) {
    for (uint64_t index = 0; index < 3; ++index) {
      SlicOptions options;
      options.regions = regions;
      options.exact = true;
      // A grid has no eight seeds, so that regions must be joined, and few places no 24.
      options.layout = index == 0 ? SlicLayout::kHex : SlicLayout::kGrid;
      const LabelMap map = SlicRegions(SyntheticImage({1, index, 96}), options);
      EXPECT_EQ(NumRegions(map), regions);
      EXPECT_EQ(NumParts(map), regions);
    }
  }
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

TEST(ExactRegionsTest, JoinsTheSmallestToItsLongestNeighbor) {
  const LabelMap map{3, 4, {0, 0, 1, 1, 0, 0, 1, 2, 0, 0, 2, 2}};
  EXPECT_THAT(WithExactRegions(map, 2).labels,
              testing::ElementsAre(0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1));
}

TEST(ExactRegionsTest, HalvesTheLargestAcrossItsLength) {
  const LabelMap map{2, 6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};
  EXPECT_THAT(WithExactRegions(map, 2).labels,
              testing::ElementsAre(0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1));
}

TEST(ExactRegionsTest, GivesEveryPixelARegionWhereMoreAreAskedFor) {
  const LabelMap map{2, 2, {0, 0, 0, 0}};
  EXPECT_EQ(NumRegions(WithExactRegions(map, 9)), 4);
}

TEST(ConnectRegionsTest, ASmallPartJoinsTheNeighborWithTheLongestBorder) {
  // A single pixel of label 5 that touches label 1 on three sides and 0 on one.
  const LabelMap map{3, 4, {0, 1, 1, 1, 0, 5, 1, 1, 0, 1, 1, 1}};
  EXPECT_THAT(ConnectRegions(map, 1).labels,
              testing::ElementsAre(0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1));
}

}  // namespace
}  // namespace g2ll::data
