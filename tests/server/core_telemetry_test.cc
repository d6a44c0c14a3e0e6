#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "proto/common/grpc_status.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptPhase;
using cluster::FailureClass;

class TelemetryTest : public CoreTest {
 protected:
  void SetUp() override {
    CoreTest::SetUp();
    worker_ = Connect("w1");
    RunJob(worker_, "a");
  }

  // Points `first` to `last` of rank 0, step = local number.
  int64_t Push(int64_t first, int64_t last, int64_t epoch = 1, int32_t rank = 0) {
    cluster::TelemetryBatch batch;
    batch.key = {Job("a")->uid, epoch, rank};
    for (int64_t seq = first; seq <= last; ++seq) {
      cluster::MetricRecord point;
      point.name = "loss";
      point.value = static_cast<double>(seq);
      point.step = seq;
      cluster::TelemetryItem& item = batch.items.emplace_back();
      item.local_seq = seq;
      item.value = point;
    }
    const int64_t stored = core_->PushTelemetry(batch, now_);
    Flush();
    return stored;
  }

  std::vector<cluster::MetricRecord> Stored() {
    const auto reader = store::OpenSqliteReader(directory_.path()).value();
    return reader->ReadMetrics(Job("a")->uid, 1, 100000).value();
  }

  // Breaks the attempt and lets the job start again.
  void Restart() {
    cluster::FailureRecord failure;
    failure.failure_class = FailureClass::kKilled;
    worker_.report.attempts[0].failure = failure;
    worker_.report.attempts[0].phase = AttemptPhase::kEnded;
    Report(worker_);
    ASSERT_EQ(Job("a")->attempts.size(), 2u);
  }

  static bool AllReached(const std::map<int32_t, int64_t>& acked, int32_t first_rank,
                         int64_t last) {
    for (int32_t rank = first_rank; rank < first_rank + 3; ++rank) {
      if (!acked.contains(rank) || acked.at(rank) < last) {
        return false;
      }
    }
    return true;
  }

  FakeWorker worker_;
};

TEST_F(TelemetryTest, RepeatedAndOverlappingBatchesAreStoredOnceWithoutGaps) {
  EXPECT_EQ(Push(1, 5), 5);
  EXPECT_EQ(Push(1, 5), 5);
  EXPECT_EQ(Push(3, 9), 9);
  EXPECT_EQ(Push(1, 4, 1, /*rank=*/1), 4);
  EXPECT_EQ(Push(12, 14), 9);  // 10 and 11 are missing: nothing behind them is taken.
  EXPECT_EQ(Push(10, 14), 14);

  const auto stored = Stored();

  ASSERT_EQ(stored.size(), 18u);
  for (size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(stored[i].seq, static_cast<int64_t>(i) + 1);
  }
}

TEST_F(TelemetryTest, AnyOrderOfBatchesStoresEveryItemOnceAndInOrder) {
  constexpr int64_t kItems = 60;
  for (uint32_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&](int64_t end) { return static_cast<int64_t>(random() % end); };
    const size_t before = Stored().size();
    // Three reporters that nothing else uses.
    const int32_t first_rank = 10 + static_cast<int32_t>(seed) * 3;
    std::map<int32_t, int64_t> acked;
    for (int step = 0; step < 200 || !AllReached(acked, first_rank, kItems); ++step) {
      const auto rank = static_cast<int32_t>(first_rank + below(3));
      // Mostly what comes next, but also what was sent before, and what lies too far ahead.
      const int64_t first = std::max<int64_t>(1, acked[rank] + 1 + below(9) - 6);
      const int64_t last = std::min(kItems, first + below(12));
      if (first > last) {
        continue;
      }
      const int64_t stored = Push(first, last, 1, rank);
      ASSERT_GE(stored, acked[rank]);  // An acknowledgement never goes back.
      ASSERT_LE(stored, std::max(acked[rank], last));
      acked[rank] = stored;
      if (below(50) == 0) {
        StartCore();  // The coordinator was killed and came back.
        Reconnect(worker_);
      }
    }

    const std::vector<cluster::MetricRecord> stored = Stored();
    ASSERT_EQ(stored.size(), before + 3 * kItems);
    std::map<double, int> seen;
    for (size_t i = before; i < stored.size(); ++i) {
      EXPECT_EQ(stored[i].seq, static_cast<int64_t>(i) + 1);
      ++seen[stored[i].value];
    }
    for (const auto& [value, times] : seen) {
      EXPECT_EQ(times, 3) << value;
    }
  }
}

TEST_F(TelemetryTest, AJobThatMakesUpNamesKeepsTheFirstOnes) {
  options_.max_metric_series = 2;
  StartCore();
  Reconnect(worker_);
  cluster::TelemetryBatch batch;
  batch.key = {Job("a")->uid, 1, 0};
  for (const char* name : {"loss", "lr", "extra", "loss", "more"}) {
    cluster::MetricRecord point;
    point.name = name;
    cluster::TelemetryItem& item = batch.items.emplace_back();
    item.local_seq = static_cast<int64_t>(batch.items.size());
    item.value = point;
  }

  EXPECT_EQ(core_->PushTelemetry(batch, now_), 5);
  Flush();

  std::vector<std::string> names;
  for (const cluster::MetricRecord& point : Stored()) {
    names.push_back(point.name);
  }
  EXPECT_THAT(names, ::testing::ElementsAre("loss", "lr", "loss"));
  EXPECT_THAT(metrics_.Serialize(), ::testing::HasSubstr("{limit=\"metric_series\"} 2"));
  int told = 0;
  const auto events =
      store::OpenSqliteReader(directory_.path()).value()->ReadEvents(Job("a")->uid, 100);
  for (const cluster::EventRecord& event : *events) {
    if (event.type == "METRIC_SERIES_LIMIT") {
      ++told;
      EXPECT_THAT(event.message, ::testing::HasSubstr("'extra'"));
    }
  }
  EXPECT_EQ(told, 1);
}

