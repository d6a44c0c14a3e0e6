#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proto/common/grpc_status.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptPhase;
using cluster::AttemptState;
using cluster::Desired;
using cluster::JobState;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ControlTest : public CoreTest {
 protected:
  coordinator::JobRequest Asked(const std::string& name, const std::string& reason = "") {
    return {.name = "projects/default/jobs/" + name, .reason = reason};
  }
  absl::Status Pause(const std::string& name) {
    const absl::Status status = core_->PauseJob(Asked(name, "lunch"), now_).status();
    Flush();
    return status;
  }
  absl::Status Resume(const std::string& name) {
    const absl::Status status = core_->ResumeJob(Asked(name), now_).status();
    Flush();
    return status;
  }
};

TEST_F(ControlTest, APausedJobStopsAtACheckpointAndGoesOnFromIt) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");

  ASSERT_TRUE(Pause("a").ok());

  EXPECT_EQ(StateOf("a"), JobState::kPausing);
  EXPECT_EQ(Job("a")->desired, Desired::kPause);
  const cluster::AttemptRecord& attempt = Job("a")->attempts.back();
  EXPECT_EQ(attempt.state, AttemptState::kRunning);
  EXPECT_EQ(attempt.stop_deadline, now_ + Job("a")->grace);
  EXPECT_THAT(attempt.stop_reason, HasSubstr("lunch"));
  ASSERT_TRUE(Commit(MakeCommit("a", 7)).ok());
  Reach(worker, AttemptPhase::kEnded);
  EXPECT_EQ(StateOf("a"), JobState::kPaused);
  EXPECT_THAT(worker.session->desired().attempts, IsEmpty());
  Pass(absl::Minutes(10));
  EXPECT_EQ(StateOf("a"), JobState::kPaused);

  Report(worker);
  ASSERT_TRUE(Resume("a").ok());

  EXPECT_EQ(StateOf("a"), JobState::kStarting);
  EXPECT_EQ(Job("a")->desired, Desired::kRun);
  EXPECT_EQ(Job("a")->attempts.back().resume_step, 7);
  EXPECT_EQ(Job("a")->used_retries + Job("a")->used_infra_retries, 0);
}

TEST_F(ControlTest, AWaitingJobIsPausedAtOnce) {
  Create(MakeCommand("a"));

  ASSERT_TRUE(Pause("a").ok());

  EXPECT_EQ(StateOf("a"), JobState::kPaused);
  ASSERT_TRUE(Pause("a").ok());
  ASSERT_TRUE(Resume("a").ok());
  EXPECT_EQ(StateOf("a"), JobState::kPending);
}

TEST_F(ControlTest, AWishOutlivesTheCoordinator) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  ASSERT_TRUE(Pause("a").ok());

  StartCore();
  Reconnect(worker);
  Report(worker);

  EXPECT_EQ(StateOf("a"), JobState::kPausing);
  Reach(worker, AttemptPhase::kEnded);
  EXPECT_EQ(StateOf("a"), JobState::kPaused);
}

TEST_F(ControlTest, WhatTheStateForbidsIsRefusedWithItsReason) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  ASSERT_TRUE(Pause("a").ok());
  EXPECT_EQ(net::ReasonOf(Resume("a")), "NOT_PAUSED");
  EXPECT_EQ(net::ReasonOf(core_->RequeueJob(Asked("a"), "", now_).status()), "STOPPING");

  ASSERT_TRUE(core_->CancelJob(Asked("a"), false, now_).ok());
  Flush();
  EXPECT_EQ(net::ReasonOf(Pause("a")), "STOPPING");
  EXPECT_EQ(net::ReasonOf(Resume("a")), "STOPPING");

  Reach(worker, AttemptPhase::kEnded);
  EXPECT_EQ(StateOf("a"), JobState::kCancelled);
  const absl::Status ended = Pause("a");
  EXPECT_EQ(net::ReasonOf(ended), "ALREADY_TERMINAL");
  EXPECT_EQ(net::MetadataOf(ended).at("state"), "CANCELLED");
  EXPECT_EQ(net::ReasonOf(core_->RequeueJob(Asked("a"), "", now_).status()), "ALREADY_TERMINAL");
}

TEST_F(ControlTest, KillGoesBeyondCancel) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  ASSERT_TRUE(core_->CancelJob(Asked("a"), false, now_).ok());
  Flush();
  EXPECT_FALSE(Job("a")->attempts.back().kill);

  ASSERT_TRUE(core_->CancelJob(Asked("a"), true, now_).ok());
  Flush();

  EXPECT_TRUE(Job("a")->attempts.back().kill);
  EXPECT_EQ(StateOf("a"), JobState::kCancelling);
  EXPECT_EQ(Job("a")->desired, Desired::kCancel);
}

