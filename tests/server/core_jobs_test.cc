#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proto/common/grpc_status.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptPhase;
using cluster::JobState;
using ::testing::HasSubstr;

TEST_F(CoreTest, WithoutAWorkerAJobIsStoredAndSaysThatItsDataIsNotChecked) {
  const auto answer = Create(MakeCommand("a"));

  ASSERT_TRUE(answer.has_value() && answer->ok());
  EXPECT_EQ(StateOf("a"), JobState::kPending);
  EXPECT_EQ(Job("a")->reason.code, "DATA_NOT_CHECKED");
}

TEST_F(CoreTest, DataThatIsCheckedLaterAndBadFailsTheJob) {
  Create(MakeCommand("a"));
  FakeWorker worker = Connect("w1");
  Pass(absl::Seconds(1));

  Report(worker, /*data_ok=*/false);

  EXPECT_EQ(StateOf("a"), JobState::kFailed);
  EXPECT_EQ(Job("a")->reason.code, "DATASET_NOT_FOUND");
  EXPECT_THAT(Job("a")->reason.message, HasSubstr("no images"));
}

TEST_F(CoreTest, BadDataRefusesTheJobAndStoresNothing) {
  FakeWorker worker = Connect("w1");
  ASSERT_FALSE(Create(MakeCommand("a")).has_value());

  Report(worker, /*data_ok=*/false);

  ASSERT_TRUE(last_answer_->has_value());
  EXPECT_EQ(net::ReasonOf((*last_answer_)->status()), "DATASET_NOT_FOUND");
  EXPECT_EQ(core_->GetJob("projects/default/jobs/a").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CoreTest, ADataFaultNamesTheKeyThatTheWorkerNamesAndElseTheSource) {
  FakeWorker worker = Connect("w1");
  const auto fault_of = [&](const std::string& name, const std::string& message) {
    EXPECT_FALSE(Create(MakeCommand(name)).has_value());
    Report(worker, /*data_ok=*/false, message);
    return std::string((*last_answer_)->status().message());
  };

  EXPECT_EQ(fault_of("a", "data.fraction 0.1 leaves none of the 4 images"),
            "spec.data.fraction: 0.1 leaves none of the 4 images");
  EXPECT_EQ(fault_of("b", "data.classFile: data folder /x is not below a --data-root"),
            "spec.data.classFile: data folder /x is not below a --data-root");
  EXPECT_EQ(fault_of("c", "data folder /x does not exist"),
            "spec.data.source: data folder /x does not exist");
}

TEST_F(CoreTest, AWorkerThatDoesNotAnswerDoesNotHoldUpTheJob) {
  FakeWorker worker = Connect("w1");
  ASSERT_FALSE(Create(MakeCommand("a")).has_value());

  for (int i = 0; i < 21; ++i) {
    core_->ReportWorker(worker.report, worker.session_id, now_);
    Pass(absl::Seconds(1));
  }

  ASSERT_TRUE(last_answer_->has_value() && (*last_answer_)->ok());
  EXPECT_EQ(Job("a")->reason.code, "DATA_NOT_CHECKED");
}

TEST_F(CoreTest, TheSameRequestAgainIsTheSameJobAlsoAfterARestart) {
  coordinator::CreateJobCommand command = MakeCommand("a");
  command.request_id = "r1";
  command.fingerprint = "f1";
  const std::string uid = (**Create(command))->uid;

  StartCore();

  EXPECT_EQ((**Create(command))->uid, uid);
  command.fingerprint = "f2";
  EXPECT_EQ(net::ReasonOf(Create(command)->status()), "REQUEST_ID_REUSED");
}

TEST_F(CoreTest, ATakenNameIsTheSameJobForTheSameSpecOnly) {
  const std::string uid = (**Create(MakeCommand("a")))->uid;
  coordinator::CreateJobCommand other = MakeCommand("a");
  other.job.spec = std::make_shared<const std::string>("another spec");

  EXPECT_EQ((**Create(MakeCommand("a")))->uid, uid);
  const absl::Status taken = Create(other)->status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(net::ReasonOf(taken), "NAME_TAKEN");
}

TEST_F(CoreTest, ValidateOnlyStoresNothing) {
  coordinator::CreateJobCommand command = MakeCommand("a");
  command.validate_only = true;

  ASSERT_TRUE(Create(command)->ok());

  EXPECT_FALSE(core_->GetJob("projects/default/jobs/a").ok());
}

TEST_F(CoreTest, AnUnknownSourceIsRefusedByName) {
  coordinator::CreateJobCommand command = MakeCommand("b");
  command.job.source = "job/nobody";

  const absl::Status refused = Create(command)->status();

  EXPECT_EQ(net::ReasonOf(refused), "SOURCE_NOT_FOUND");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("nobody"));
}

