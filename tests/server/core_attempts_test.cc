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

TEST_F(GangTest, ACoordinatorThatSleptBlamesNobodyForItsOwnSilence) {
  Run();
  Report(one_);
  Report(two_);

  now_ += absl::Minutes(10);
  core_->NoteSleep(absl::Minutes(10));
  Pass(absl::Seconds(5));

  EXPECT_EQ(StateOf("gang"), JobState::kRunning);
  Pass(absl::Seconds(30));  // Now they are silent.
  EXPECT_EQ(StateOf("gang"), JobState::kPending);
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

// A job of one rank, and a second worker that could take it.
class RetryTest : public CoreTest {
 protected:
  void SetUp() override {
    CoreTest::SetUp();
    worker_ = Connect("w1");
    RunJob(worker_, "a");
    other_ = Connect("w2");
  }

  FakeWorker& Holder() { return Job("a")->attempts.back().workers[0] == "w1" ? worker_ : other_; }

  // The attempt breaks where it runs.
  void Fail(FailureClass failure_class, int32_t signal = 0) {
    FakeWorker& holder = Holder();
    Reach(holder, AttemptPhase::kTraining);
    cluster::FailureRecord failure;
    failure.failure_class = failure_class;
    failure.rank = 0;
    failure.signal = signal;
    failure.message = "broke";
    holder.report.attempts[0].failure = failure;
    holder.report.attempts[0].phase = AttemptPhase::kEnded;
    holder.report.attempts[0].ranks[0].exited = true;
    Report(holder);
    holder.report.attempts.clear();
    Report(holder);
  }

  // Waits for the next attempt and lets it train.
  void RunAgain() {
    while (StateOf("a") == JobState::kPending) {
      Beat({&worker_, &other_}, absl::Seconds(1));
    }
    Reach(Holder(), AttemptPhase::kPrepared);
    Reach(Holder(), AttemptPhase::kTraining);
    ASSERT_EQ(StateOf("a"), JobState::kRunning);
  }

  coordinator::JobRequest Asked() {
    return {.name = Job("a")->FullName(), .reason = {}, .etag = {}};
  }
  void Pause() {
    ASSERT_TRUE(core_->PauseJob(Asked(), now_).ok());
    Flush();
  }

  FakeWorker worker_;
  FakeWorker other_;
};

TEST_F(RetryTest, AStopAtACheckpointHasADeadlineAfterWhichItIsStopped) {
  Pause();
  ASSERT_EQ(worker_.session->desired().attempts[0].phase, AttemptPhase::kDrain);

  Beat({&worker_}, Job("a")->grace - absl::Seconds(1));
  EXPECT_EQ(worker_.session->desired().attempts[0].phase, AttemptPhase::kDrain);
  Beat({&worker_}, absl::Seconds(2));
  EXPECT_EQ(worker_.session->desired().attempts[0].phase, AttemptPhase::kStop);

  Reach(worker_, AttemptPhase::kEnded);
  EXPECT_EQ(StateOf("a"), JobState::kPaused);
  EXPECT_EQ(Job("a")->attempts[0].outcome, AttemptOutcome::kPreempted);
  EXPECT_FALSE(Job("a")->attempts[0].failure.has_value());
  EXPECT_EQ(Job("a")->preemptions, 0);
}

TEST_F(RetryTest, AJobThatFinishesWhileItIsAskedToStopHasSucceeded) {
  Pause();
  Commit(MakeCommit("a", 9)).value();
  worker_.report.attempts[0].phase = AttemptPhase::kEnded;
  worker_.report.attempts[0].ranks[0].exited = true;
  Report(worker_);

  EXPECT_EQ(StateOf("a"), JobState::kSucceeded);
}

TEST_F(RetryTest, AJobThatBreaksWhileItIsPausedIsPausedAndItsBudgetCounts) {
  Pause();

  Fail(FailureClass::kKilled);

  EXPECT_EQ(StateOf("a"), JobState::kPaused);
  EXPECT_EQ(Job("a")->attempts[0].outcome, AttemptOutcome::kFailed);
  EXPECT_EQ(Job("a")->used_infra_retries, 1);
}

TEST_F(RetryTest, KillIsToldToTheAgents) {
  ASSERT_TRUE(core_->CancelJob(Asked(), true, now_).ok());
  Flush();

  EXPECT_EQ(worker_.session->desired().attempts[0].phase, AttemptPhase::kKill);
}

TEST_F(RetryTest, ARetryLandsOnAnotherHostThanTheOneThatIsToBlame) {
  Fail(FailureClass::kKilled);

  ASSERT_EQ(Job("a")->excluded_workers.size(), 1u);
  EXPECT_EQ(Job("a")->excluded_workers[0].worker, "w1");
  EXPECT_THAT(Job("a")->excluded_workers[0].reason, HasSubstr("broke"));
  RunAgain();
  EXPECT_EQ(Job("a")->attempts.back().workers, std::vector<std::string>{"w2"});
}

TEST_F(RetryTest, AFaultOfTheJobExcludesNobody) {
  Fail(FailureClass::kCollective);

  EXPECT_TRUE(Job("a")->excluded_workers.empty());
}

// The only worker that is left is better than none.
TEST_F(RetryTest, ExclusionsAreLiftedWhereTheJobCannotDoWithoutTheWorker) {
  // Nothing is placed meanwhile.
  worker_.report.inventory.storage_error = other_.report.inventory.storage_error = "read-only";
  Report(other_);
  Fail(FailureClass::kKilled);
  Beat({&worker_, &other_}, absl::Minutes(1));
  EXPECT_EQ(Job("a")->excluded_workers.size(), 1u);

  Beat({&worker_}, absl::Minutes(1));

  EXPECT_EQ(WorkerOf("w2").state, cluster::WorkerState::kLost);
  EXPECT_TRUE(Job("a")->excluded_workers.empty());
}

TEST_F(RetryTest, WithoutAnotherWorkerNobodyIsExcluded) {
  core_->SetWorkerWish("w2", cluster::Schedulable::kCordoned, "", now_).value();

  Fail(FailureClass::kKilled);

  EXPECT_TRUE(Job("a")->excluded_workers.empty());
}

TEST_F(RetryTest, TwoHardwareFaultsPutAWorkerInQuarantineUntilItIsUncordoned) {
  core_->SetWorkerWish("w2", cluster::Schedulable::kCordoned, "", now_).value();
  Fail(FailureClass::kHardware);
  EXPECT_EQ(WorkerOf("w1").wish.schedulable, cluster::Schedulable::kAllowed);
  RunAgain();

  Fail(FailureClass::kHardware);

  EXPECT_EQ(WorkerOf("w1").wish.schedulable, cluster::Schedulable::kQuarantined);
  EXPECT_THAT(WorkerOf("w1").wish.reason, HasSubstr("2 hardware faults"));
  core_->SetWorkerWish("w1", cluster::Schedulable::kAllowed, "", now_).value();
  Flush();
  EXPECT_EQ(WorkerOf("w1").wish.schedulable, cluster::Schedulable::kAllowed);
}

TEST_F(RetryTest, AttemptsThatAchieveNothingEndTheJobThoughItsBudgetIsNotSpent) {
  Fail(FailureClass::kCollective);
  RunAgain();
  Fail(FailureClass::kCollective);
  RunAgain();
  Fail(FailureClass::kCollective);

  EXPECT_EQ(StateOf("a"), JobState::kFailed);
  EXPECT_EQ(Job("a")->reason.code, "NO_PROGRESS");
  EXPECT_EQ(Job("a")->without_progress, 3);
}

TEST_F(RetryTest, UpdatesThatNoCheckpointHoldsAreCountedOnce) {
  worker_.report.attempts[0].progress = ProgressAt(30);
  Report(worker_);
  Commit(MakeCommit("a", 20)).value();
  Fail(FailureClass::kCollective);
  EXPECT_EQ(Job("a")->attempts[0].lost_steps, 10);

  RunAgain();
  Fail(FailureClass::kCollective);

  EXPECT_EQ(Job("a")->attempts[1].lost_steps, 0);
}

TEST_F(RetryTest, AnAgentThatIsStoppedInOrderCostsTheJobNothing) {
  worker_.report.draining = true;
  Fail(FailureClass::kWorkerLost);

  EXPECT_EQ(Job("a")->used_infra_retries, 0);
  EXPECT_TRUE(Job("a")->excluded_workers.empty());
  EXPECT_EQ(Job("a")->attempts[0].failure->reason, "WORKER_STOPPED");
}

// Every way in which a writer can be out of date, and the counter that shows it.
TEST_F(RetryTest, WritersThatWereReplacedAreRefusedAndCounted) {
  const coordinator::CommitCheckpointCommand good = MakeCommit("a", 5);
  const auto refused = [&](coordinator::CommitCheckpointCommand command) {
    coordinator::BeginCheckpointCommand begin;
    begin.writer = {.worker = command.worker,
                    .incarnation = command.incarnation,
                    .job_uid = command.checkpoint.job_uid,
                    .epoch = command.checkpoint.epoch,
                    .coordinator_term = command.coordinator_term};
    begin.step = command.checkpoint.step;
    EXPECT_EQ(core_->BeginCheckpoint(begin).status().code(), absl::StatusCode::kAborted);
    return net::ReasonOf(core_->CommitCheckpoint(command, now_).status());
  };
  coordinator::CommitCheckpointCommand command = good;
  command.checkpoint.epoch = 0;
  EXPECT_EQ(refused(command), "STALE_EPOCH");
  command = good;
  command.incarnation = "i0";
  EXPECT_EQ(refused(command), "STALE_EPOCH");
  command = good;
  command.worker = "w2";
  EXPECT_EQ(refused(command), "STALE_EPOCH");
  command = good;
  command.coordinator_term = core_->term() + 1;
  EXPECT_EQ(refused(command), "STALE_TERM");
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_fenced_writes_total{kind=\"epoch\"} 2"));
  for (const char* kind : {"incarnation", "worker", "term"}) {
    EXPECT_THAT(metrics_.Serialize(),
                HasSubstr(absl::StrCat("g2ll_fenced_writes_total{kind=\"", kind, "\"} 2")));
  }

  Commit(good).value();
  Reach(worker_, AttemptPhase::kEnded);
  command = good;
  command.checkpoint.step = 6;
  EXPECT_EQ(refused(command), "STALE_EPOCH");
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_fenced_writes_total{kind=\"attempt\"} 2"));
}

