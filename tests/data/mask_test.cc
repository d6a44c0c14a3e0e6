#include "worker/mask/mask_strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "tests/data/mask_helpers.h"
#include "tests/data/test_files.h"
#include "worker/data/resize.h"
#include "worker/data/synthetic_dermoscopy.h"
#include "worker/mask/allocator.h"
#include "worker/random/rng.h"

namespace g2ll::mask {
namespace {

using test::Bands;
using test::CountIn;
using test::Labels16;
using test::Make;
using test::Noise;
using test::RegionsOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(AllocateTest, MatchesTheWorkedCases) {
  const std::vector<int> thirty_twos(8, 32);
  const std::vector<int> thirties(9, 30);
  EXPECT_THAT(Allocate(64, thirty_twos).quotas, ElementsAre(8, 8, 8, 8, 8, 8, 8, 8));
  EXPECT_THAT(Allocate(64, {3, 40, 40, 40, 40, 40, 33, 20}).quotas,
              ElementsAre(3, 9, 9, 9, 9, 9, 8, 8));
  EXPECT_THAT(Allocate(45, {43, 43}).quotas, ElementsAre(23, 22));
  EXPECT_THAT(Allocate(19, {29, 27, 29, 29, 27, 29}).quotas, ElementsAre(4, 3, 3, 3, 3, 3));
  EXPECT_THAT(Allocate(45, {20, 30}).quotas, ElementsAre(20, 25));
  EXPECT_THAT(Allocate(64, thirties).quotas, ElementsAre(8, 7, 7, 7, 7, 7, 7, 7, 7));
}

TEST(AllocateTest, ReportsWhatDoesNotFit) {
  const Allocation allocation = Allocate(10, {3, 4});
  EXPECT_THAT(allocation.quotas, ElementsAre(3, 4));
  EXPECT_EQ(allocation.remainder, 3);
  EXPECT_EQ(Allocate(5, {}).remainder, 5);
}

TEST(AllocateTest, ConservesTotalsAndRespectsCapsOnRandomInput) {
  random::Rng rng({.seed = 5});
  for (int round = 0; round < 500; ++round) {
    std::vector<int> caps(1 + rng.Below(12));
    for (int& cap : caps) cap = static_cast<int>(rng.Below(40));
    const int total = static_cast<int>(rng.Below(200));

    test::ExpectConserved(Allocate(total, caps), total, caps);
  }
}

TEST(MajorityLabelsTest, AnExactTieGoesToTheLowerLabel) {
  std::vector<uint16_t> pixels(256);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = (i + i / 16) % 2 == 0 ? 4 : 2;
  EXPECT_THAT(MajorityLabels(pixels, 16, 16, 16)->labels, ElementsAre(2));

  pixels[1] = 4;  // 129 to 127
  EXPECT_THAT(MajorityLabels(pixels, 16, 16, 16)->labels, ElementsAre(4));
}

TEST(MajorityLabelsTest, CommutesWithFlips) {
  random::Rng rng({.seed = 6});
  data::LabelMap map{64, 64, {}};
  for (int i = 0; i < 64 * 64; ++i) map.labels.push_back(static_cast<uint16_t>(rng.Below(3)));
  const PatchLabels plain = *MajorityLabels(map.labels, 64, 64, 8);
  data::LabelMap flipped = map;
  data::FlipHorizontally(flipped);
  EXPECT_EQ(MajorityLabels(flipped.labels, 64, 64, 8)->labels, FlipHorizontally(plain).labels);
  flipped = map;
  data::FlipVertically(flipped);
  EXPECT_EQ(MajorityLabels(flipped.labels, 64, 64, 8)->labels, FlipVertically(plain).labels);
}

TEST(MajorityLabelsTest, RefusesAMapThatIsNoWholeNumberOfPatches) {
  const std::vector<uint16_t> pixels(30 * 30);
  EXPECT_FALSE(MajorityLabels(pixels, 30, 30, 16).ok());
  EXPECT_FALSE(MajorityLabels(pixels, 32, 30, 2).ok());
}

TEST(NumMaskedTest, TruncatesTheKeptCount) {
  EXPECT_EQ(NumMasked(256, 0.25), 64);
  EXPECT_EQ(NumMasked(256, 0.75), 192);
  EXPECT_EQ(NumMasked(256, 0.6), 256 - 102);
  EXPECT_EQ(NumMasked(196, 0.75), 147);
  EXPECT_EQ(NumMasked(64, 0.0), 0);
  EXPECT_EQ(NumMasked(64, 1.0), 64);
}

TEST(MaskOptionsTest, RefusesValuesOutOfRangeAndNamesThem) {
  for (const double bad : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    MaskOptions options;
    options.gamma = bad;
    EXPECT_THAT(std::string(Validate(options, 256).message()), HasSubstr("mask.gamma"));
    options.gamma = 0.25;
    options.beta = bad;
    EXPECT_THAT(std::string(Validate(options, 256).message()), HasSubstr("mask.beta"));
  }
  MaskOptions options;
  options.regions = 65;
  EXPECT_THAT(std::string(Validate(options, 64).message()), HasSubstr("mask.regions"));
  options.regions = 0;
  EXPECT_FALSE(Validate(options, 64).ok());
}

TEST(RandomMaskTest, RemovesThePatchesWithTheLargestNoise) {
  PatchLabels labels;
  labels.grid = {2, 4};
  labels.labels.assign(8, 0);
  MaskOptions options;
  options.kind = MaskKind::kRandom;
  const auto strategy = *MakeMaskStrategy(options, 8);

  const PatchMask mask =
      strategy->Draw(MakeRegionMap(labels), std::vector{.5, .1, .9, .3, .7, .2, .8, .4});

  EXPECT_THAT(mask.MaskedIds(), ElementsAre(2, 6));
  EXPECT_THAT(mask.VisibleIds(), ElementsAre(0, 1, 3, 4, 5, 7));
}

TEST(RandomMaskTest, EqualNoiseGoesToTheHigherId) {
  PatchLabels labels;
  labels.grid = {2, 4};
  labels.labels.assign(8, 0);
  MaskOptions options;
  options.kind = MaskKind::kRandom;
  const std::vector<double> noise(8, 0.5);
  EXPECT_THAT((*MakeMaskStrategy(options, 8))->Draw(MakeRegionMap(labels), noise).MaskedIds(),
              ElementsAre(6, 7));
}

TEST(SemanticMaskTest, TakesEightPatchesFromEachOfEightRegions) {
  const RegionMap regions = MakeRegionMap(Bands());
  const PatchMask mask = Make(MaskKind::kSemantic)->Draw(regions, Noise(1));
  for (int region = 0; region < 8; ++region) {
    EXPECT_EQ(CountIn(mask, regions.patches, region), 8);
  }
}

TEST(SemanticFocalMaskTest, PlansTheHexagonalPartitionOfAPlainImage) {
  const RegionMap regions = RegionsOf(data::test::PlainImage(256, 256, 120, 120, 120));
  EXPECT_THAT(RegionSizes(regions.patches), ElementsAre(28, 36, 28, 36, 36, 36, 28, 28));
  const std::vector<double> expected = {7.8056, 5.2, 7.8056, 4.3918, 4.3918, 5.2, 7.8056, 7.8056};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(regions.traits[i].center_distance, expected[i], 5e-5);
  }