// Jobs of one file are checked before any is stored, so the first is not there yet.
TEST_F(CoreTest, ValidateOnlyTellsOfBadDataBeforeAJobThatIsNotThere) {
  FakeWorker worker = Connect("w1");
  coordinator::CreateJobCommand command = MakeCommand("b");
  command.job.source = "job/a";
  command.validate_only = true;

  ASSERT_FALSE(Create(command).has_value());
  Report(worker, /*data_ok=*/false);
  EXPECT_EQ(net::ReasonOf((*last_answer_)->status()), "DATASET_NOT_FOUND");

  ASSERT_FALSE(Create(command).has_value());
  Report(worker);
  EXPECT_EQ(net::ReasonOf((*last_answer_)->status()), "SOURCE_NOT_FOUND");
}

TEST_F(CoreTest, AChainRunsInOrderAndHandsOnTheCheckpoint) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "pre");
  coordinator::CreateJobCommand child = MakeCommand("fine");
  child.job.source = "job/pre";
  Create(child);
  Report(worker);
  EXPECT_EQ(Job("fine")->reason.code, "WAITING_FOR_DEPENDENCY");
  EXPECT_THAT(Job("fine")->reason.message, HasSubstr("job pre (RUNNING)"));
  const auto checkpoint = Commit(MakeCommit("pre", 10)).value();

  Reach(worker, AttemptPhase::kEnded);

  EXPECT_EQ(StateOf("pre"), JobState::kSucceeded);
  EXPECT_EQ(StateOf("fine"), JobState::kStarting);
  ASSERT_EQ(worker.session->desired().attempts.size(), 1u);
  EXPECT_EQ(worker.session->desired().attempts[0].source_path, checkpoint.path);
  ASSERT_EQ(Job("fine")->lineage.size(), 1u);
  EXPECT_EQ(Job("fine")->lineage[0].checkpoint_id, checkpoint.id);
}

TEST_F(CoreTest, ACancelledParentFailsItsWholeChain) {
  Create(MakeCommand("a"));
  coordinator::CreateJobCommand b = MakeCommand("b");
  b.depends_on = {"a"};
  Create(b);
  coordinator::CreateJobCommand c = MakeCommand("c");
  c.depends_on = {"b"};
  Create(c);

  ASSERT_TRUE(
      core_->CancelJob({.name = "projects/default/jobs/a", .reason = ""}, false, now_).ok());
  Flush();

  EXPECT_EQ(StateOf("a"), JobState::kCancelled);
  EXPECT_EQ(StateOf("b"), JobState::kFailed);
  EXPECT_EQ(Job("b")->reason.code, "DEPENDENCY_FAILED");
  EXPECT_THAT(Job("b")->reason.message, HasSubstr("job a"));
  EXPECT_EQ(StateOf("c"), JobState::kFailed);
}

TEST_F(CoreTest, CancellingARunningJobStopsItsRanksFirst) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");

  ASSERT_TRUE(
      core_->CancelJob({.name = "projects/default/jobs/a", .reason = "enough"}, false, now_).ok());
  Flush();

  EXPECT_EQ(StateOf("a"), JobState::kCancelling);
  EXPECT_EQ(worker.session->desired().attempts[0].phase, AttemptPhase::kStop);
  Reach(worker, AttemptPhase::kEnded);
  EXPECT_EQ(StateOf("a"), JobState::kCancelled);
  EXPECT_TRUE(
      core_->CancelJob({.name = "projects/default/jobs/a", .reason = ""}, false, now_).ok());
  EXPECT_TRUE(worker.session->desired().attempts.empty());
}

TEST_F(CoreTest, OnlyEndedJobsThatNobodyNeedsCanBeDeleted) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "pre");
  EXPECT_EQ(net::ReasonOf(core_->DeleteJob({.name = "projects/default/jobs/pre"})), "NOT_TERMINAL");
  coordinator::CreateJobCommand child = MakeCommand("fine");
  child.job.source = "job/pre";
  Create(child);
  Report(worker);
  Commit(MakeCommit("pre", 1)).value();
  Reach(worker, AttemptPhase::kEnded);
  EXPECT_EQ(net::ReasonOf(core_->DeleteJob({.name = "projects/default/jobs/pre"})),
            "HAS_DEPENDENTS");

  ASSERT_TRUE(
      core_->CancelJob({.name = "projects/default/jobs/fine", .reason = ""}, false, now_).ok());
  Flush();
  Reach(worker, AttemptPhase::kEnded);
  EXPECT_TRUE(core_->DeleteJob({.name = "projects/default/jobs/pre"}).ok());
  Flush();

  StartCore();
  EXPECT_FALSE(core_->GetJob("projects/default/jobs/pre").ok());
  EXPECT_TRUE((*Create(MakeCommand("pre"))).ok());
}

TEST_F(CoreTest, AStoppingCoordinatorAnswersCreationsThatWaitAndNewOnes) {
  FakeWorker worker = Connect("w1");
  ASSERT_FALSE(Create(MakeCommand("a")).has_value());
  const auto waiting = last_answer_;

  core_->CloseAll(absl::UnavailableError("stopping"));
  Flush();

  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Create(MakeCommand("b"))->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(worker.session->closed()->code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace g2ll::testing
