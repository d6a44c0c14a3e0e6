#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/common/grpc_status.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptOutcome;
using cluster::AttemptPhase;
using cluster::FailureClass;
using cluster::JobState;
using ::testing::HasSubstr;

// A job of two ranks on two workers.
class GangTest : public CoreTest {
 protected:
  void SetUp() override {
    CoreTest::SetUp();
    one_ = Connect("w1");
    two_ = Connect("w2");
    coordinator::CreateJobCommand command = MakeCommand("gang");
    command.job.min_ranks = 2;
    command.job.max_ranks = 2;
    command.job.global_batch = 2;
    Create(command);
    Report(one_);
    Report(two_);
  }

  void Run() {
    Reach(one_, AttemptPhase::kPrepared);
    Reach(two_, AttemptPhase::kPrepared);
    Reach(one_, AttemptPhase::kTraining);
    Reach(two_, AttemptPhase::kTraining);
    ASSERT_EQ(StateOf("gang"), JobState::kRunning);
  }

  void Fail(FakeWorker& worker, FailureClass failure_class, const std::string& message) {
    cluster::FailureRecord failure;
    failure.failure_class = failure_class;
    failure.rank = worker.report.attempts[0].ranks[0].rank;
    failure.message = message;
    worker.report.attempts[0].failure = failure;
    worker.report.attempts[0].failure_time = now_;
    Report(worker);
  }

  FakeWorker one_;
  FakeWorker two_;
};

TEST_F(GangTest, StartsOnlyAfterAllHavePreparedAndTellsTheStoreToAll) {
  EXPECT_EQ(StateOf("gang"), JobState::kStarting);
  Reach(one_, AttemptPhase::kPrepared);
  EXPECT_EQ(one_.session->desired().attempts[0].phase, AttemptPhase::kPrepare);

  Reach(two_, AttemptPhase::kPrepared);

  EXPECT_EQ(two_.session->desired().attempts[0].phase, AttemptPhase::kRun);
  EXPECT_EQ(two_.session->desired().attempts[0].store_address, "w1:4000");
  EXPECT_TRUE(one_.session->desired().attempts[0].serves_store);
  EXPECT_EQ(two_.session->desired().attempts[0].ranks, (std::vector<int32_t>{1}));
}

TEST_F(GangTest, HostsWithDifferentDataAreNamed) {
  Reach(one_, AttemptPhase::kPrepared);
  Reach(two_, AttemptPhase::kPrepare);
  two_.report.attempts[0].phase = AttemptPhase::kPrepared;
  two_.report.attempts[0].data_digest = "other";
  Report(two_);
  Reach(one_, AttemptPhase::kEnded);
  Reach(two_, AttemptPhase::kEnded);

  EXPECT_EQ(StateOf("gang"), JobState::kFailed);
  EXPECT_EQ(Job("gang")->reason.code, "DATA_DIFFERS");
  EXPECT_THAT(Job("gang")->reason.message, HasSubstr("w2"));
}

TEST_F(GangTest, TheCauseIsBlamedAndNotItsEcho) {
  Run();
  Fail(one_, FailureClass::kCollective, "connection closed by peer");
  EXPECT_EQ(StateOf("gang"), JobState::kRecovering);
  EXPECT_EQ(two_.session->desired().attempts[0].phase, AttemptPhase::kStop);

  now_ += absl::Milliseconds(50);
  Fail(two_, FailureClass::kNonFinite, "the loss is not finite");
  one_.report.attempts[0].phase = AttemptPhase::kEnded;
  two_.report.attempts[0].phase = AttemptPhase::kEnded;
  Report(one_);
  Report(two_);

  ASSERT_TRUE(Job("gang")->attempts[0].failure.has_value());
  EXPECT_EQ(Job("gang")->attempts[0].failure->failure_class, FailureClass::kNonFinite);
  EXPECT_EQ(Job("gang")->attempts[0].failure->rank, 1);
  EXPECT_EQ(StateOf("gang"), JobState::kFailed);
}

