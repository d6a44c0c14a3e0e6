#include "worker/metric/hausdorff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "worker/random/rng.h"

namespace g2ll::metric {
namespace {

// A mask that can be drawn on.
struct Mask {
  Mask(int height, int width)
      : height(height), width(width), pixels(static_cast<size_t>(height * width)) {}

  uint8_t& At(int y, int x) { return pixels[static_cast<size_t>(y * width + x)]; }
  bool IsLesion(int y, int x) const {
    return y >= 0 && x >= 0 && y < height && x < width &&
           pixels[static_cast<size_t>(y * width + x)] != 0;
  }
  void Fill(int top, int left, int size) {
    for (int y = top; y < top + size; ++y) {
      for (int x = left; x < left + size; ++x) At(y, x) = 255;
    }
  }

  int height, width;
  std::vector<uint8_t> pixels;
};

double Distance(const Mask& a, const Mask& b) {
  return Hausdorff95(a.pixels, b.pixels, a.height, a.width);
}

std::vector<std::pair<int, int>> Outline(const Mask& mask) {
  std::vector<std::pair<int, int>> outline;
  for (int y = 0; y < mask.height; ++y) {
    for (int x = 0; x < mask.width; ++x) {
      const bool is_inside = mask.IsLesion(y - 1, x) && mask.IsLesion(y + 1, x) &&
                             mask.IsLesion(y, x - 1) && mask.IsLesion(y, x + 1);
      if (mask.IsLesion(y, x) && !is_inside) outline.emplace_back(y, x);
    }
  }
  return outline;
}

// Every pixel of one outline against every pixel of the other.
double DistanceByEveryPair(const Mask& a, const Mask& b) {
  const auto outline_a = Outline(a);
  const auto outline_b = Outline(b);
  std::vector<double> distances;
  for (const auto& [from, to] :
       {std::pair(&outline_a, &outline_b), std::pair(&outline_b, &outline_a)}) {
    for (const auto& [y, x] : *from) {
      double nearest = std::numeric_limits<double>::infinity();
      for (const auto& [v, u] : *to) nearest = std::min(nearest, std::hypot(y - v, x - u));
      distances.push_back(nearest);
    }
  }
  std::sort(distances.begin(), distances.end());
  const double position = 0.95 * static_cast<double>(distances.size() - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, distances.size() - 1);
  return distances[below] +
         (position - static_cast<double>(below)) * (distances[above] - distances[below]);
}

TEST(HausdorffTest, TwoPixelsAreTheirDistanceApart) {
  Mask a(8, 9);
  Mask b(8, 9);
  a.At(1, 2) = 1;
  b.At(4, 6) = 255;

  EXPECT_DOUBLE_EQ(Distance(a, b), 5);
  EXPECT_DOUBLE_EQ(Distance(b, a), 5);
  EXPECT_EQ(Distance(a, a), 0);
}

TEST(HausdorffTest, TwoEmptyMasksAreNoDistanceApartAndOneHasNoDistance) {
  const Mask empty(4, 4);
  Mask lesion(4, 4);
  lesion.At(3, 3) = 1;

  EXPECT_EQ(Distance(empty, empty), 0);
  EXPECT_TRUE(std::isnan(Distance(empty, lesion)));
  EXPECT_TRUE(std::isnan(Distance(lesion, empty)));
}

// One stray pixel is far away, but it is less than a twentieth of the outline.
TEST(HausdorffTest, AStrayPixelDoesNotMoveThe95thPercentile) {
  Mask truth(100, 100);
  truth.Fill(10, 10, 30);
  Mask prediction = truth;
  prediction.At(99, 99) = 1;

  EXPECT_EQ(Distance(prediction, truth), 0);
}

TEST(HausdorffTest, ALesionShiftedByThreeIsThreeApart) {
  Mask truth(60, 60);
  truth.Fill(10, 10, 20);
  Mask prediction(60, 60);
  prediction.Fill(10, 13, 20);

  EXPECT_DOUBLE_EQ(Distance(prediction, truth), 3);
}

TEST(HausdorffTest, AgreesWithEveryPairOfOutlinePixels) {
  for (uint64_t trial = 0; trial < 40; ++trial) {
    random::Rng rng({.seed = trial});
    Mask a(17 + static_cast<int>(trial % 5), 23);
    Mask b(a.height, a.width);
    for (Mask* mask : {&a, &b}) {
      for (int blob = 0; blob < 3; ++blob) {
        mask->Fill(static_cast<int>(rng.Below(12)), static_cast<int>(rng.Below(17)),
                   1 + static_cast<int>(rng.Below(5)));
      }
    }
    EXPECT_NEAR(Distance(a, b), DistanceByEveryPair(a, b), 1e-12) << "trial " << trial;
  }
}

}  // namespace
}  // namespace g2ll::metric
