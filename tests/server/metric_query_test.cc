#include "server/api/metric_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"

namespace g2ll::api {
namespace {

// Makes rows when they are read, so that there can be any number of them.
class MadeUpReader final : public store::TelemetryReader {
 public:
  explicit MadeUpReader(std::vector<cluster::MetricRecord> points) : points_(std::move(points)) {}
  // `count` points of `names` metrics in turn.
  MadeUpReader(int64_t count, int64_t names) : count_(count), names_(names) {}

  absl::StatusOr<std::vector<cluster::MetricRecord>> ReadMetrics(const std::string&,
                                                                 int64_t from_seq,
                                                                 int64_t limit) override {
    ++reads_;
    std::vector<cluster::MetricRecord> page;
    for (const cluster::MetricRecord& point : points_) {
      if (point.seq >= from_seq && static_cast<int64_t>(page.size()) < limit) {
        page.push_back(point);
      }
    }
    for (int64_t seq = from_seq; seq <= count_ && static_cast<int64_t>(page.size()) < limit;
         ++seq) {
      cluster::MetricRecord& point = page.emplace_back();
      point.seq = seq;
      point.attempt = 1;
      point.step = seq / names_;
      point.name = absl::StrCat("m", seq % names_);
      point.value = static_cast<double>(seq % 1000);
    }
    return page;
  }
  absl::StatusOr<std::vector<cluster::LogRecord>> ReadLogs(const std::string&, int64_t,
                                                           int64_t) override {
    return std::vector<cluster::LogRecord>();
  }
  absl::StatusOr<std::vector<cluster::EventRecord>> ReadEvents(const std::string&,
                                                               int64_t) override {
    return std::vector<cluster::EventRecord>();
  }

  int64_t reads() const { return reads_; }

 private:
  const std::vector<cluster::MetricRecord> points_;
  const int64_t count_ = 0;
  const int64_t names_ = 1;
  int64_t reads_ = 0;
};

cluster::MetricRecord Point(int64_t seq, int32_t attempt, int64_t step, const std::string& name) {
  cluster::MetricRecord point;
  point.seq = seq;
  point.attempt = attempt;
  point.step = step;
  point.name = name;
  return point;
}

v1::QueryMetricsResponse RunQuery(const v1::QueryMetricsRequest& request,
                                  const cluster::JobRecord& job, store::TelemetryReader& reader) {
  MetricQuery query(request, job);
  while (!query.Advance(reader, 1).value()) {
  }
  return query.Result();
}

std::vector<int64_t> Numbers(const v1::MetricSeries& series) {
  std::vector<int64_t> numbers;
  for (const v1::MetricPoint& point : series.points()) {
    numbers.push_back(point.seq());
  }
  return numbers;
}

// Two attempts; the second went back to step 2.
class TwoAttempts : public ::testing::Test {
 protected:
  TwoAttempts() {
    job_.uid = "u";
    job_.metrics = {{"loss", 0}, {"lr", 0}};
    job_.attempts = {{.number = 1}, {.number = 2, .resume_step = 2}};
    job_.last_metric_seq = 7;
  }

  cluster::JobRecord job_;
  MadeUpReader reader_{{Point(1, 1, 1, "loss"), Point(2, 1, 2, "loss"), Point(3, 1, 3, "loss"),
                        Point(4, 2, 2, "rollback"), Point(5, 2, 3, "loss"), Point(6, 2, 3, "lr"),
                        Point(7, 2, 4, "loss"), Point(8, 2, 5, "loss")}};
  v1::QueryMetricsRequest request_;
};

TEST_F(TwoAttempts, PointsBehindARollBackAreLeftOut) {
  const v1::QueryMetricsResponse response = RunQuery(request_, job_, reader_);

  ASSERT_EQ(response.series_size(), 3);
  EXPECT_EQ(response.series(0).name(), "loss");
  EXPECT_THAT(Numbers(response.series(0)), ::testing::ElementsAre(1, 2, 5, 7));
  EXPECT_EQ(response.series(0).total_points(), 4);
  EXPECT_EQ(response.series(1).name(), "lr");
  EXPECT_EQ(response.series(2).name(), "rollback");
}

TEST_F(TwoAttempts, SupersededPointsComeWithTheirFlagWhereAskedFor) {
  request_.set_include_superseded(true);
  request_.add_names("loss");

  const v1::QueryMetricsResponse response = RunQuery(request_, job_, reader_);

  ASSERT_EQ(response.series_size(), 1);
  EXPECT_THAT(Numbers(response.series(0)), ::testing::ElementsAre(1, 2, 3, 5, 7));
  EXPECT_FALSE(response.series(0).points(1).superseded());
  EXPECT_TRUE(response.series(0).points(2).superseded());
}

TEST_F(TwoAttempts, ARangeOfStepsIsInclusive) {
  request_.set_min_step(2);
  request_.set_max_step(3);
  request_.add_names("loss");

  EXPECT_THAT(Numbers(RunQuery(request_, job_, reader_).series(0)), ::testing::ElementsAre(2, 5));
}

TEST(MetricQueryTest, BadRequestsSayWhatIsAllowed) {
  const auto reason = [](int32_t points, int64_t first, int64_t last) {
    v1::QueryMetricsRequest request;
    request.set_max_points(points);
    request.set_min_step(first);
    request.set_max_step(last);
    return net::ReasonOf(MetricQuery::Check(request));
  };

  EXPECT_EQ(reason(3, 0, 0), "BAD_MAX_POINTS");
  EXPECT_EQ(reason(10001, 0, 0), "BAD_MAX_POINTS");
  EXPECT_EQ(reason(-1, 0, 0), "BAD_MAX_POINTS");
  EXPECT_EQ(reason(0, 5, 4), "BAD_RANGE");
  EXPECT_EQ(reason(0, -1, 0), "BAD_RANGE");
  EXPECT_EQ(reason(4, 5, 0), "");
  EXPECT_EQ(reason(10000, 5, 5), "");
}

TEST(MetricQueryTest, ManyCurvesOfManyPointsFitIntoOneMessage) {
  constexpr int64_t kPoints = 1000000;
  MadeUpReader reader(kPoints, /*names=*/256);
  cluster::JobRecord job;
  job.last_metric_seq = kPoints;
  for (int i = 0; i < 256; ++i) {
    job.metrics[absl::StrCat("m", i)] = 0;
  }
  v1::QueryMetricsRequest request;
  request.set_max_points(10000);

  const v1::QueryMetricsResponse response = RunQuery(request, job, reader);

  EXPECT_EQ(response.series_size(), 256);
  EXPECT_LT(response.ByteSizeLong(), size_t{4} << 20);
  EXPECT_EQ(response.series(0).total_points(), kPoints / 256);
  // Every row was read once.
  EXPECT_EQ(reader.reads(), kPoints / MetricQuery::kPageRows);
}

TEST(MetricQueryTest, RowsThatAreNoLongerKeptAreLeftOut) {
  MadeUpReader reader({Point(50, 1, 50, "loss")});
  cluster::JobRecord job;
  job.last_metric_seq = 60;
  job.metrics["loss"] = 0;

  EXPECT_THAT(Numbers(RunQuery({}, job, reader).series(0)), ::testing::ElementsAre(50));
}

}  // namespace
}  // namespace g2ll::api
