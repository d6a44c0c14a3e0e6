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

#include "tests/data/test_files.h"
#include "worker/data/slic.h"
#include "worker/mask/allocator.h"
#include "worker/random/rng.h"

namespace g2ll::mask {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<double> Noise(uint64_t sample, size_t count = 256) {
  random::Rng rng({.seed = 9, .sample = sample, .purpose = random::Purpose::kMask});
  std::vector<double> noise(count);
  for (double& value : noise) value = rng.Uniform();
  return noise;
}

PatchLabels Labels16(const std::function<int(int row, int col)>& label) {
  PatchLabels labels;
  labels.grid = {16, 16};
  for (int patch = 0; patch < 256; ++patch) labels.labels.push_back(label(patch / 16, patch % 16));
  return labels;
}

// Eight bands of 32 patches.
PatchLabels Bands() {
  return Labels16([](int row, int) { return row / 2; });
}

PatchLabels LabelsOf(const data::Image& image) {
  const data::LabelMap pixels = data::SlicRegions(image, {});
  return *MajorityLabels(pixels.labels, pixels.height, pixels.width, 16);
}

std::unique_ptr<MaskStrategy> Make(MaskKind kind, double gamma = 0.25) {
  MaskOptions options;
  options.kind = kind;
  options.gamma = gamma;
  return *MakeMaskStrategy(options, 256);
}

int CountIn(const PatchMask& mask, const PatchLabels& labels, int region) {
  int count = 0;
  for (size_t patch = 0; patch < mask.masked.size(); ++patch) {
    count += mask.masked[patch] && labels.labels[patch] == region ? 1 : 0;
  }
  return count;
}

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

    const Allocation allocation = Allocate(total, caps);

    const int given = std::accumulate(allocation.quotas.begin(), allocation.quotas.end(), 0);
    EXPECT_EQ(given + allocation.remainder, total);
    for (size_t i = 0; i < caps.size(); ++i) {
      EXPECT_GE(allocation.quotas[i], 0);
      EXPECT_LE(allocation.quotas[i], caps[i]);
    }
    if (allocation.remainder > 0) {
      EXPECT_EQ(allocation.quotas, caps);
    }
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
  const RegionMap regions =
      MakeRegionMap(LabelsOf(data::test::PlainImage(256, 256, 120, 120, 120)));
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
  const RegionMap regions = MakeRegionMap(LabelsOf(data::test::TwoToneDisc(256, 60)));
  EXPECT_THAT(RegionSizes(regions.patches), ElementsAre(39, 28, 39, 22, 22, 39, 39, 28));

  const MaskPlan plan = Make(MaskKind::kSemanticFocal)->Plan(regions);

  EXPECT_THAT(plan.central, ElementsAre(3, 4, 1));
  EXPECT_THAT(plan.quotas, ElementsAre(4, 15, 4, 15, 15, 4, 4, 3));
}

TEST(MaskStrategyTest, EveryStrategyMasksExactlyTheBudgetWhateverTheRegions) {
  random::Rng rng({.seed = 7});
  for (int round = 0; round < 200; ++round) {
    const int num_regions = 1 + static_cast<int>(rng.Below(round % 2 == 0 ? 12 : 256));
    const RegionMap regions =
        MakeRegionMap(Labels16([&](int, int) { return static_cast<int>(rng.Below(num_regions)); }));
    for (const double gamma : {0.0, 0.25, 0.6, 0.75, 1.0}) {
      for (const MaskKind kind :
           {MaskKind::kRandom, MaskKind::kSemantic, MaskKind::kSemanticFocal}) {
        const PatchMask mask = Make(kind, gamma)->Draw(regions, Noise(round));
        EXPECT_EQ(mask.MaskedIds().size(), static_cast<size_t>(NumMasked(256, gamma)));
        EXPECT_EQ(mask.MaskedIds().size() + mask.VisibleIds().size(), 256U);
      }
    }
  }
}

// Over 10^4 draws every patch of a region is masked equally often.
TEST(MaskStrategyTest, ChoosesUniformlyInsideARegion) {
  const RegionMap regions = MakeRegionMap(Bands());
  const auto strategy = Make(MaskKind::kSemantic);
  std::vector<int> counts(256, 0);
  constexpr int kDraws = 10'000;
  for (int draw = 0; draw < kDraws; ++draw) {
    for (const int64_t id : strategy->Draw(regions, Noise(draw)).MaskedIds()) {
      ++counts[static_cast<size_t>(id)];
    }
  }
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - 2500.0) * (count - 2500.0) / 2500.0;
  // 248 degrees of freedom, each of variance below the multinomial's: 320 is a
  // thousandth's tail even without that.
  EXPECT_LT(chi_square, 320.0);
}

// The point of the focal mask: on lesions near the middle it hides more of the lesion.
TEST(MaskStrategyTest, FocalHidesMoreOfACentralLesionThanTheOthers) {
  const data::Image image = data::test::TwoToneDisc(256, 50);
  const RegionMap regions = MakeRegionMap(LabelsOf(image));
  const auto lesion_share = [&](MaskKind kind) {
    int hits = 0;
    for (int draw = 0; draw < 300; ++draw) {
      for (const int64_t id : Make(kind)->Draw(regions, Noise(draw)).MaskedIds()) {
        const double dy = static_cast<double>(id / 16) - 7.5;
        const double dx = static_cast<double>(id % 16) - 7.5;
        hits += dy * dy + dx * dx < 9.0 ? 1 : 0;
      }
    }
    return hits;
  };
  EXPECT_GT(lesion_share(MaskKind::kSemanticFocal), lesion_share(MaskKind::kSemantic));
  EXPECT_GT(lesion_share(MaskKind::kSemanticFocal), lesion_share(MaskKind::kRandom));
}

}  // namespace
}  // namespace g2ll::mask
