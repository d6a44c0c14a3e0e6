#include "worker/schedule/schedule.h"

#include <gtest/gtest.h>

namespace g2ll::schedule {
namespace {

constexpr int64_t kStepsPerEpoch = 197;
constexpr int64_t kTotal = 300 * kStepsPerEpoch;

TEST(CosineWithWarmup, MatchesTheOracles) {
  const CosineWithWarmup rate{1.5e-4, 0, 40 * kStepsPerEpoch, kTotal};
  EXPECT_EQ(rate.At(0), 0);
  EXPECT_NEAR(rate.At(20 * kStepsPerEpoch), 7.5e-5, 1e-12);
  EXPECT_NEAR(rate.At(40 * kStepsPerEpoch), 1.5e-4, 1e-12);
  EXPECT_NEAR(rate.At(170 * kStepsPerEpoch), 7.5e-5, 1e-12);
  EXPECT_NEAR(rate.At(235 * kStepsPerEpoch), 2.1967e-5, 1e-9);
  EXPECT_NEAR(rate.At(kTotal - 1), 1.4e-13, 1e-14);
  EXPECT_NEAR(rate.At(kTotal + 5), 0, 1e-18);
}

TEST(CosineWithWarmup, WorksWithoutWarmupAndWithAFloor) {
  const CosineWithWarmup rate{3e-4, 1e-6, 0, 100};
  EXPECT_NEAR(rate.At(0), 3e-4, 1e-15);
  EXPECT_NEAR(rate.At(50), (3e-4 + 1e-6) / 2, 1e-15);
  EXPECT_NEAR(rate.At(100), 1e-6, 1e-15);
  EXPECT_EQ((CosineWithWarmup{1, 0, 10, 10}.At(10)), 0);
}

TEST(CosineBetween, MatchesTheOraclesOfTheTeacherAndTheDecay) {
  const CosineBetween momentum{.996, 1, kTotal};
  EXPECT_DOUBLE_EQ(momentum.At(0), .996);
  EXPECT_NEAR(momentum.At(kTotal / 2), .998, 1e-12);
  EXPECT_NEAR(1 - momentum.At(kTotal - 1), 2.8e-12, 1e-13);
  const CosineBetween decay{.04, .4, kTotal};
  EXPECT_DOUBLE_EQ(decay.At(0), .04);
  EXPECT_NEAR(decay.At(kTotal / 2), .22, 1e-12);
  EXPECT_NEAR(decay.At(kTotal), .4, 1e-12);
}

TEST(TeacherTemperature, WarmsUpInEqualStepsPerEpoch) {
  const TeacherTemperature temperature{.04, .07, 30};
  EXPECT_DOUBLE_EQ(temperature.At(0), .04);
  EXPECT_NEAR(temperature.At(1), .0410345, 1e-7);
  EXPECT_DOUBLE_EQ(temperature.At(29), .07);
  EXPECT_DOUBLE_EQ(temperature.At(200), .07);
  EXPECT_DOUBLE_EQ((TeacherTemperature{.04, .04, 0}.At(0)), .04);
  EXPECT_DOUBLE_EQ((TeacherTemperature{.04, .07, 1}.At(0)), .07);
}

}  // namespace
}  // namespace g2ll::schedule