  const MaskPlan plan = Make(MaskKind::kSemanticFocal)->Plan(regions);

  EXPECT_THAT(plan.central, ElementsAre(3, 4));
  EXPECT_THAT(plan.quotas, ElementsAre(3, 4, 3, 23, 22, 3, 3, 3));
}

TEST(SemanticFocalMaskTest, NeedsAThirdRegionWhereTwoAreTooSmall) {
  const RegionMap regions = RegionsOf(data::test::TwoToneDisc(256, 60));
  EXPECT_THAT(RegionSizes(regions.patches), ElementsAre(39, 28, 39, 22, 22, 39, 39, 28));

  const MaskPlan plan = Make(MaskKind::kSemanticFocal)->Plan(regions);

  EXPECT_THAT(plan.central, ElementsAre(3, 4, 1));
  EXPECT_THAT(plan.quotas, ElementsAre(4, 15, 4, 15, 15, 4, 4, 3));
}

// Section 7, mask counts: every strategy, every image.
TEST(MaskStrategyTest, EveryStrategyMasksExactlyTheBudgetWhateverTheRegions) {
  random::Rng rng({.seed = 7});
  for (int round = 0; round < 100; ++round) {
    const int num_regions = 1 + static_cast<int>(rng.Below(round % 2 == 0 ? 12 : 256));
    const RegionMap regions =
        MakeRegionMap(Labels16([&](int, int) { return static_cast<int>(rng.Below(num_regions)); }));
    for (const double gamma : {0.0, 0.25, 0.6, 0.75, 1.0}) {
      for (const MaskKind kind : test::kEveryKind) {
        const auto strategy = Make(kind, gamma);
        const PatchMask mask = strategy->Draw(regions, Noise(round, strategy->NoiseSize(256)));
        EXPECT_EQ(mask.MaskedIds().size(), static_cast<size_t>(NumMasked(256, gamma)));
        EXPECT_EQ(mask.MaskedIds().size() + mask.VisibleIds().size(), 256U);
      }
    }
  }
}

// Section 7, mask counts: 45 in the central regions and 19 outside on every synthetic
// image; every region has room for its 8 or gets all it has room for.
TEST(MaskStrategyTest, SyntheticLesionsGetTheFocalAndTheSemanticCounts) {
  for (uint64_t index = 0; index < 40; ++index) {
    const RegionMap regions = RegionsOf(data::SyntheticImage({.seed = 21, .index = index}));
    const MaskPlan focal = Make(MaskKind::kSemanticFocal)->Plan(regions);
    int central = 0;
    for (const int region : focal.central) central += focal.quotas[static_cast<size_t>(region)];
    EXPECT_EQ(central, 45) << index;
    EXPECT_EQ(std::accumulate(focal.quotas.begin(), focal.quotas.end(), 0), 64);

    const std::vector<int> sizes = RegionSizes(regions.patches);
    const MaskPlan semantic = Make(MaskKind::kSemantic)->Plan(regions);
    const bool is_roomy = std::all_of(sizes.begin(), sizes.end(), [](int s) { return s >= 11; });
    if (sizes.size() == 8 && is_roomy) {
      EXPECT_THAT(semantic.quotas, testing::Each(8)) << index;
    }
  }
}

TEST(SemanticMaskTest, ElevenPatchesAreRoomForEight) {
  // Seven regions of 11 patches and one with the rest.
  const RegionMap regions =
      MakeRegionMap(Labels16([](int row, int col) { return std::min((row * 16 + col) / 11, 7); }));
  EXPECT_THAT(Make(MaskKind::kSemantic)->Plan(regions).quotas, testing::Each(8));
}

TEST(SemanticMaskTest, RhoLeavesContextInASmallRegionUntilAllAreFull) {
  // Region 0 has 8 patches: rho .75 masks 6 of them, rho 1 all 8.
  const RegionMap regions =
      MakeRegionMap(Labels16([](int row, int col) { return row == 0 && col < 8 ? 0 : 1; }));
  EXPECT_THAT(Make(MaskKind::kSemantic)->Plan(regions).quotas, ElementsAre(6, 58));
  MaskOptions options{.kind = MaskKind::kSemantic};
  options.rho = 1.0;
  EXPECT_THAT(Make(options)->Plan(regions).quotas, ElementsAre(8, 56));
  // 230 of 256 are more than rho leaves: the rest is shared over what is left.
  EXPECT_THAT(Make(MaskKind::kSemantic, 0.9)->Plan(regions).quotas, ElementsAre(8, 223));
}

TEST(SemanticFocalMaskTest, WhatCentralRegionsCannotHoldGoesOutsideAndThenBack) {
  // A central block of 4x4 = 16 patches in one region, everything else in another.
  const RegionMap regions = MakeRegionMap(Labels16(
      [](int row, int col) { return row >= 6 && row < 10 && col >= 6 && col < 10 ? 0 : 1; }));
  MaskOptions options{.kind = MaskKind::kSemanticFocal};
  options.central = Central::kTopK;
  options.top_k = 1;
  MaskPlan plan = Make(options)->Plan(regions);
  EXPECT_THAT(plan.central, ElementsAre(0));
  EXPECT_THAT(plan.quotas, ElementsAre(12, 52));  // rho keeps 4 of the 16

  options.gamma = 0.95;  // 244: both caps, 12 and 180, are short by 52; the central 4 go first
  plan = Make(options)->Plan(regions);
  EXPECT_THAT(plan.quotas, ElementsAre(16, 228));
}

TEST(SemanticFocalMaskTest, WithoutAPrefixThatHoldsTheShareAllRegionsAreCentral) {
  MaskOptions options{.kind = MaskKind::kSemanticFocal};
  options.gamma = 0.95;
  options.beta = 1.0;
  const MaskPlan plan = Make(options)->Plan(MakeRegionMap(Bands()));
  EXPECT_EQ(plan.central.size(), 8U);
  EXPECT_EQ(std::accumulate(plan.quotas.begin(), plan.quotas.end(), 0), NumMasked(256, 0.95));
}

// Method 2.2, row 12.
TEST(MaskStrategyTest, OneRegionFallsBackToTheRandomMask) {
  const RegionMap one = MakeRegionMap(Labels16([](int, int) { return 3; }));
  const PatchMask random = Make(MaskKind::kRandom)->Draw(one, Noise(4));
  for (const MaskKind kind : {MaskKind::kSemantic, MaskKind::kSemanticFocal}) {
    EXPECT_TRUE(Make(kind)->Plan(one).unstructured);
    EXPECT_EQ(Make(kind)->Draw(one, Noise(4)).masked, random.masked);
  }
}

TEST(MaskStrategyTest, RegionIdsWithoutPatchesGetNothingAndHaveNoPlace) {
  const RegionMap regions = MakeRegionMap(Labels16([](int row, int) { return row < 8 ? 1 : 4; }));
  EXPECT_THAT(CentralityOrder(regions), ElementsAre(1, 4));
  for (const MaskKind kind : {MaskKind::kSemantic, MaskKind::kSemanticFocal}) {
    for (const Shares shares : {Shares::kEqual, Shares::kProportional}) {
      MaskOptions options{.kind = kind};
      options.allocation = shares;
      const MaskPlan plan = Make(options)->Plan(regions);
      EXPECT_EQ(plan.quotas[0] + plan.quotas[2] + plan.quotas[3], 0);
      EXPECT_EQ(plan.quotas[1] + plan.quotas[4], 64);
    }
  }
}

// Chi-square of how often each patch of a group was masked in 10^4 draws, each of them
// masking the share `rate` of the group without replacement.
double ChiSquare(const std::vector<int>& counts, double rate) {
  constexpr double kDraws = 10'000;
  double sum = 0;
  for (const int count : counts) {
    const double excess = count - kDraws * rate;
    sum += excess * excess / (kDraws * rate * (1.0 - rate));
  }
  return sum * (static_cast<double>(counts.size()) - 1) / static_cast<double>(counts.size());
}

// Section 7, mask RNG: over 10^4 draws every patch of a region is masked equally often.
TEST(MaskStrategyTest, ChoosesUniformlyInsideARegion) {
  const RegionMap regions = MakeRegionMap(Bands());
  const auto strategy = Make(MaskKind::kSemanticFocal);
  const MaskPlan plan = strategy->Plan(regions);
  std::vector<std::vector<int>> counts(8, std::vector<int>(32, 0));
  for (int draw = 0; draw < 10'000; ++draw) {
    for (const int64_t id : strategy->Draw(regions, Noise(draw)).MaskedIds()) {
      ++counts[static_cast<size_t>(id / 32)][static_cast<size_t>(id % 32)];
    }
  }
  for (size_t region = 0; region < 8; ++region) {
    // 31 degrees of freedom: above 72.7 with probability 3e-5, over all eight 2.4e-4.
    EXPECT_LT(ChiSquare(counts[region], plan.quotas[region] / 32.0), 72.7) << region;
  }
}

TEST(MaskStrategyTest, TheRandomMaskIsUniformOverTheImage) {
  const RegionMap regions = MakeRegionMap(Bands());
  const auto strategy = Make(MaskKind::kRandom);
  std::vector<int> counts(256, 0);
  for (int draw = 0; draw < 10'000; ++draw) {
    for (const int64_t id : strategy->Draw(regions, Noise(draw)).MaskedIds()) {
      ++counts[static_cast<size_t>(id)];
    }
  }
  EXPECT_LT(ChiSquare(counts, 0.25), 340.0);  // 255 degrees of freedom: 3e-4
}

// Section 7, structure effect: the share of masked patches inside the lesion over 1,000
// draws, on synthetic lesions off the center.
TEST(MaskStrategyTest, FocalHidesMoreOfTheLesionThanSemanticAndRandom) {
  double random = 0, semantic = 0, focal = 0;
  constexpr int kImages = 50;
  constexpr int kDraws = 20;
  for (uint64_t index = 0; index < kImages; ++index) {
    const data::SyntheticKey key{.seed = 5, .index = index};
    const RegionMap regions = RegionsOf(data::SyntheticImage(key));
    const data::LesionMask truth = data::SyntheticMask(key);
    std::vector<uint16_t> pixels(truth.pixels.begin(), truth.pixels.end());
    const std::vector<int> lesion = MajorityLabels(pixels, 256, 256, 16)->labels;
    const auto size = std::count(lesion.begin(), lesion.end(), 255);
    const auto share = [&](MaskKind kind, int draw) {
      int hidden = 0;
      for (const int64_t id :
           Make(kind)
               ->Draw(regions, Noise(index * kDraws + static_cast<uint64_t>(draw)))
               .MaskedIds()) {
        hidden += lesion[static_cast<size_t>(id)] == 255 ? 1 : 0;
      }
      return static_cast<double>(hidden) / static_cast<double>(size) / (kImages * kDraws);
    };
    for (int draw = 0; draw < kDraws; ++draw) {
      random += share(MaskKind::kRandom, draw);
      semantic += share(MaskKind::kSemantic, draw);
      focal += share(MaskKind::kSemanticFocal, draw);
    }
  }
  RecordProperty("random_permille", static_cast<int>(std::lround(1000 * random)));
  RecordProperty("semantic_permille", static_cast<int>(std::lround(1000 * semantic)));
  RecordProperty("focal_permille", static_cast<int>(std::lround(1000 * focal)));
  EXPECT_NEAR(random, 0.25, 0.01);
  EXPECT_GT(focal, 1.5 * random);
  EXPECT_GT(focal, 1.2 * semantic);
}

}  // namespace
}  // namespace g2ll::mask
