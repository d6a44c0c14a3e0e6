#include "worker/mask/attention_mask.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "worker/random/rng.h"

namespace g2ll::mask {
namespace {

using ::testing::ElementsAre;

const std::vector<float> kAttention = {.05F, .30F, .10F, .25F, .02F, .18F, .06F, .04F};
const std::vector<double> kNoise = {.5, .1, .9, .3, .7, .2, .8, .4};

TEST(AttentionMaskTest, MasksTheMostAttendedPatches) {
  EXPECT_THAT(AttentionMask(kAttention, kNoise, 3, 0.0).MaskedIds(), ElementsAre(1, 3, 5));
  EXPECT_THAT(AttentionMask(kAttention, kNoise, 0, 0.0).MaskedIds(), ElementsAre());
  EXPECT_EQ(AttentionMask(kAttention, kNoise, 8, 0.5).MaskedIds().size(), 8U);
}

TEST(AttentionMaskTest, HintsStayVisibleAndTheNextMostAttendedTakeTheirPlace) {
  // Of 1, 3, 5, 2 half stay visible: those with the most noise, 2 and 3; next are 6, 0.
  EXPECT_THAT(AttentionMask(kAttention, kNoise, 4, 0.5).MaskedIds(), ElementsAre(0, 1, 5, 6));
  // Six of eight masked leave room for two hints, whatever was asked.
  EXPECT_THAT(AttentionMask(kAttention, kNoise, 6, 1.0).VisibleIds(), ElementsAre(2, 6));
}

TEST(AttentionMaskTest, EqualAttentionGoesToTheLargerNoiseAndThenToTheHigherId) {
  const std::vector<float> flat(8, 0.125F);
  EXPECT_THAT(AttentionMask(flat, kNoise, 2, 0.0).MaskedIds(), ElementsAre(2, 6));
  EXPECT_THAT(AttentionMask(flat, std::vector<double>(8, .5), 2, 0.0).MaskedIds(),
              ElementsAre(6, 7));
}

TEST(AttentionMaskTest, AttentionThatIsNoNumberCountsAsNone) {
  std::vector<float> attention = kAttention;
  attention[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(AttentionMask(attention, kNoise, 3, 0.0).MaskedIds(), ElementsAre(2, 3, 5));
}

TEST(DrawAttentionMaskTest, DecidesForTheStatedShareFromTheKeyAlone) {
  MaskOptions options{.kind = MaskKind::kAttention, .gamma = 0.5};
  options.attention_share = 0.3;
  int decided = 0;
  for (uint64_t sample = 0; sample < 10'000; ++sample) {
    const random::Key key{.seed = 2, .epoch = 5, .sample = sample, .view = 1};
    const auto mask = DrawAttentionMask(kAttention, key, options);
    if (!mask) continue;
    ++decided;
    EXPECT_EQ(mask->masked, DrawAttentionMask(kAttention, key, options)->masked);
    EXPECT_THAT(mask->MaskedIds(), ElementsAre(1, 2, 3, 5));
  }
  EXPECT_NEAR(decided, 3000, 200);  // 4 deviations are 183
  options.attention_share = 0.0;
  EXPECT_FALSE(DrawAttentionMask(kAttention, {}, options));
  options.attention_share = 1.0;
  EXPECT_TRUE(DrawAttentionMask(kAttention, {}, options));
}

}  // namespace
}  // namespace g2ll::mask
