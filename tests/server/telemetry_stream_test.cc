// Metrics and logs of a job, as followers of every kind see them.
#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/api_fixture.h"

namespace g2ll::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int64_t> UpTo(int64_t last) {
  std::vector<int64_t> numbers;
  for (int64_t seq = 1; seq <= last; ++seq) {
    numbers.push_back(seq);
  }
  return numbers;
}

class TelemetryStreamTest : public ApiTest {
 protected:
  // One stream of metrics and what came of it.
  struct Follower {
    grpc::ClientContext call;
    std::unique_ptr<grpc::ClientReader<v1::StreamMetricsResponse>> reader;
    std::vector<int64_t> numbers;
    std::vector<std::pair<int64_t, int64_t>> gaps;
    std::string end;

    bool ReadOne() {
      v1::StreamMetricsResponse response;
      if (!reader->Read(&response)) {
        return false;
      }
      for (const v1::MetricPoint& point : response.batch().points()) {
        numbers.push_back(point.seq());
      }
      if (response.has_gap()) {
        gaps.emplace_back(response.gap().first_seq(), response.gap().last_seq());
      }
      end = response.end().state();
      return true;
    }
    absl::Status ReadAll() {
      while (ReadOne()) {
      }
      return net::FromGrpcStatus(reader->Finish());
    }
  };
  std::unique_ptr<Follower> Open(v1::StreamMetricsRequest request) {
    auto follower = std::make_unique<Follower>();
    request.set_job(kJob);
    follower->reader = telemetry_->StreamMetrics(&follower->call, request);
    return follower;
  }
  std::unique_ptr<Follower> Follow(int64_t from_seq = 0) {
    v1::StreamMetricsRequest request;
    request.set_follow(true);
    request.set_from_seq(from_seq);
    return Open(request);
  }

  // Sends one batch of items and returns the acknowledged number.
  int64_t Push(const v1::PushTelemetryRequest& batch) {
    grpc::ClientContext call;
    auto stream = workers_->PushTelemetry(&call);
    EXPECT_TRUE(stream->Write(batch));
    v1::TelemetryAck ack;
    EXPECT_TRUE(stream->Read(&ack));
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
    return ack.local_seq();
  }
};

TEST_F(TelemetryStreamTest, SlowStoppedAndVanishedFollowersGetOrCostNothingOfOthers) {
  constexpr int64_t kPoints = 30000;
  const v1::Job job = StartJob();
  const auto stopped = Follow();
  const auto slow = Follow();
  Follow()->call.TryCancel();  // Gone before it has read anything.
  std::vector<std::unique_ptr<Follower>> followers;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    followers.push_back(Follow());
    threads.emplace_back(
        [follower = followers.back().get()] { EXPECT_TRUE(follower->ReadAll().ok()); });
  }
  for (int64_t first = 1; first <= kPoints; first += 500) {
    PushPoints(job.uid(), first, first + 499);
    if (first == 10001) {
      ASSERT_TRUE(slow->ReadOne());
      Follow()->call.TryCancel();
    }
  }
  EndJob();
  threads.clear();

  for (const auto& follower : followers) {
    EXPECT_EQ(follower->numbers, UpTo(kPoints));
    EXPECT_EQ(follower->end, "CANCELLED");
  }
  EXPECT_TRUE(slow->ReadAll().ok());
  EXPECT_EQ(slow->numbers, UpTo(kPoints));
  // Those who are late read from the store; nobody keeps rows for them.
  EXPECT_FALSE(absl::StrContains(metrics_.Serialize(),
                                 "g2ll_stream_disk_reads_total{kind=\"metrics\"} 0\n"));
  stopped->call.TryCancel();
  EXPECT_TRUE(absl::IsCancelled(stopped->ReadAll()));
}

TEST_F(TelemetryStreamTest, AFollowerThatComesBackGoesOnWhereItWas) {
  const v1::Job job = StartJob();
  const auto first = Follow();
  PushPoints(job.uid(), 1, 100);
  while (first->numbers.size() < 100) {
    ASSERT_TRUE(first->ReadOne());
  }
  streams_->Sweep(absl::Now() + limits_.max_age);
  const absl::Status end = first->ReadAll();
  EXPECT_EQ(net::ReasonOf(end), "STREAM_TOO_OLD");
  PushPoints(job.uid(), 101, 200);

  const auto second = Follow(std::stoll(net::MetadataOf(end)["nextSeq"]));
  EndJob();
  EXPECT_TRUE(second->ReadAll().ok());

  std::vector<int64_t> all = first->numbers;
  all.insert(all.end(), second->numbers.begin(), second->numbers.end());
  EXPECT_EQ(all, UpTo(200));
}

