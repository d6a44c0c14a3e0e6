// The choices of a mask that the paper leaves open: shares, central regions, blocks, the
// course over a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "tests/data/mask_helpers.h"
#include "tests/data/test_files.h"
#include "worker/data/clean_image.h"
#include "worker/data/region_contrast.h"
#include "worker/data/synthetic_dermoscopy.h"
#include "worker/mask/allocator.h"
#include "worker/mask/curriculum.h"
#include "worker/mask/mask_strategy.h"
#include "worker/random/rng.h"

namespace g2ll::mask {
namespace {

using test::Bands;
using test::Labels16;
using test::Make;
using test::Noise;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

int Sum(const std::vector<int>& values) { return std::accumulate(values.begin(), values.end(), 0); }

TEST(AllocateByWeightTest, RoundsByLargestRemainderAndThenByLowerId) {
  // 10 * (1, 2, 4) / 7 = 1.43, 2.86, 5.71.
  EXPECT_THAT(AllocateByWeight(10, {9, 9, 9}, {1, 2, 4}).quotas, ElementsAre(1, 3, 6));
  EXPECT_THAT(AllocateByWeight(4, {9, 9, 9}, {5, 5, 5}).quotas, ElementsAre(2, 1, 1));
  EXPECT_THAT(
      AllocateByWeight(64, {24, 24, 24, 24, 24, 24, 24, 24}, std::vector<int>(8, 32)).quotas,
      testing::Each(8));
}

TEST(AllocateByWeightTest, SharesWhatAFullRegionCannotTakeInProportion) {
  // Without caps 20, 30, 50; the first takes 5, the others share 95 as 3 to 5.
  EXPECT_THAT(AllocateByWeight(100, {5, 99, 99}, {20, 30, 50}).quotas, ElementsAre(5, 36, 59));
  const Allocation full = AllocateByWeight(10, {3, 4}, {1, 9});
  EXPECT_THAT(full.quotas, ElementsAre(3, 4));
  EXPECT_EQ(full.remainder, 3);
  EXPECT_EQ(AllocateByWeight(5, {}, {}).remainder, 5);
  EXPECT_THAT(AllocateByWeight(5, {2, 9}, {1, 0}).quotas, ElementsAre(2, 3));
}

TEST(AllocateByWeightTest, ConservesTotalsAndRespectsCapsOnRandomInput) {
  random::Rng rng({.seed = 6});
  for (int round = 0; round < 500; ++round) {
    std::vector<int> caps(1 + rng.Below(12));
    std::vector<int> weights;
    for (int& cap : caps) {
      cap = static_cast<int>(rng.Below(40));
      weights.push_back(static_cast<int>(rng.Below(50)));
    }
    const int total = static_cast<int>(rng.Below(200));
    test::ExpectConserved(AllocateByWeight(total, caps, weights), total, caps);
  }
}

TEST(ProportionalMaskTest, TakesTheSameShareOfEveryRegion) {
  // 64, 128, 32, 32 patches.
  const RegionMap regions = MakeRegionMap(Labels16([](int row, int) {
    return row < 4 ? 0 : row < 12 ? 1 : row < 14 ? 2 : 3;
  }));
  MaskOptions options{.kind = MaskKind::kSemantic};
  options.allocation = Shares::kProportional;
  EXPECT_THAT(Make(options)->Plan(regions).quotas, ElementsAre(16, 32, 8, 8));
  // The central region is the second alone: 45 there, 19 shared as 64 : 32 : 32.
  options.kind = MaskKind::kSemanticFocal;
  EXPECT_THAT(Make(options)->Plan(regions).quotas, ElementsAre(9, 45, 5, 5));
}

// 0: a frame two patches wide, 1: the inside, 2: one patch right in the middle.
RegionMap Rings() {
  return MakeRegionMap(Labels16([](int row, int col) {
    const int edge = std::min({row, col, 15 - row, 15 - col});
    return edge < 2 ? 0 : row == 8 && col == 8 ? 2 : 1;
  }));
}

MaskPlan FocalPlan(const RegionMap& regions, Central central, int top_k = 2) {
  MaskOptions options{.kind = MaskKind::kSemanticFocal};
  options.central = central;
  options.top_k = top_k;
  return Make(options)->Plan(regions);
}

TEST(CentralRegionsTest, NoBorderTakesThoseWithoutABorderPatch) {
  const MaskPlan plan = FocalPlan(Rings(), Central::kNoBorder);
  EXPECT_THAT(plan.central, ElementsAre(2, 1));
  EXPECT_THAT(plan.quotas, ElementsAre(19, 45, 0));  // one patch, of which rho leaves none
}

TEST(CentralRegionsTest, WindowTakesThoseWithMostPatchesInTheCentralHalves) {
  // 0: rows 0-3, 1: rows 4-11 without the outer columns' quarter, 2: the rest.
  const RegionMap regions = MakeRegionMap(Labels16([](int row, int col) {
    return row < 4 ? 0 : row < 12 && col >= 4 && col < 12 ? 1 : 2;
  }));
  EXPECT_THAT(FocalPlan(regions, Central::kWindow).central, ElementsAre(1));
  // Half of its patches are not most.
  const RegionMap half = MakeRegionMap(
      Labels16([](int row, int col) { return row >= 4 && row < 12 ? 1 + (col < 8 ? 0 : 1) : 0; }));
  EXPECT_THAT(FocalPlan(half, Central::kWindow).central, FocalPlan(half, Central::kPrefix).central);
}

TEST(CentralRegionsTest, TopKTakesSoManyAndAtMostAll) {
  EXPECT_THAT(FocalPlan(MakeRegionMap(Bands()), Central::kTopK, 3).central, ElementsAre(3, 4, 2));
  const MaskPlan all = FocalPlan(Rings(), Central::kTopK, 8);
  EXPECT_THAT(all.central, ElementsAre(2, 1, 0));
  EXPECT_EQ(Sum(all.quotas), 64);
}

TEST(CentralRegionsTest, ARuleThatFindsNoneFallsBackToThePrefix) {
  const RegionMap bands = MakeRegionMap(Bands());  // all touch the border, none fits the window
  const std::vector<int> prefix = FocalPlan(bands, Central::kPrefix).central;
  EXPECT_EQ(FocalPlan(bands, Central::kNoBorder).central, prefix);
  EXPECT_EQ(FocalPlan(bands, Central::kWindow).central, prefix);
}

TEST(CentralRegionsTest, RoundingOfTheCentralShare) {
  MaskOptions options{.kind = MaskKind::kSemanticFocal};
  const auto central_count = [&](FocalRounding rounding) {
    options.rounding = rounding;
    const MaskPlan plan = Make(options)->Plan(MakeRegionMap(Bands()));
    return plan.quotas[3] + plan.quotas[4];
  };
  EXPECT_EQ(central_count(FocalRounding::kNearest), 45);
  EXPECT_EQ(central_count(FocalRounding::kFloor), 44);
  EXPECT_EQ(central_count(FocalRounding::kCeil), 45);
}

// The shortest prefix with room for nothing is empty: a share of 0 leaves no lesion visible.
TEST(CentralRegionsTest, AShareOfNothingPlansLikeTheSemanticMask) {
  MaskOptions options{.kind = MaskKind::kSemanticFocal};
  options.beta = 0;
  const MaskPlan plan = Make(options)->Plan(MakeRegionMap(Bands()));
  EXPECT_TRUE(plan.central.empty());
  EXPECT_EQ(plan.quotas, Make(MaskKind::kSemantic)->Plan(MakeRegionMap(Bands())).quotas);
}

TEST(CentralRegionsTest, ACroppedViewKeepsThePlacesInTheImageOrTakesItsOwn) {
  // In the view region 0 lies in the middle; in the image region 1 did.
  RegionMap view = Rings();
  view.patches = Labels16(
      [](int row, int col) { return row >= 4 && row < 12 && col >= 4 && col < 12 ? 0 : 1; });
  MaskOptions options{.kind = MaskKind::kSemanticFocal};
  EXPECT_THAT(Make(options)->Plan(view).central, ElementsAre(1));
  options.center = CenterOf::kView;
  EXPECT_THAT(Make(options)->Plan(view).central, ElementsAre(0));
}

TEST(SaliencyTest, IsContrastWeightedByDistanceOnAGridOf16) {
  RegionTraits traits{.center_distance = 5.0, .contrast = 10.0};
  EXPECT_NEAR(Saliency(traits, {16, 16}), 10.0 * std::exp(-0.5), 1e-12);
  // Half as many patches a side: half the distance is the same place.
  traits.center_distance = 2.5;
  EXPECT_NEAR(Saliency(traits, {8, 8}), 10.0 * std::exp(-0.5), 1e-12);
}

TEST(SaliencyTest, ContrastIsTheLabDistanceToTheBordersMedianColor) {
  // Grey 119 with a white block of 4x4 patches that begins on the 5th patch of each side.
  data::Image image = data::test::PlainImage(256, 256, 119, 119, 119);
  data::LabelMap pixels{256, 256, std::vector<uint16_t>(256 * 256, 0)};
  for (size_t y = 64; y < 128; ++y) {
    for (size_t x = 64; x < 128; ++x) {
      pixels.labels[y * 256 + x] = 1;
      for (size_t c = 0; c < 3; ++c) image.pixels[(y * 256 + x) * 3 + c] = 255;
    }
  }
  RegionMap regions = *data::RegionsOfPatches(pixels, 16);
  data::MeasureContrast(image, pixels, 16, regions);
  EXPECT_NEAR(regions.traits[0].contrast, 0.0, 0.3);   // smoothing reaches one pixel out
  EXPECT_NEAR(regions.traits[1].contrast, 50.0, 1.5);  // L 50 against L 100
}

// Method 2.5: the order by saliency covers more of lesions off the center.
TEST(SaliencyTest, OrderBySaliencyCoversMoreOfSyntheticLesions) {
  double by_distance = 0;
  double by_saliency = 0;
  for (uint64_t index = 0; index < 60; ++index) {
    const data::SyntheticKey key{.seed = 8, .index = index};
    const RegionMap regions = test::RegionsOf(data::SyntheticImage(key));
    const data::LesionMask truth = data::SyntheticMask(key);
    const std::vector<uint16_t> pixels(truth.pixels.begin(), truth.pixels.end());
    const std::vector<int> lesion = MajorityLabels(pixels, 256, 256, 16)->labels;
    const auto covered = [&](CentralOrder order) {
      MaskOptions options{.kind = MaskKind::kSemanticFocal};
      options.order = order;
      const std::vector<int> central = Make(options)->Plan(regions).central;
      int inside = 0, size = 0;
      for (size_t patch = 0; patch < 256; ++patch) {
        if (lesion[patch] != 255) continue;
        ++size;
        inside += std::count(central.begin(), central.end(), regions.patches.labels[patch]) > 0;
      }
      return static_cast<double>(inside) / size;
    };
    by_distance += covered(CentralOrder::kDistance);
    by_saliency += covered(CentralOrder::kSaliency);
  }
  RecordProperty("by_distance_percent", static_cast<int>(std::lround(by_distance / 0.6)));
  RecordProperty("by_saliency_percent", static_cast<int>(std::lround(by_saliency / 0.6)));
  EXPECT_GT(by_saliency, by_distance);
}

TEST(SaliencyTest, WithoutAnyContrastTheOrderIsThatOfDistance) {
  const RegionMap regions = test::RegionsOf(data::test::PlainImage(256, 256, 90, 90, 90));
  EXPECT_EQ(CentralityOrder(regions, CentralOrder::kSaliency), CentralityOrder(regions));
}

TEST(RegionsOfPatchesTest, ARegionWithoutAPatchHasThePlaceOfItsPixels) {
  // Two pixels in the middle of the lower right patch.
  data::LabelMap pixels{64, 64, std::vector<uint16_t>(64 * 64, 0)};
  pixels.labels[56 * 64 + 56] = pixels.labels[56 * 64 + 55] = 1;
  const RegionMap regions = *data::RegionsOfPatches(pixels, 16);
  ASSERT_EQ(regions.traits.size(), 2U);
  EXPECT_NEAR(regions.traits[1].center_distance, 24.25 * std::sqrt(2.0) / 16, 0.05);
  EXPECT_TRUE(regions.traits[1].touches_border);
  EXPECT_EQ(regions.traits[1].window_share, 0.0);
}

TEST(BlockMaskTest, MasksTheBudgetInRectangles) {
  const RegionMap regions = MakeRegionMap(Bands());
  const auto strategy = Make(MaskKind::kBlock);
  std::set<std::vector<int64_t>> seen;
  int neighbors = 0;
  constexpr int kDraws = 200;
  for (int draw = 0; draw < kDraws; ++draw) {
    const PatchMask mask = strategy->Draw(regions, Noise(draw, strategy->NoiseSize(256)));
    const std::vector<int64_t> ids = mask.MaskedIds();
    EXPECT_EQ(ids.size(), 64U);
    seen.insert(ids);
    for (const int64_t id : ids) {
      neighbors += id % 16 < 15 && mask.masked[static_cast<size_t>(id) + 1] ? 1 : 0;
    }
  }
  EXPECT_GT(seen.size(), 190U);
  // A random mask of a quarter has 15 of 60 right neighbors; rectangles have most.
  EXPECT_GT(neighbors, 40 * kDraws);
}

// Ratio 1 and the smallest area in each of the four corners: 4x4 patches of 256.
TEST(BlockMaskTest, ItsSmallestRectangleHasASixteenthOfThePatches) {
  const auto strategy = Make(MaskKind::kBlock);
  std::vector<double> noise(strategy->NoiseSize(256), 0.0);
  for (size_t corner = 0; corner < 4; ++corner) {
    const size_t draw = 256 + 4 * corner;
    noise[draw] = 0.5;
    noise[draw + 1] = corner < 2 ? 0.0 : 0.999;
    noise[draw + 2] = corner % 2 == 0 ? 0.0 : 0.999;
  }
  const PatchMask mask = strategy->Draw(MakeRegionMap(Bands()), noise);
  const auto is_outside = [](int place) { return place < 4 || place >= 12; };
  for (int patch = 0; patch < 256; ++patch) {
    EXPECT_EQ(mask.masked[static_cast<size_t>(patch)],
              is_outside(patch / 16) && is_outside(patch % 16))
        << patch;
  }
}

TEST(BlockMaskTest, OneRectangleOfTheWholeBudgetIsLeftWhole) {
  // Ratio 1, largest area, the lower right corner: 8x8 patches.
  const auto strategy = Make(MaskKind::kBlock);
  std::vector<double> noise(strategy->NoiseSize(256), 0.0);
  noise[256] = 0.5;
  noise[257] = noise[258] = 0.999;
  noise[259] = 1.0 - 1e-12;
  const PatchMask mask = strategy->Draw(MakeRegionMap(Bands()), noise);
  for (int patch = 0; patch < 256; ++patch) {
    EXPECT_EQ(mask.masked[static_cast<size_t>(patch)], patch / 16 >= 8 && patch % 16 >= 8);
  }
}

TEST(CurriculumTest, GoesFromPartsToWholeRegionsWithTheSameTotal) {
  const std::vector<int> parts = {3, 4, 23, 22, 4, 8};
  const std::vector<int> sizes = {28, 36, 36, 36, 28, 92};
  const std::vector<int> central = {2, 3};
  const std::vector<double> noise = {.1, .9, .3, .4, .5, .2};
  EXPECT_EQ(IntraToInter(parts, sizes, central, noise, 0.0), parts);
  // Of the central ones the fourth is first, of the others the second.
  EXPECT_THAT(IntraToInter(parts, sizes, central, noise, 1.0), ElementsAre(0, 19, 9, 36, 0, 0));
  EXPECT_THAT(IntraToInter(parts, sizes, central, noise, 0.5), ElementsAre(2, 11, 16, 29, 2, 4));
  for (double progress = 0; progress <= 1.0; progress += 0.01) {
    const std::vector<int> quotas = IntraToInter(parts, sizes, central, noise, progress);
    EXPECT_EQ(quotas[2] + quotas[3], 45);
    EXPECT_EQ(Sum(quotas), 64);
    for (size_t i = 0; i < sizes.size(); ++i) EXPECT_LE(quotas[i], sizes[i]);
  }
}

TEST(CurriculumTest, EveryMaskHasTheBudgetAndTheLastOnesHideWholeRegions) {
  const RegionMap regions = MakeRegionMap(Bands());
  MaskOptions options{.kind = MaskKind::kSemantic};
  options.curriculum = Curriculum::kIntraToInter;
  const auto strategy = Make(options);
  const auto at_rest = Make(MaskKind::kSemantic);
  for (int draw = 0; draw < 50; ++draw) {
    const std::vector<double> noise = Noise(draw, strategy->NoiseSize(256));
    EXPECT_EQ(strategy->Draw(regions, noise, 0.0).masked,
              at_rest->Draw(regions, std::span(noise).first(256)).masked);
    for (const double progress : {0.3, 0.7, 1.0, 7.0}) {
      EXPECT_EQ(strategy->Draw(regions, noise, progress).MaskedIds().size(), 64U);
    }
    const PatchMask last = strategy->Draw(regions, noise, 1.0);
    for (int region = 0; region < 8; ++region) {
      const int hidden = test::CountIn(last, regions.patches, region);
      EXPECT_TRUE(hidden == 0 || hidden == 32) << hidden;
    }
  }
}

TEST(CurriculumTest, MoreRegionIdsThanPatchesAreNoMatter) {
  const RegionMap regions =
      MakeRegionMap(Labels16([](int row, int col) { return 3 * (row * 16 + col); }));
  MaskOptions options{.kind = MaskKind::kSemanticFocal};
  options.curriculum = Curriculum::kIntraToInter;
  const auto strategy = Make(options);
  EXPECT_EQ(strategy->Draw(regions, Noise(1, strategy->NoiseSize(256)), 0.5).MaskedIds().size(),
            64U);
}

TEST(MaskOptionsTest, RefusesChoicesThatDoNotFitInOneClearLine) {
  const auto message = [](const MaskOptions& options) {
    return std::string(MakeMaskStrategy(options, 64).status().message());
  };
  MaskOptions options;
  options.central = Central::kTopK;
  options.top_k = 9;
  EXPECT_EQ(message(options), "mask.topK is 9: it must lie in [1, 8], the number of regions");
  options = {};
  options.regions = 65;
  EXPECT_EQ(message(options), "mask.regions is 65: it must lie in [1, 64], the number of patches");
  options = {};
  options.beta = 1.5;
  EXPECT_EQ(message(options), "mask.beta is 1.5: it must lie in [0, 1]");
  options = {.kind = MaskKind::kAttention};
  options.attention_share = -1;
  EXPECT_THAT(message(options), HasSubstr("mask.attentionShare is -1"));
  options = {.kind = MaskKind::kAttention};
  options.attention_hint = 2;
  EXPECT_THAT(message(options), HasSubstr("mask.attentionHint is 2"));
  options = {.kind = MaskKind::kAttention};
  options.shared = true;
  EXPECT_THAT(message(options), HasSubstr("mask.shared"));
  for (const MaskKind kind : {MaskKind::kRandom, MaskKind::kBlock, MaskKind::kAttention}) {
    options = {.kind = kind};
    options.curriculum = Curriculum::kIntraToInter;
    EXPECT_THAT(message(options), HasSubstr("mask.strategy must be semantic"));
  }
}

}  // namespace
}  // namespace g2ll::mask
