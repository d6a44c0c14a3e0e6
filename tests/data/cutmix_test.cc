#include "worker/data/cutmix.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "tests/data/loader_batches.h"
#include "tests/data/test_files.h"
#include "worker/data/loader.h"

namespace g2ll::data {
namespace {

random::Key KeyOf(uint64_t sample) { return {.seed = 5, .epoch = 2, .sample = sample}; }

TEST(CutMixTest, BoxesAndPartnersAreWithinTheirBounds) {
  const std::vector<int64_t> batch = {7, 3, 9, 4};
  int64_t num_mixed = 0;
  std::vector<int> chosen(10, 0);
  for (uint64_t epoch = 0; epoch < 2000; ++epoch) {
    const auto mix =
        DrawCutMix({.seed = 5, .epoch = epoch, .sample = 3}, 0.5, batch, /*height=*/64, 64);
    if (!mix) continue;
    ++num_mixed;
    EXPECT_NE(mix->partner, 3);
    ++chosen.at(static_cast<size_t>(mix->partner));
    const PixelBox& box = mix->box;
    EXPECT_GE(box.top, 0);
    EXPECT_GE(box.left, 0);
    EXPECT_LE(box.top + box.height, 64);
    EXPECT_LE(box.left + box.width, 64);
    const double share = box.height * box.width / 4096.0;
    EXPECT_GT(share, 0.015);
    EXPECT_LT(share, 0.43);
  }
  EXPECT_NEAR(static_cast<double>(num_mixed), 1000, 100);
  for (const int64_t other : {7, 9, 4}) EXPECT_GT(chosen.at(static_cast<size_t>(other)), 250);
}

TEST(CutMixTest, ABatchOfOneHasNoPartner) {
  EXPECT_FALSE(DrawCutMix(KeyOf(3), 1, {3}, 64, 64).has_value());
}

TEST(CutMixTest, PastesTheSamePlaceOfImageAndMask) {
  Image image = test::PlainImage(4, 4, 10, 10, 10);
  LesionMask mask{4, 4, std::vector<uint8_t>(16, 0)};
  const PixelBox box{1, 2, 2, 1};
  Paste(box, test::PlainImage(4, 4, 200, 100, 50), image);
  Paste(box, LesionMask{4, 4, std::vector<uint8_t>(16, 255)}, mask);
  for (size_t i = 0; i < 16; ++i) {
    const bool is_inside = i == 6 || i == 10;
    EXPECT_EQ(mask.pixels[i], is_inside ? 255 : 0) << i;
    EXPECT_EQ(image.pixels[3 * i], is_inside ? 200 : 10) << i;
    EXPECT_EQ(image.pixels[3 * i + 2], is_inside ? 50 : 10) << i;
  }
}

class CutMixLoaderTest : public ::testing::Test {
 protected:
  CutMixLoaderTest() {
    DatasetOptions options;
    options.source = "synthetic:dermoscopy?count=20&seed=3&size=64";
    options.needs_masks = true;
    set_ = *Dataset::Open(options);
    loading_.input = {64, 8};
    loading_.augmentation.emplace();
    loading_.cutmix = 1;
    loading_.seed = 11;
  }

  std::vector<SegmentationBatch> Batches(const ShardSampler& sampler, int64_t first, int count) {
    return test::BatchesOf<SegmentationLoader>(*set_, sampler, loading_, first, count);
  }

  std::unique_ptr<Dataset> set_;
  SegmentationLoaderOptions loading_;
};

TEST_F(CutMixLoaderTest, EveryImageIsItselfOrItsPartnerAtEachPixel) {
  const ShardSampler sampler({set_->size(), 6, 1, 0, 1});
  const SegmentationBatch mixed = Batches(sampler, 1, 1)[0];
  loading_.cutmix = 0;
  const SegmentationBatch plain = Batches(sampler, 1, 1)[0];
  for (int64_t row = 0; row < 6; ++row) {
    const torch::Tensor is_own = (mixed.images[row] == plain.images[row]).all(0);
    EXPECT_FALSE(is_own.all().item<bool>()) << row;
    // Some other row explains all the rest, picture and mask.
    bool is_explained = false;
    for (int64_t other = 0; other < 6; ++other) {
      const torch::Tensor is_other = (mixed.images[row] == plain.images[other]).all(0) &
                                     (mixed.masks[row][0] == plain.masks[other][0]);
      is_explained |= other != row && (is_own | is_other).all().item<bool>();
    }
    EXPECT_TRUE(is_explained) << row;
  }
}

TEST_F(CutMixLoaderTest, DoesNotDependOnRanksThreadsOrTheFirstStep) {
  const ShardSampler alone({set_->size(), 4, 1, 0, 1});
  const std::vector<SegmentationBatch> whole = Batches(alone, 0, 4);
  loading_.threads = 3;
  const SegmentationBatch resumed = Batches(alone, 3, 1)[0];
  EXPECT_TRUE(torch::equal(resumed.images, whole[3].images));
  EXPECT_TRUE(torch::equal(resumed.masks, whole[3].masks));
  for (const int rank : {0, 1}) {
    const SegmentationBatch share = Batches(ShardSampler({20, 4, 1, rank, 2}), 3, 1)[0];
    EXPECT_TRUE(torch::equal(share.images, whole[3].images.slice(0, 2 * rank, 2 * rank + 2)));
    EXPECT_TRUE(torch::equal(share.masks, whole[3].masks.slice(0, 2 * rank, 2 * rank + 2)));
  }
}

}  // namespace
}  // namespace g2ll::data
