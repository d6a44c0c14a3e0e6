#include "server/telemetry/down_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <vector>

namespace g2ll::telemetry {
namespace {

using cluster::MetricRecord;

MetricRecord Point(int64_t seq, double value) {
  MetricRecord point;
  point.seq = seq;
  point.step = seq;
  point.name = "loss";
  point.value = value;
  return point;
}

std::vector<int64_t> Numbers(const std::vector<MetricRecord>& points) {
  std::vector<int64_t> numbers;
  for (const MetricRecord& point : points) {
    numbers.push_back(point.seq);
  }
  return numbers;
}

TEST(DownSamplerTest, FewPointsAreAllKept) {
  DownSampler sampler(4);
  for (const int64_t seq : {1, 2, 3, 4}) {
    sampler.Add(seq, Point(seq, 0));
  }

  EXPECT_THAT(Numbers(sampler.Result()), ::testing::ElementsAre(1, 2, 3, 4));
}

TEST(DownSamplerTest, AStretchKeepsFirstLowestHighestAndLast) {
  DownSampler sampler(4);
  const std::vector<double> values = {5, 6, 1, 7, 9, 2, 4};
  for (size_t i = 0; i < values.size(); ++i) {
    sampler.Add(static_cast<int64_t>(i), Point(static_cast<int64_t>(i) + 1, values[i]));
  }

  EXPECT_THAT(Numbers(sampler.Result()), ::testing::ElementsAre(1, 3, 5, 7));
  EXPECT_EQ(sampler.total(), 7);
}

TEST(DownSamplerTest, NanIsNoExtremeButCanBeTheEnd) {
  DownSampler sampler(4);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> values = {1, nan, 3, 2, 0, nan};
  for (size_t i = 0; i < values.size(); ++i) {
    sampler.Add(static_cast<int64_t>(i), Point(static_cast<int64_t>(i) + 1, values[i]));
  }

  EXPECT_THAT(Numbers(sampler.Result()), ::testing::ElementsAre(1, 3, 5, 6));
}

// What a slow program that sees all points at once would keep.
std::vector<int64_t> Expected(const std::vector<MetricRecord>& points, int64_t most) {
  if (static_cast<int64_t>(points.size()) <= most) {
    return Numbers(points);
  }
  int64_t length = 1;
  const auto count = [&] {
    std::set<int64_t> stretches;
    for (const MetricRecord& point : points) {
      stretches.insert(point.step / length);
    }
    return static_cast<int64_t>(stretches.size());
  };
  while (count() > most / 4) {
    length *= 2;
  }
  std::map<int64_t, std::vector<MetricRecord>> stretches;
  for (const MetricRecord& point : points) {
    stretches[point.step / length].push_back(point);
  }
  std::vector<int64_t> kept;
  for (const auto& [index, stretch] : stretches) {
    const auto lower = [](const auto& a, const auto& b) { return a.value < b.value; };
    const auto higher = [](const auto& a, const auto& b) { return a.value > b.value; };
    const std::set<int64_t> numbers = {
        stretch.front().seq, stretch.back().seq,
        std::min_element(stretch.begin(), stretch.end(), lower)->seq,
        std::min_element(stretch.begin(), stretch.end(), higher)->seq};
    kept.insert(kept.end(), numbers.begin(), numbers.end());
  }
  return kept;
}

TEST(DownSamplerTest, RandomCurvesAreThinnedAsBySeeingAllPointsInAnyOrder) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const int64_t most = 4 + static_cast<int64_t>(random() % 60);
    std::vector<MetricRecord> points;
    int64_t step = static_cast<int64_t>(random() % 1000);
    for (int64_t seq = 1; seq <= static_cast<int64_t>(random() % 3000); ++seq) {
      step += static_cast<int64_t>(random() % 5);
      points.push_back(Point(seq, static_cast<double>(random() % 100)));
      points.back().step = step;
    }
    std::vector<MetricRecord> shuffled = points;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    DownSampler in_order(most);
    DownSampler out_of_order(most);
    for (size_t i = 0; i < points.size(); ++i) {
      in_order.Add(points[i].step, points[i]);
      out_of_order.Add(shuffled[i].step, shuffled[i]);
    }

    EXPECT_EQ(Numbers(in_order.Result()), Expected(points, most));
    EXPECT_EQ(Numbers(out_of_order.Result()), Expected(points, most));
    EXPECT_LE(static_cast<int64_t>(in_order.Result().size()), most);
  }
}

TEST(DownSamplerTest, PositionsFromAnywhereDoNotOverflow) {
  DownSampler sampler(4);
  for (const int64_t position : {std::numeric_limits<int64_t>::max(), int64_t{0}, int64_t{-5},
                                 int64_t{1} << 40, int64_t{7}}) {
    sampler.Add(position, Point(position % 100 + 200, 1));
  }

  EXPECT_LE(sampler.Result().size(), 4u);
}

}  // namespace
}  // namespace g2ll::telemetry
