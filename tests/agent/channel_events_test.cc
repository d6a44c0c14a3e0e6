#include "worker/run/channel_events.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <stop_token>
#include <thread>

namespace g2ll::run {
namespace {

using trainer::v1::FromTrainer;
using trainer::v1::ToTrainer;

WrittenCheckpoint AtStep(int64_t step) {
  WrittenCheckpoint checkpoint;
  checkpoint.step = step;
  return checkpoint;
}

// The agent's end of a channel, driven by hand.
class ChannelEventsTest : public testing::Test {
 protected:
  ChannelEventsTest() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    agent_ = std::make_unique<FrameChannel>(UniqueFd(fds[0]));
    trainer_ = std::make_unique<FrameChannel>(UniqueFd(fds[1]));
  }

  FromTrainer Receive() {
    const auto frame = agent_->Read();
    EXPECT_TRUE(frame.ok()) << frame.status();
    FromTrainer message;
    EXPECT_TRUE(frame.ok() && message.ParseFromString(*frame));
    return message;
  }

  void Answer(const trainer::v1::CheckpointVerdict& verdict) {
    ToTrainer message;
    *message.mutable_checkpoint() = verdict;
    EXPECT_TRUE(agent_->Write(message.SerializeAsString()).ok());
  }

  std::unique_ptr<FrameChannel> agent_;
  std::unique_ptr<FrameChannel> trainer_;
  std::stop_source stop_;
};

TEST_F(ChannelEventsTest, WritesReportsInOrder) {
  {
    ChannelEvents events(*trainer_, stop_);
    events.OnJoined();
    events.OnMetric({.name = "loss", .value = 0.5, .step = 7, .epoch = 1.5});
    events.OnProgress(
        {.step = 7, .total_steps = 10, .epoch = 1.5, .images_per_second = 3, .eta_seconds = 1.25});
    events.OnReport("reports/x/e1");
    events.OnFailed(v1::Failure::DATA, "image a.jpg: cannot decode");
  }

  EXPECT_TRUE(Receive().has_joined());
  EXPECT_EQ(Receive().metric().name(), "loss");
  const auto progress = Receive().progress();
  EXPECT_EQ(progress.eta().seconds(), 1);
  EXPECT_EQ(progress.eta().nanos(), 250'000'000);
  EXPECT_EQ(Receive().report().path(), "reports/x/e1");
  EXPECT_EQ(Receive().failed().class_(), v1::Failure::DATA);
}

TEST_F(ChannelEventsTest, CheckpointWaitsForItsVerdict) {
  ChannelEvents events(*trainer_, stop_);
  std::jthread agent([&] {
    trainer::v1::CheckpointVerdict verdict;
    verdict.set_step(Receive().checkpoint().step());
    verdict.set_committed(true);
    Answer(verdict);
    verdict.set_step(Receive().checkpoint().step());
    verdict.set_committed(false);
    verdict.set_message("not monotonic");
    Answer(verdict);
    verdict.set_step(Receive().checkpoint().step());
    verdict.set_fenced(true);
    Answer(verdict);
  });

  EXPECT_TRUE(events.OnCheckpoint(AtStep(10)).ok());
  const absl::Status refused = events.OnCheckpoint(AtStep(20));
  const absl::Status fenced = events.OnCheckpoint(AtStep(30));

  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refused.message(), "not monotonic");
  EXPECT_EQ(fenced.code(), absl::StatusCode::kAborted);
}

TEST_F(ChannelEventsTest, StopMessageRequestsStopAndEndsTheWait) {
  ChannelEvents events(*trainer_, stop_);
  std::jthread agent([&] {
    Receive();
    ToTrainer message;
    message.mutable_stop();
    EXPECT_TRUE(agent_->Write(message.SerializeAsString()).ok());
  });

  EXPECT_EQ(events.OnCheckpoint(AtStep(10)).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(stop_.stop_requested());
}

TEST_F(ChannelEventsTest, LosingTheAgentRequestsStop) {
  ChannelEvents events(*trainer_, stop_);
  agent_.reset();

  EXPECT_EQ(events.OnCheckpoint(AtStep(10)).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(stop_.stop_requested());
}

TEST_F(ChannelEventsTest, AssignmentMustComeFirst) {
  ToTrainer stop;
  stop.mutable_stop();
  ASSERT_TRUE(agent_->Write(stop.SerializeAsString()).ok());
  ToTrainer assignment;
  assignment.mutable_assignment()->set_rank(3);
  ASSERT_TRUE(agent_->Write(assignment.SerializeAsString()).ok());

  EXPECT_EQ(ReadAssignment(*trainer_).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadAssignment(*trainer_)->rank(), 3);
}

}  // namespace
}  // namespace g2ll::run