TEST_F(GangTest, AKilledRankRestartsTheGangFromTheNewestCheckpoint) {
  Run();
  const auto checkpoint = Commit(MakeCommit("gang", 7)).value();
  Fail(two_, FailureClass::kKilled, "killed by signal 9");
  one_.report.attempts[0].phase = AttemptPhase::kEnded;
  two_.report.attempts[0].phase = AttemptPhase::kEnded;
  Report(one_);
  Report(two_);

  // The first restart does not wait.
  EXPECT_EQ(StateOf("gang"), JobState::kStarting);
  ASSERT_EQ(Job("gang")->attempts.size(), 2u);
  EXPECT_EQ(Job("gang")->attempts[0].outcome, AttemptOutcome::kFailed);
  EXPECT_EQ(Job("gang")->attempts[1].epoch, 2);
  EXPECT_EQ(one_.session->desired().attempts[0].resume_path, checkpoint.path);
}

TEST_F(GangTest, ASecondRestartWaitsAndSaysUntilWhen) {
  for (int i = 0; i < 2; ++i) {
    Run();
    Fail(two_, FailureClass::kKilled, "killed by signal 9");
    one_.report.attempts[0].phase = AttemptPhase::kEnded;
    two_.report.attempts[0].phase = AttemptPhase::kEnded;
    Report(one_);
    Report(two_);
  }
  EXPECT_EQ(StateOf("gang"), JobState::kPending);
  EXPECT_EQ(Job("gang")->reason.code, "BACKOFF");
  EXPECT_THAT(Job("gang")->reason.message, HasSubstr("killed by signal 9"));

  one_.report.attempts.clear();
  two_.report.attempts.clear();
  for (int i = 0; i < 6; ++i) {
    Report(one_);
    Report(two_);
    Pass(absl::Seconds(1));
  }

  EXPECT_EQ(StateOf("gang"), JobState::kStarting);
}

TEST_F(GangTest, ASilentWorkerIsLostAfterItsLeaseAndItsPartnerIsStopped) {
  Run();
  const auto beat = [&](int seconds) {
    for (int i = 0; i < seconds; ++i) {
      Report(one_);
      Pass(absl::Seconds(1));
    }
  };
  beat(26);  // Longer than the window after a start in which nobody is lost.

  EXPECT_EQ(StateOf("gang"), JobState::kRecovering);
  EXPECT_EQ(Job("gang")->attempts[0].failure->failure_class, FailureClass::kWorkerLost);
  EXPECT_EQ(Job("gang")->attempts[0].failure->worker, "w2");
  EXPECT_EQ(one_.session->desired().attempts[0].phase, AttemptPhase::kStop);
  Reach(one_, AttemptPhase::kEnded);
  EXPECT_EQ(Job("gang")->attempts[0].outcome, AttemptOutcome::kLost);
  EXPECT_EQ(Job("gang")->reason.code, "TOO_FEW_SLOTS");
}

TEST_F(GangTest, AnAgentThatWasStartedAgainBreaksTheAttempt) {
  Run();
  const auto old_session = two_.session;
  two_ = Connect("w2", 1, "i2");

  EXPECT_EQ(net::ReasonOf(*old_session->closed()), "SUPERSEDED");
  EXPECT_EQ(StateOf("gang"), JobState::kRecovering);
  EXPECT_EQ(Job("gang")->attempts[0].failure->failure_class, FailureClass::kWorkerLost);
}

TEST_F(GangTest, ARestartedCoordinatorAdoptsWhatRuns) {
  Run();
  StartCore();
  EXPECT_EQ(core_->term(), 2);
  Pass(absl::Seconds(10));
  EXPECT_EQ(StateOf("gang"), JobState::kRunning);

  Reconnect(one_);
  Reconnect(two_);
  for (int i = 0; i < 40; ++i) {
    Report(one_);
    Report(two_);
    Pass(absl::Seconds(1));
  }

  EXPECT_EQ(StateOf("gang"), JobState::kRunning);
  EXPECT_EQ(Job("gang")->attempts.size(), 1u);
  EXPECT_EQ(two_.session->desired().coordinator_term, 2);
  EXPECT_EQ(two_.session->desired().attempts[0].phase, AttemptPhase::kRun);
}