TEST_F(ControlTest, RequeueingPlacesTheGangAnewAndARetryDoesNotDoItTwice) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");

  ASSERT_TRUE(core_->RequeueJob(Asked("a", "bad node"), "r1", now_).ok());
  Flush();
  EXPECT_EQ(StateOf("a"), JobState::kPreempting);
  Reach(worker, AttemptPhase::kEnded);

  EXPECT_EQ(StateOf("a"), JobState::kStarting);
  EXPECT_EQ(Job("a")->attempts.size(), 2u);
  ASSERT_TRUE(core_->RequeueJob(Asked("a", "bad node"), "r1", now_).ok());
  Flush();
  EXPECT_EQ(StateOf("a"), JobState::kStarting);
  Create(MakeCommand("b"));
  Report(worker);
  EXPECT_EQ(net::ReasonOf(core_->RequeueJob(Asked("b"), "r1", now_).status()), "REQUEST_ID_REUSED");
}

TEST_F(ControlTest, AnOldEtagChangesNothing) {
  Create(MakeCommand("a"));
  coordinator::JobRequest asked = Asked("a");
  asked.etag = absl::StrCat(Job("a")->revision + 1);

  const absl::Status refused = core_->PauseJob(asked, now_).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(net::ReasonOf(refused), "ETAG_MISMATCH");
  EXPECT_EQ(net::ReasonOf(core_->DeleteJob(asked)), "ETAG_MISMATCH");
  asked.etag = absl::StrCat(Job("a")->revision);
  EXPECT_TRUE(core_->PauseJob(asked, now_).ok());
}

TEST_F(ControlTest, SettingsChangeAndAreStored) {
  Create(MakeCommand("a"));
  const auto raise = [](cluster::JobRecord& job) {
    job.priority = cluster::Priority::kHigh;
    job.labels = {{"study", "two"}};
    return absl::OkStatus();
  };

  const auto dry = core_->UpdateJob(Asked("a"), raise, true, now_);
  Flush();
  ASSERT_TRUE(dry.ok());
  EXPECT_EQ((*dry)->priority, cluster::Priority::kHigh);
  EXPECT_EQ(Job("a")->priority, cluster::Priority::kNormal);
  ASSERT_TRUE(core_->UpdateJob(Asked("a"), raise, false, now_).ok());
  Flush();
  StartCore();

  EXPECT_EQ(Job("a")->priority, cluster::Priority::kHigh);
  EXPECT_EQ(Job("a")->labels.at("study"), "two");
}

TEST_F(ControlTest, AJobKeepsItsQueueOnceItIsPlacedAndTheQueueMustExist) {
  Create(MakeCommand("waiting"));
  const auto move = [](cluster::JobRecord& job) {
    job.queue = "night";
    return absl::OkStatus();
  };
  EXPECT_EQ(net::ReasonOf(core_->UpdateJob(Asked("waiting"), move, false, now_).status()),
            "QUEUE_NOT_FOUND");
  ASSERT_TRUE(core_->CancelJob(Asked("waiting"), false, now_).ok());
  Flush();
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  EXPECT_EQ(net::ReasonOf(core_->UpdateJob(Asked("a"), move, false, now_).status()),
            "IMMUTABLE_IN_STATE");
}

TEST_F(ControlTest, ADamagedCheckpointIsPassedOverAndARepairedOneCountsAgain) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  const std::string older = Commit(MakeCommit("a", 3))->id;
  const std::string newer = Commit(MakeCommit("a", 7))->id;

  ASSERT_TRUE(
      core_->MarkCheckpoint(newer, cluster::CheckpointState::kDamaged, "a byte", now_).ok());
  Flush();

  EXPECT_EQ(Job("a")->latest_checkpoint, older);
  EXPECT_EQ(Job("a")->latest_checkpoint_step, 3);
  StartCore();
  EXPECT_EQ(core_->GetCheckpoint(newer)->state, cluster::CheckpointState::kDamaged);
  EXPECT_EQ(Job("a")->latest_checkpoint, older);
  ASSERT_TRUE(core_->MarkCheckpoint(newer, cluster::CheckpointState::kCommitted, "", now_).ok());
  Flush();
  EXPECT_EQ(Job("a")->latest_checkpoint, newer);
}

TEST_F(ControlTest, APinIsStored) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  const std::string id = Commit(MakeCommit("a", 3))->id;
  ASSERT_TRUE(core_->PinCheckpoint(id, true, now_).ok());
  Flush();
  StartCore();
  EXPECT_TRUE(core_->GetCheckpoint(id)->pinned);
  EXPECT_EQ(net::ReasonOf(core_->PinCheckpoint("none", true, now_).status()),
            "CHECKPOINT_NOT_FOUND");
}

}  // namespace
}  // namespace g2ll::testing
