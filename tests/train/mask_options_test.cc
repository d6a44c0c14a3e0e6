// From the keys of masks and superpixels to the options of the loader.
#include <gtest/gtest.h>

#include "proto/common/spec_defaults.h"
#include "worker/job/spec_options.h"

namespace g2ll::job {
namespace {

using v1::MaskSpec;
using v1::SlicSpec;

v1::PretrainSpec WithDefaults() {
  v1::JobSpec job;
  job.mutable_pretrain()->set_recipe(v1::PAPER);
  job.mutable_pretrain()->set_method(v1::PretrainSpec::G2LL);
  spec::ApplyDefaults(&job);
  return job.pretrain();
}

TEST(MaskOptionsOfASpecTest, TheRecipeOfThePaperHasTheDefaultsOfMethodSection2) {
  const v1::PretrainSpec spec = WithDefaults();
  const mask::MaskOptions options = MaskOf(spec.mask());
  EXPECT_EQ(options.kind, mask::MaskKind::kSemanticFocal);
  EXPECT_EQ(options.gamma, 0.25);
  EXPECT_EQ(options.beta, 0.7);
  EXPECT_EQ(options.regions, 8);
  EXPECT_EQ(options.rho, 0.75);
  EXPECT_EQ(options.rounding, mask::FocalRounding::kNearest);
  EXPECT_EQ(options.allocation, mask::Shares::kEqual);
  EXPECT_EQ(options.central, mask::Central::kPrefix);
  EXPECT_EQ(options.order, mask::CentralOrder::kDistance);
  EXPECT_EQ(options.center, mask::CenterOf::kImage);
  EXPECT_EQ(options.curriculum, mask::Curriculum::kConstant);
  EXPECT_FALSE(options.shared);

  const data::SlicOptions slic = SlicOf(spec.slic(), options.regions);
  EXPECT_EQ(slic.regions, 8);
  EXPECT_EQ(slic.mode, data::SlicMode::kSlico);
  EXPECT_EQ(slic.layout, data::SlicLayout::kHex);
  EXPECT_EQ(slic.iterations, 10);
  EXPECT_TRUE(slic.blur);
  EXPECT_EQ(slic.min_size_percent, 25);
  EXPECT_FALSE(slic.exact);
}

TEST(MaskOptionsOfASpecTest, EveryKeyReachesItsOption) {
  MaskSpec spec = WithDefaults().mask();
  spec.set_gamma(0.5);
  spec.set_beta(0.6);
  spec.set_regions(9);
  spec.set_rho(1.0);
  spec.set_allocation(MaskSpec::PROPORTIONAL);
  spec.set_top_k(3);
  spec.set_order(MaskSpec::SALIENCY);
  spec.set_center(MaskSpec::VIEW);
  spec.set_curriculum(MaskSpec::INTRA_TO_INTER);
  spec.set_shared(true);
  spec.set_attention_share(0.25);
  spec.set_attention_hint(0.125);
  const mask::MaskOptions options = MaskOf(spec);
  EXPECT_EQ(options.gamma, 0.5);
  EXPECT_EQ(options.beta, 0.6);
  EXPECT_EQ(options.regions, 9);
  EXPECT_EQ(options.rho, 1.0);
  EXPECT_EQ(options.allocation, mask::Shares::kProportional);
  EXPECT_EQ(options.top_k, 3);
  EXPECT_EQ(options.order, mask::CentralOrder::kSaliency);
  EXPECT_EQ(options.center, mask::CenterOf::kView);
  EXPECT_EQ(options.curriculum, mask::Curriculum::kIntraToInter);
  EXPECT_TRUE(options.shared);
  EXPECT_EQ(options.attention_share, 0.25);
  EXPECT_EQ(options.attention_hint, 0.125);
}

TEST(MaskOptionsOfASpecTest, EveryNameIsTheChoiceOfThatName) {
  MaskSpec spec;
  const auto kind = [&](MaskSpec::Strategy strategy) {
    spec.set_strategy(strategy);
    return MaskOf(spec).kind;
  };
  EXPECT_EQ(kind(MaskSpec::RANDOM), mask::MaskKind::kRandom);
  EXPECT_EQ(kind(MaskSpec::SEMANTIC), mask::MaskKind::kSemantic);
  EXPECT_EQ(kind(MaskSpec::SEMANTIC_FOCAL), mask::MaskKind::kSemanticFocal);
  EXPECT_EQ(kind(MaskSpec::BLOCK), mask::MaskKind::kBlock);
  EXPECT_EQ(kind(MaskSpec::ATTMASK), mask::MaskKind::kAttention);
  const auto central = [&](MaskSpec::Central rule) {
    spec.set_central(rule);
    return MaskOf(spec).central;
  };
  EXPECT_EQ(central(MaskSpec::PREFIX), mask::Central::kPrefix);
  EXPECT_EQ(central(MaskSpec::NO_BORDER), mask::Central::kNoBorder);
  EXPECT_EQ(central(MaskSpec::WINDOW), mask::Central::kWindow);
  EXPECT_EQ(central(MaskSpec::TOP_K), mask::Central::kTopK);
  const auto rounding = [&](MaskSpec::Rounding value) {
    spec.set_rounding(value);
    return MaskOf(spec).rounding;
  };
  EXPECT_EQ(rounding(MaskSpec::NEAREST), mask::FocalRounding::kNearest);
  EXPECT_EQ(rounding(MaskSpec::FLOOR), mask::FocalRounding::kFloor);
  EXPECT_EQ(rounding(MaskSpec::CEIL), mask::FocalRounding::kCeil);
}

TEST(SlicOptionsOfASpecTest, EveryKeyReachesItsOption) {
  SlicSpec spec;
  spec.set_mode(SlicSpec::SLIC);
  spec.set_layout(SlicSpec::GRID);
  spec.set_iterations(4);
  spec.set_compactness(20);
  spec.set_blur(false);
  spec.set_min_size_percent(30);
  spec.set_exact(true);
  const data::SlicOptions options = SlicOf(spec, 12);
  EXPECT_EQ(options.regions, 12);
  EXPECT_EQ(options.mode, data::SlicMode::kSlic);
  EXPECT_EQ(options.layout, data::SlicLayout::kGrid);
  EXPECT_EQ(options.iterations, 4);
  EXPECT_EQ(options.compactness, 20);
  EXPECT_FALSE(options.blur);
  EXPECT_EQ(options.min_size_percent, 30);
  EXPECT_TRUE(options.exact);
}

}  // namespace
}  // namespace g2ll::job