TEST_F(TelemetryTest, ARestartedCoordinatorStillKnowsWhatIsStored) {
  Push(1, 5);
  StartCore();

  EXPECT_EQ(Push(1, 7), 7);

  EXPECT_EQ(Stored().size(), 7u);
  EXPECT_EQ(Job("a")->metrics.at("loss"), 7);
}

TEST_F(TelemetryTest, TelemetryOfAJobThatIsGoneIsAcknowledged) {
  cluster::TelemetryBatch batch;
  batch.key = {"no-such-job", 1, 0};
  batch.items.emplace_back().local_seq = 5;

  EXPECT_EQ(core_->PushTelemetry(batch, now_), 5);
}

TEST_F(TelemetryTest, AnEarlyAndALateFollowerReadTheSame) {
  std::vector<int64_t> early;
  const std::string uid = Job("a")->uid;
  for (int64_t i = 0; i < 20; ++i) {
    Push(i * 10 + 1, i * 10 + 10);
    const int64_t from = early.empty() ? 1 : early.back() + 1;
    const auto page = hub_->ReadMetrics(uid, from, 1000);
    for (const cluster::MetricRecord& point : page->rows) {
      early.push_back(point.seq);
    }
  }

  std::vector<int64_t> late;
  const std::vector<cluster::MetricRecord> stored = Stored();
  for (const cluster::MetricRecord& point : stored) {
    late.push_back(point.seq);
  }

  EXPECT_EQ(early, late);
  EXPECT_EQ(hub_->Standing(uid)->last_metric_seq, 200);
}

TEST_F(TelemetryTest, OldRowsLeaveTheTailButNotTheStore) {
  telemetry::TelemetryHub hub(/*tail_capacity=*/4);
  for (int64_t seq = 1; seq <= 10; ++seq) {
    hub.PublishMetrics("u", {{seq, 1, seq, 0, "loss", 0, now_}});
  }

  EXPECT_FALSE(hub.ReadMetrics("u", 6, 10).has_value());
  EXPECT_EQ(hub.ReadMetrics("u", 7, 10)->rows.size(), 4u);
  EXPECT_TRUE(hub.ReadMetrics("u", 11, 10)->rows.empty());
  EXPECT_TRUE(hub.ReadMetrics("u", 99, 10)->rows.empty());
}

TEST_F(TelemetryTest, ARestartThatGoesBackIsAPointOfItsOwn) {
  Push(1, 5);
  Commit(MakeCommit("a", 3)).value();

  Restart();

  const auto stored = Stored();
  ASSERT_EQ(stored.size(), 6u);
  EXPECT_EQ(stored[5].name, "rollback");
  EXPECT_EQ(stored[5].value, 3);
  EXPECT_EQ(stored[5].attempt, 2);
}

TEST_F(TelemetryTest, NonFiniteValuesAreKept) {
  cluster::TelemetryBatch batch;
  batch.key = {Job("a")->uid, 1, 0};
  cluster::MetricRecord point;
  point.name = "loss";
  point.epoch = std::numeric_limits<double>::quiet_NaN();
  point.value = -std::numeric_limits<double>::infinity();
  cluster::TelemetryItem& item = batch.items.emplace_back();
  item.local_seq = 1;
  item.value = point;

  EXPECT_EQ(core_->PushTelemetry(batch, now_), 1);
  Flush();

  EXPECT_EQ(Stored()[0].value, -std::numeric_limits<double>::infinity());
}

TEST_F(TelemetryTest, AnOldEpochMayNotCommit) {
  const coordinator::CommitCheckpointCommand zombie = MakeCommit("a", 5);
  Restart();

  const absl::Status refused = Commit(zombie).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(net::ReasonOf(refused), "STALE_EPOCH");
  EXPECT_TRUE(Job("a")->latest_checkpoint.empty());
}

TEST_F(TelemetryTest, StepsOnlyGrowAndTheSameDirectoryIsTheSameCheckpoint) {
  const std::string id = Commit(MakeCommit("a", 5))->id;

  EXPECT_EQ(Commit(MakeCommit("a", 5))->id, id);
  EXPECT_EQ(net::ReasonOf(Commit(MakeCommit("a", 4)).status()), "NOT_MONOTONIC");
  EXPECT_TRUE(Commit(MakeCommit("a", 6)).ok());
  EXPECT_EQ(core_->ListCheckpoints("projects/default/jobs/a")->size(), 2u);
}

TEST_F(TelemetryTest, ACheckpointOutsideItsFolderIsRefused) {
  coordinator::CommitCheckpointCommand command = MakeCommit("a", 5);
  command.checkpoint.path = "checkpoints/other/e1/s5";

  EXPECT_EQ(net::ReasonOf(Commit(command).status()), "INVALID_CHECKPOINT");
}

TEST_F(TelemetryTest, OnlyOneCheckpointIsTheBest) {
  for (const int64_t step : {1, 2}) {
    coordinator::CommitCheckpointCommand command = MakeCommit("a", step);
    command.checkpoint.best = true;
    Commit(command).value();
  }

  const auto checkpoints = core_->ListCheckpoints("projects/default/jobs/a").value();

  EXPECT_TRUE(checkpoints[0].best);
  EXPECT_FALSE(checkpoints[1].best);
}

}  // namespace
}  // namespace g2ll::testing
