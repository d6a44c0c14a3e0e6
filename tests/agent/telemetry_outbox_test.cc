#include "worker/agent/telemetry_outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace g2ll::agent {
namespace {

const AttemptKey kAttempt{"uid", 3};

v1::TelemetryItem Line(const std::string& text) {
  v1::TelemetryItem item;
  item.mutable_log()->set_message(text);
  return item;
}

v1::TelemetryAck Ack(int rank, int64_t seq) {
  v1::TelemetryAck ack;
  ack.set_job_uid(kAttempt.job_uid);
  ack.set_epoch(kAttempt.epoch);
  ack.set_rank(rank);
  ack.set_local_seq(seq);
  return ack;
}

std::vector<int64_t> Seqs(const v1::PushTelemetryRequest& batch) {
  std::vector<int64_t> seqs;
  for (const auto& item : batch.items()) seqs.push_back(item.local_seq());
  return seqs;
}

TEST(TelemetryOutboxTest, NumbersEachRankFromOneInOrder) {
  TelemetryOutbox outbox;
  outbox.Open(kAttempt);
  outbox.Append(kAttempt, 0, Line("a"));
  outbox.Append(kAttempt, 0, Line("b"));
  outbox.AppendNow(kAttempt, kAgentRank, Line("agent"));

  const auto agent = outbox.TakeBatch({});
  const auto rank = outbox.TakeBatch({});

  EXPECT_EQ(agent->rank(), kAgentRank);
  EXPECT_THAT(Seqs(*agent), testing::ElementsAre(1));
  EXPECT_EQ(rank->rank(), 0);
  EXPECT_THAT(Seqs(*rank), testing::ElementsAre(1, 2));
  EXPECT_EQ(rank->items(1).log().message(), "b");
}

TEST(TelemetryOutboxTest, NewConnectionGetsOnlyWhatIsNotAcknowledged) {
  TelemetryOutbox outbox;
  outbox.Open(kAttempt);
  for (const char* text : {"a", "b", "c"}) outbox.Append(kAttempt, 0, Line(text));
  ASSERT_THAT(Seqs(*outbox.TakeBatch({})), testing::ElementsAre(1, 2, 3));
  outbox.OnAck(Ack(0, 1));

  outbox.Rewind();
  outbox.Append(kAttempt, 0, Line("d"));

  EXPECT_THAT(Seqs(*outbox.TakeBatch({})), testing::ElementsAre(2, 3, 4));
  EXPECT_EQ(outbox.stats().acked_items, 1);
  EXPECT_EQ(outbox.stats().pending_items, 3);
}

TEST(TelemetryOutboxTest, RepeatedAndUnknownAcknowledgementsHaveNoEffect) {
  TelemetryOutbox outbox;
  outbox.Open(kAttempt);
  outbox.Append(kAttempt, 0, Line("a"));
  outbox.OnAck(Ack(0, 1));

  outbox.OnAck(Ack(0, 1));
  outbox.OnAck(Ack(7, 5));
  outbox.Append(kAttempt, 0, Line("b"));

  EXPECT_THAT(Seqs(*outbox.TakeBatch({})), testing::ElementsAre(2));
  EXPECT_EQ(outbox.stats().acked_items, 1);
}

TEST(TelemetryOutboxTest, BatchesAreBoundedAndRanksTakeTurns) {
  TelemetryOutbox outbox({.max_batch_items = 2});
  outbox.Open(kAttempt);
  for (int i = 0; i < 3; ++i) outbox.Append(kAttempt, 0, Line("zero"));
  outbox.Append(kAttempt, 1, Line("one"));

  std::vector<int> ranks;
  for (int i = 0; i < 3; ++i) ranks.push_back(outbox.TakeBatch({})->rank());

  EXPECT_THAT(ranks, testing::ElementsAre(0, 1, 0));
}

// Nothing is dropped at the bound: the caller waits until there is room.
TEST(TelemetryOutboxTest, FullRankMakesTheCallerWait) {
  TelemetryOutbox outbox({.max_pending_bytes = 1});
  outbox.Open(kAttempt);
  outbox.Append(kAttempt, 0, Line("a"));
  std::jthread reader([&] { EXPECT_TRUE(outbox.Append(kAttempt, 0, Line("b"))); });

  EXPECT_THAT(Seqs(*outbox.TakeBatch({})), testing::ElementsAre(1));
  outbox.OnAck(Ack(0, 1));

  EXPECT_THAT(Seqs(*outbox.TakeBatch({})), testing::ElementsAre(2));
}

TEST(TelemetryOutboxTest, ForgettingAnAttemptEndsEveryWait) {
  TelemetryOutbox outbox({.max_pending_bytes = 1});
  outbox.Open(kAttempt);
  outbox.Append(kAttempt, 0, Line("a"));
  std::jthread writer([&] { EXPECT_FALSE(outbox.Append(kAttempt, 0, Line("b"))); });
  std::jthread waiter([&] {
    EXPECT_EQ(outbox.WaitAcked(kAttempt, {{0, 1}}, {}).code(), absl::StatusCode::kNotFound);
  });

  outbox.Forget(kAttempt);
}

TEST(TelemetryOutboxTest, WaitAckedNeedsEveryRankUpToItsMark) {
  TelemetryOutbox outbox;
  outbox.Open(kAttempt);
  outbox.Append(kAttempt, 0, Line("a"));
  outbox.Append(kAttempt, 1, Line("b"));
  const TelemetryMarks marks = outbox.Marks(kAttempt);
  outbox.Append(kAttempt, 0, Line("later"));
  std::stop_source stop;
  stop.request_stop();

  outbox.OnAck(Ack(0, 1));
  const absl::Status early = outbox.WaitAcked(kAttempt, marks, stop.get_token());
  outbox.OnAck(Ack(1, 1));
  const absl::Status complete = outbox.WaitAcked(kAttempt, marks, stop.get_token());

  EXPECT_EQ(early.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(complete.ok());
}

TEST(TelemetryOutboxTest, StopEndsTheWaitForABatch) {
  TelemetryOutbox outbox;
  std::stop_source stop;
  std::jthread sender([&] { EXPECT_FALSE(outbox.TakeBatch(stop.get_token()).has_value()); });

  stop.request_stop();
}

}  // namespace
}  // namespace g2ll::agent