TEST_F(TelemetryStreamTest, NamesAttemptAndFirstNumberLeaveOthersOut) {
  const v1::Job job = StartJob();
  v1::PushTelemetryRequest batch;
  batch.set_job_uid(job.uid());
  batch.set_epoch(1);
  for (int64_t seq = 1; seq <= 6; ++seq) {
    v1::TelemetryItem* item = batch.add_items();
    item->set_local_seq(seq);
    item->mutable_metric()->set_name(seq % 2 == 0 ? "lr" : "loss");
  }
  EXPECT_EQ(Push(batch), 6);
  const auto read = [this](const std::vector<std::string>& names, int64_t from, int32_t attempt) {
    v1::StreamMetricsRequest request;
    *request.mutable_names() = {names.begin(), names.end()};
    request.set_from_seq(from);
    request.set_attempt(attempt);
    const auto follower = Open(request);
    EXPECT_TRUE(follower->ReadAll().ok());
    EXPECT_EQ(follower->end, "RUNNING");
    return follower->numbers;
  };

  EXPECT_THAT(read({"loss"}, 0, 0), ElementsAre(1, 3, 5));
  EXPECT_THAT(read({"loss", "lr"}, 3, 1), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(read({}, 6, 0), ElementsAre(6));
  EXPECT_THAT(read({}, 7, 0), ElementsAre());
  EXPECT_THAT(read({}, -5, 0).size(), 6u);
  EXPECT_THAT(read({}, 0, 2), ElementsAre());
  EXPECT_THAT(read({"val/dice"}, 0, 0), ElementsAre());
}

TEST_F(TelemetryStreamTest, StoppingTellsEveryFollowerWhereToGoOn) {
  const v1::Job job = StartJob();
  const auto follower = Follow();
  PushPoints(job.uid(), 1, 50);

  server_->Shutdown(absl::Seconds(5));

  const absl::Status end = follower->ReadAll();
  EXPECT_TRUE(absl::IsUnavailable(end));
  EXPECT_EQ(net::ReasonOf(end), "STOPPING");
  EXPECT_EQ(net::MetadataOf(end)["nextSeq"], absl::StrCat(follower->numbers.size() + 1));
}

TEST_F(TelemetryStreamTest, ALongLineIsCutAndCounted) {
  const v1::Job job = StartJob();
  v1::PushTelemetryRequest batch;
  batch.set_job_uid(job.uid());
  batch.set_epoch(1);
  v1::TelemetryItem* item = batch.add_items();
  item->set_local_seq(1);
  item->mutable_log()->set_message(std::string(20000, 'x'));
  EXPECT_EQ(Push(batch), 1);

  grpc::ClientContext call;
  v1::StreamLogsRequest request;
  request.set_job(kJob);
  auto stream = telemetry_->StreamLogs(&call, request);
  v1::StreamLogsResponse response;
  ASSERT_TRUE(stream->Read(&response));

  EXPECT_EQ(response.batch().lines(0).message(), std::string(16384, 'x'));
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("{limit=\"log_line_bytes\"} 1"));
  while (stream->Read(&response)) {
  }
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TelemetryStreamTest, CurvesAreThinned) {
  const v1::Job job = StartJob();
  PushPoints(job.uid(), 1, 1000);
  grpc::ClientContext call;
  v1::QueryMetricsRequest request;
  request.set_job(kJob);
  request.set_max_points(100);
  v1::QueryMetricsResponse response;

  ASSERT_TRUE(telemetry_->QueryMetrics(&call, request, &response).ok());

  ASSERT_EQ(response.series_size(), 1);
  EXPECT_EQ(response.series(0).total_points(), 1000);
  EXPECT_LE(response.series(0).points_size(), 100);
  EXPECT_EQ(response.series(0).points(0).seq(), 1);
  EXPECT_EQ(response.series(0).points().rbegin()->seq(), 1000);
}

// A store that has removed old rows, and a few in the middle.
class TrimmedReader final : public store::TelemetryReader {
 public:
  TrimmedReader(std::unique_ptr<store::TelemetryReader> reader,
                std::function<bool(int64_t)> is_kept)
      : reader_(std::move(reader)), is_kept_(std::move(is_kept)) {}