TEST_F(GangTest, AfterARestartAWorkerThatStaysAwayIsLostOnlyAfterTheWindow) {
  Run();
  StartCore();
  Reconnect(one_);
  for (int i = 0; i < 24; ++i) {
    Report(one_);
    Pass(absl::Seconds(1));
    ASSERT_EQ(StateOf("gang"), JobState::kRunning) << i;
  }
  Report(one_);
  Pass(absl::Seconds(2));

  EXPECT_EQ(StateOf("gang"), JobState::kRecovering);
}

TEST_F(CoreTest, AWorkerOnAnotherStorageRootGetsNoWorkAndSaysWhy) {
  FakeWorker worker;
  worker.report.worker = "w1";
  worker.report.incarnation = "i1";
  worker.report.inventory.slots = 1;
  worker.report.inventory.storage_token = "other";
  Reconnect(worker);
  Create(MakeCommand("a"));

  EXPECT_EQ(core_->ListWorkers()[0].state, cluster::WorkerState::kUnusable);
  EXPECT_THAT(core_->ListWorkers()[0].message, HasSubstr("--storage-root"));
  EXPECT_EQ(StateOf("a"), JobState::kPending);
}

TEST_F(CoreTest, BadWorkersAreRefused) {
  cluster::WorkerReport report;
  report.worker = "Not A Name";
  report.incarnation = "i1";
  report.inventory.slots = 1;

  const auto refused = core_->OpenSession(report, std::make_shared<FakeSession>(), now_);

  EXPECT_EQ(net::ReasonOf(refused.status()), "INVALID_WORKER");
}

TEST_F(CoreTest, AWorkerThatTurnsBadLosesItsSessionAndChangesNothing) {
  FakeWorker worker = Connect("w1", /*slots=*/2);
  worker.report.inventory.slots = INT32_MAX;

  core_->ReportWorker(worker.report, worker.session_id, now_);

  EXPECT_EQ(net::ReasonOf(worker.session->closed().value_or(absl::OkStatus())), "INVALID_WORKER");
  ASSERT_EQ(core_->ListWorkers().size(), 1u);
  EXPECT_EQ(core_->ListWorkers()[0].report.inventory.slots, 2);
}

TEST_F(CoreTest, AJobWithoutACommittedCheckpointDoesNotSucceed) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");

  Reach(worker, AttemptPhase::kEnded);

  EXPECT_EQ(StateOf("a"), JobState::kFailed);
  EXPECT_THAT(Job("a")->reason.message, HasSubstr("no checkpoint was committed"));
}

TEST_F(CoreTest, AnEvaluationSucceedsWithItsReportOnly) {
  FakeWorker worker = Connect("w1");
  coordinator::CreateJobCommand command = MakeCommand("a");
  command.job.kind = cluster::JobKind::kEvaluate;
  Create(command);
  Report(worker);
  Reach(worker, AttemptPhase::kPrepared);
  Reach(worker, AttemptPhase::kTraining);
  worker.report.attempts[0].phase = AttemptPhase::kEnded;
  worker.report.attempts[0].ranks[0].exited = true;
  worker.report.attempts[0].report_path = absl::StrCat("reports/", Job("a")->uid, "/e1");

  Report(worker);

  EXPECT_EQ(StateOf("a"), JobState::kSucceeded);
  EXPECT_EQ(Job("a")->report_path, absl::StrCat("reports/", Job("a")->uid, "/e1"));
}

TEST_F(CoreTest, ATrainingKeepsItsReportAndCountsWithoutOne) {
  FakeWorker worker = Connect("w1");
  for (const auto& [name, below] : {std::pair("own", "reports/%s/e1"), std::pair("none", ""),
                                    std::pair("other", "checkpoints/%s/e1")}) {
    RunJob(worker, name);
    Commit(MakeCommit(name, 5)).value();
    const std::string path = absl::StrReplaceAll(below, {{"%s", Job(name)->uid}});
    worker.report.attempts[0].phase = AttemptPhase::kEnded;
    worker.report.attempts[0].ranks[0].exited = true;
    worker.report.attempts[0].report_path = path;
    Report(worker);

    EXPECT_EQ(StateOf(name), JobState::kSucceeded) << name;
    EXPECT_EQ(Job(name)->report_path, std::string(name) == "own" ? path : "") << name;
    worker.report.attempts.clear();
    Report(worker);
  }
}

}  // namespace
}  // namespace g2ll::testing