TEST_F(RetryTest, BeginningACheckpointAsksForTheNextStepAndItsSize) {
  coordinator::BeginCheckpointCommand begin;
  begin.writer = {.worker = "w1", .incarnation = "i1", .job_uid = Job("a")->uid, .epoch = 1};
  begin.step = 5;
  EXPECT_EQ(core_->BeginCheckpoint(begin)->parent,
            absl::StrCat("checkpoints/", Job("a")->uid, "/e1"));
  coordinator::CommitCheckpointCommand commit = MakeCommit("a", 5);
  commit.checkpoint.size_bytes = 1000;
  Commit(commit).value();

  EXPECT_EQ(net::ReasonOf(core_->BeginCheckpoint(begin).status()), "NOT_MONOTONIC");
  begin.step = 6;
  // As many as the newest one unless it says more.
  EXPECT_EQ(core_->BeginCheckpoint(begin)->size_bytes, 1000);
  begin.size_bytes = 7;
  EXPECT_EQ(core_->BeginCheckpoint(begin)->size_bytes, 7);
}

// What an older attempt still sends is kept, and is not the newest value.
TEST_F(RetryTest, LatePointsOfAnOlderAttemptDoNotChangeTheJobsValues) {
  const auto push = [&](int64_t epoch, double value) {
    cluster::MetricRecord point;
    point.name = "loss";
    point.step = epoch;
    point.value = value;
    cluster::TelemetryBatch batch{{Job("a")->uid, epoch, 0}, {{1, point}}};
    EXPECT_EQ(core_->PushTelemetry(batch, now_), 1);
    Flush();
  };
  Fail(FailureClass::kCollective);
  RunAgain();
  push(2, 0.5);
  const int64_t stored = Job("a")->last_metric_seq;

  push(1, 9.0);

  EXPECT_EQ(Job("a")->metrics.at("loss"), 0.5);
  EXPECT_EQ(Job("a")->last_metric_seq, stored + 1);
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

TEST_F(CoreTest, AnAttemptThatEndsBeforeItWasSeenAtWorkKeepsItsProgress) {
  FakeWorker worker = Connect("w1");
  coordinator::CreateJobCommand command = MakeCommand("a");
  command.job.kind = cluster::JobKind::kEvaluate;
  Create(command);
  Report(worker);
  Reach(worker, AttemptPhase::kPrepared);
  worker.report.attempts[0].phase = AttemptPhase::kEnded;
  worker.report.attempts[0].ranks[0].exited = true;
  worker.report.attempts[0].report_path = absl::StrCat("reports/", Job("a")->uid, "/e1");
  worker.report.attempts[0].progress = ProgressAt(6);

  Report(worker);

  EXPECT_EQ(StateOf("a"), JobState::kSucceeded);
  EXPECT_EQ(Job("a")->progress.step, 6);
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