  absl::StatusOr<std::vector<cluster::MetricRecord>> ReadMetrics(const std::string& job_uid,
                                                                 int64_t from_seq,
                                                                 int64_t limit) override {
    auto rows = reader_->ReadMetrics(job_uid, from_seq, 1000000);
    std::erase_if(*rows, [&](const auto& row) { return !is_kept_(row.seq); });
    rows->resize(std::min<size_t>(rows->size(), static_cast<size_t>(limit)));
    return rows;
  }
  absl::StatusOr<std::vector<cluster::LogRecord>> ReadLogs(const std::string& job_uid,
                                                           int64_t from_seq,
                                                           int64_t limit) override {
    return reader_->ReadLogs(job_uid, from_seq, limit);
  }
  absl::StatusOr<std::vector<cluster::EventRecord>> ReadEvents(const std::string& job_uid,
                                                               int64_t limit) override {
    return reader_->ReadEvents(job_uid, limit);
  }

 private:
  const std::unique_ptr<store::TelemetryReader> reader_;
  const std::function<bool(int64_t)> is_kept_;
};

class TrimmedTest : public TelemetryStreamTest {
 protected:
  std::unique_ptr<store::TelemetryReader> Wrap(
      std::unique_ptr<store::TelemetryReader> reader) override {
    return std::make_unique<TrimmedReader>(std::move(reader),
                                           [this](int64_t seq) { return is_kept_(seq); });
  }

  std::function<bool(int64_t)> is_kept_ = [](int64_t) { return true; };
};

TEST_F(TrimmedTest, RowsThatAreNoLongerKeptAreOneGap) {
  is_kept_ = [](int64_t seq) { return seq > 120 && (seq < 200 || seq > 210); };
  const v1::Job job = StartJob();
  PushPoints(job.uid(), 1, 300);
  EndJob();

  const auto follower = Follow();
  EXPECT_TRUE(follower->ReadAll().ok());

  EXPECT_THAT(follower->gaps, ElementsAre(std::pair(1, 120), std::pair(200, 210)));
  EXPECT_EQ(follower->numbers.size(), 300u - 120 - 11);
  EXPECT_EQ(follower->numbers.front(), 121);
  EXPECT_EQ(follower->end, "CANCELLED");
}

TEST_F(TrimmedTest, AJobWithoutAnyRowLeftIsAllGap) {
  is_kept_ = [](int64_t) { return false; };
  const v1::Job job = StartJob();
  PushPoints(job.uid(), 1, 30);
  EndJob();

  const auto follower = Follow(/*from_seq=*/11);
  EXPECT_TRUE(follower->ReadAll().ok());

  EXPECT_THAT(follower->gaps, ElementsAre(std::pair(11, 30)));
  EXPECT_THAT(follower->numbers, ElementsAre());
}

class RateTest : public TelemetryStreamTest {
 protected:
  void SetUp() override {
    limits_.points_per_second = 200;
    TelemetryStreamTest::SetUp();
  }
};

TEST_F(RateTest, AWorkerThatReportsTooMuchIsSlowedAndLosesNothing) {
  const v1::Job job = StartJob();
  grpc::ClientContext call;
  auto stream = workers_->PushTelemetry(&call);
  for (int64_t first = 1; first <= 300; first += 50) {
    v1::PushTelemetryRequest batch;
    batch.set_job_uid(job.uid());
    batch.set_epoch(1);
    for (int64_t seq = first; seq < first + 50; ++seq) {
      v1::TelemetryItem* item = batch.add_items();
      item->set_local_seq(seq);
      item->mutable_metric()->set_name("loss");
    }
    ASSERT_TRUE(stream->Write(batch));
  }
  v1::TelemetryAck ack;
  while (ack.local_seq() < 300) {
    ASSERT_TRUE(stream->Read(&ack));
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());

  EXPECT_FALSE(absl::StrContains(metrics_.Serialize(), "{limit=\"points_per_second\"} 0\n"));
  EXPECT_EQ(FollowMetrics(/*follow=*/false).first, UpTo(300));
}

TEST_F(RateTest, AWorkerMayGoWhileItsAcknowledgementWaits) {
  const v1::Job job = StartJob();
  const int64_t before = streams_->count();
  grpc::ClientContext call;
  auto stream = workers_->PushTelemetry(&call);
  v1::PushTelemetryRequest batch;
  batch.set_job_uid(job.uid());
  batch.set_epoch(1);
  for (int64_t seq = 1; seq <= 1000; ++seq) {
    v1::TelemetryItem* item = batch.add_items();
    item->set_local_seq(seq);
    item->mutable_metric()->set_name("loss");
  }
  ASSERT_TRUE(stream->Write(batch));
  while (FollowMetrics(/*follow=*/false).first.size() < 1000) {
  }

  call.TryCancel();
  stream->Finish();

  EXPECT_TRUE(streams_->WaitForAtMost(before, absl::Seconds(2)));
}

}  // namespace
}  // namespace g2ll::api
