// Workers: how long one counts, whose word counts, what becomes of its slots.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "server/coordinator/steady_clock.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptPhase;
using cluster::FailureClass;
using cluster::JobState;
using cluster::Schedulable;
using cluster::WorkerState;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Longer than the window after a start in which nobody is lost.
constexpr absl::Duration kWindow = absl::Seconds(26);

class WorkersTest : public CoreTest {
 protected:
  // Two workers and a job of two ranks that trains on both.
  void RunGang() {
    one_ = Connect("w1");
    two_ = Connect("w2");
    coordinator::CreateJobCommand command = MakeCommand("gang");
    command.job.min_ranks = 2;
    command.job.max_ranks = 2;
    command.job.global_batch = 2;
    Create(command);
    Report(one_);
    Report(two_);
    for (const AttemptPhase phase : {AttemptPhase::kPrepared, AttemptPhase::kTraining}) {
      Reach(one_, phase);
      Reach(two_, phase);
    }
    ASSERT_EQ(StateOf("gang"), JobState::kRunning);
    Beat({&one_, &two_}, kWindow);
  }

  // The first worker reports a finished step each second; the second one says nothing.
  void StepAlone(absl::Duration duration) {
    for (const absl::Time end = now_ + duration; now_ < end;) {
      one_.report.attempts[0].progress = ProgressAt(++step_);
      Report(one_);
      Pass(absl::Seconds(1));
    }
  }

  // The peer of `worker` went away.
  void EndAsEcho(FakeWorker& worker) {
    cluster::AttemptStatus& status = worker.report.attempts[0];
    cluster::FailureRecord failure;
    failure.failure_class = FailureClass::kCollective;
    failure.rank = status.ranks[0].rank;
    failure.message = "connection closed by peer";
    status.failure = failure;
    status.failure_time = now_;
    status.phase = AttemptPhase::kEnded;
    status.ranks[0].exited = true;
    status.ranks[0].exit_code = 81;
    Report(worker);
  }

  void Wish(const std::string& worker, Schedulable wish, const std::string& reason = "") {
    ASSERT_TRUE(core_->SetWorkerWish(worker, wish, reason, now_).ok());
    Flush();
  }

  FakeWorker one_;
  FakeWorker two_;
  int64_t step_ = 0;
};

TEST_F(WorkersTest, SilenceMakesAWorkerSuspectAndThenLost) {
  FakeWorker worker = Connect("w1");
  Beat({&worker}, kWindow);

  Pass(absl::Seconds(13));
  EXPECT_EQ(WorkerOf("w1").state, WorkerState::kReady);
  Pass(absl::Seconds(2));
  EXPECT_EQ(WorkerOf("w1").state, WorkerState::kSuspect);
  Pass(absl::Seconds(5));
  EXPECT_EQ(WorkerOf("w1").state, WorkerState::kLost);
  EXPECT_EQ(WorkerOf("w1").free_slots, 0);

  Report(worker);
  EXPECT_EQ(WorkerOf("w1").state, WorkerState::kReady);
  EXPECT_EQ(WorkerOf("w1").free_slots, 1);
}

TEST_F(WorkersTest, AWorkerWithoutASessionGetsNoNewWork) {
  FakeWorker worker = Connect("w1");
  Disconnect(worker);
  coordinator::CreateJobCommand command = MakeCommand("a");
  Create(command);
  Pass(absl::Seconds(2));
  EXPECT_EQ(StateOf("a"), JobState::kPending);

  Reconnect(worker);
  Beat({&worker}, absl::Seconds(2));

  EXPECT_EQ(StateOf("a"), JobState::kStarting);
}

TEST_F(WorkersTest, SettingTheHostsClockNeitherEndsNorStretchesALease) {
  for (const absl::Duration jump :
       {absl::Hours(1), -absl::Hours(1), absl::Hours(24 * 3652), -absl::Hours(24 * 3652)}) {
    SCOPED_TRACE(absl::FormatDuration(jump));
    coordinator::SteadyClock clock;
    absl::Duration monotonic = absl::Hours(7);
    absl::Time wall = now_;
    const auto second = [&] {
      wall += absl::Seconds(1);
      monotonic += absl::Seconds(1);
      now_ = clock.At(wall, monotonic);
      core_->Tick(now_);
      Flush();
    };
    clock.At(wall, monotonic);
    const std::string name = absl::StrCat("j", absl::ToInt64Hours(jump) + 100000);
    FakeWorker worker = Connect("w1");
    RunJob(worker, name);
    for (int i = 0; i < 60; ++i) {
      wall += i == 10 ? jump : absl::ZeroDuration();
      Report(worker);
      second();
      ASSERT_EQ(StateOf(name), JobState::kRunning) << i;
      ASSERT_EQ(WorkerOf("w1").state, WorkerState::kReady) << i;
    }
    wall -= jump;
    int silent = 0;
    while (StateOf(name) == JobState::kRunning) {
      ASSERT_LT(++silent, 30);
      second();
    }
    EXPECT_GE(silent, 19);
    EXPECT_LE(silent, 21);
    EXPECT_GT(Job(name)->attempts[0].end_time, Job(name)->attempts[0].start_time);
    worker.report.attempts.clear();
    Report(worker);
    ASSERT_TRUE(
        core_->CancelJob({.name = Job(name)->FullName(), .reason = {}, .etag = {}}, false, now_)
            .ok());
    Flush();
  }
}

TEST(SteadyClockTest, FollowsTheMonotonicClockAndApproachesTheWallClock) {
  const absl::Time start = absl::FromUnixSeconds(1700000000);
  coordinator::SteadyClock clock;
  EXPECT_EQ(clock.At(start, absl::Seconds(5)), start);
  EXPECT_EQ(clock.At(start + absl::Seconds(9), absl::Seconds(14)), start + absl::Seconds(9));
  // A leap second is made up for within 100 s.
  EXPECT_EQ(clock.At(start + absl::Seconds(108), absl::Seconds(114)), start + absl::Seconds(108));
  EXPECT_EQ(clock.At(start + absl::Seconds(109), absl::Seconds(115)), start + absl::Seconds(109));
}

TEST(SteadyClockTest, AJumpChangesItBySlightlyMoreOrLessThanWhatHasPassed) {
  const absl::Time start = absl::FromUnixSeconds(1700000000);
  for (const absl::Duration jump : {absl::Hours(100000), -absl::Hours(100000)}) {
    coordinator::SteadyClock clock;
    clock.At(start, absl::ZeroDuration());
    absl::Time before = start;
    for (int i = 1; i <= 50; ++i) {
      const absl::Time now = clock.At(start + jump + absl::Seconds(i), absl::Seconds(i));
      EXPECT_LE(absl::AbsDuration(now - before - absl::Seconds(1)), absl::Milliseconds(10));
      before = now;
    }
  }
}

TEST_F(WorkersTest, ReportsThatWereOvertakenHaveNoEffect) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  worker.report.sequence = 10;
  Report(worker);
  FakeWorker late = worker;
  late.report.attempts.clear();

  for (const int64_t sequence : {10, 9, 1}) {
    late.report.sequence = sequence;
    Report(late);
    EXPECT_EQ(StateOf("a"), JobState::kRunning) << sequence;
  }

  late.report.sequence = 11;
  Report(late);
  EXPECT_NE(StateOf("a"), JobState::kRunning);
}

TEST_F(WorkersTest, AReportOfAnOlderSessionHasNoEffect) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  FakeWorker older = worker;
  Reconnect(worker);
  older.report.attempts.clear();

  Report(older);

  EXPECT_EQ(StateOf("a"), JobState::kRunning);
}

TEST_F(WorkersTest, AnAgentThatWasReplacedGetsNoSessionAnyMore) {
  const FakeWorker old = Connect("w1", 1, "i1");
  const FakeWorker current = Connect("w1", 1, "i2");

  const auto refused = core_->OpenSession(old.report, std::make_shared<FakeSession>(), now_);

  EXPECT_EQ(net::ReasonOf(refused.status()), "SUPERSEDED");
  EXPECT_FALSE(current.session->closed().has_value());
  EXPECT_EQ(WorkerOf("w1").report.incarnation, "i2");
}

TEST_F(WorkersTest, AnswersAreNumberedAndNameTheReportThatWasHeard) {
  FakeWorker worker = Connect("w1");
  worker.report.sequence = 7;
  Pass(absl::Seconds(2));
  Report(worker);
  const int64_t before = worker.session->stamp().sequence;
  EXPECT_EQ(worker.session->stamp().heard_sequence, 7);

  worker.report.sequence = 8;
  Reconnect(worker);

  EXPECT_EQ(worker.session->stamp().heard_sequence, 8);
  EXPECT_GT(worker.session->stamp().sequence, before);
}

// Every step needs every rank, so a gang that steps has no dead member.
TEST_F(WorkersTest, AGangThatStillStepsGoesOnWithoutContactToAMember) {
  RunGang();
  StepAlone(absl::Seconds(40));

  EXPECT_EQ(StateOf("gang"), JobState::kRunning);
  EXPECT_EQ(Job("gang")->reason.code, "CONTACT_LOST");
  EXPECT_THAT(Job("gang")->reason.message, HasSubstr("worker w2"));
  EXPECT_EQ(WorkerOf("w2").state, WorkerState::kLost);
  EXPECT_TRUE(Commit(MakeCommit("gang", 5)).ok());

  Report(two_);
  StepAlone(absl::Seconds(2));

  EXPECT_EQ(StateOf("gang"), JobState::kRunning);
  EXPECT_EQ(Job("gang")->reason.code, "");
  EXPECT_EQ(Job("gang")->attempts.size(), 1u);
}

TEST_F(WorkersTest, AGangThatStopsSteppingLosesItsSilentMember) {
  RunGang();
  StepAlone(absl::Seconds(40));

  Beat({&one_}, absl::Seconds(21));

  EXPECT_EQ(StateOf("gang"), JobState::kRecovering);
  EXPECT_EQ(Job("gang")->attempts[0].failure->worker, "w2");
  EXPECT_EQ(one_.session->desired().attempts[0].phase, AttemptPhase::kStop);
}

TEST_F(WorkersTest, ContactIsWaitedForForTenMinutesAtMost) {
  RunGang();
  StepAlone(absl::Minutes(10) - absl::Seconds(2));
  EXPECT_EQ(StateOf("gang"), JobState::kRunning);

  StepAlone(absl::Seconds(3));

  EXPECT_EQ(StateOf("gang"), JobState::kRecovering);
  EXPECT_EQ(Job("gang")->attempts[0].failure->failure_class, FailureClass::kWorkerLost);
}

// Nobody waits for the 20 s of silence where the rest of the gang has ended.
TEST_F(WorkersTest, AKilledAgentIsGivenUpSoonAfterTheRestOfItsGangHasEnded) {
  RunGang();
  Disconnect(two_);
  EndAsEcho(one_);
  EXPECT_EQ(StateOf("gang"), JobState::kRecovering);

  Pass(absl::Seconds(3));

  EXPECT_TRUE(Job("gang")->attempts[0].ended());
  EXPECT_EQ(Job("gang")->attempts[0].failure->failure_class, FailureClass::kWorkerLost);
  EXPECT_EQ(Job("gang")->attempts[0].failure->worker, "w2");
}

// Its session alone is no reason: contact is not life.
TEST_F(WorkersTest, AWorkerWithoutASessionIsWaitedForWhileItsGangTrains) {
  RunGang();
  Disconnect(two_);
  StepAlone(absl::Seconds(15));

  EXPECT_EQ(StateOf("gang"), JobState::kRunning);
}

TEST_F(WorkersTest, TheSlotsOfALostWorkerAreUnknownUntilItShowsThatItsTrainersAreGone) {
  RunGang();
  Disconnect(two_);
  EndAsEcho(one_);
  Pass(absl::Seconds(3));
  EXPECT_EQ(WorkerOf("w2").unknown_slots, 1);
  EXPECT_EQ(WorkerOf("w2").free_slots, 0);

  // Its trainer outlived the cut.
  Reconnect(two_);
  EXPECT_EQ(WorkerOf("w2").unknown_slots, 0);
  EXPECT_EQ(WorkerOf("w2").free_slots, 0);
  EXPECT_THAT(two_.session->desired().attempts, IsEmpty());

  two_.report.attempts.clear();
  Report(two_);
  EXPECT_EQ(WorkerOf("w2").free_slots, 1);
}

TEST_F(WorkersTest, AnOperatorCanVouchForTheSlotsOfALostWorker) {
  RunGang();
  Disconnect(two_);
  EndAsEcho(one_);
  Pass(absl::Seconds(3));
  ASSERT_EQ(WorkerOf("w2").unknown_slots, 1);

  Wish("w2", Schedulable::kAllowed);

  EXPECT_EQ(WorkerOf("w2").unknown_slots, 0);
}

// Rank 0's agent is killed and comes back: its partner's echo is not the cause.
TEST_F(WorkersTest, AnAgentThatComesBackIsTheCauseAndNobodyWaits) {
  RunGang();
  Disconnect(one_);
  EndAsEcho(two_);

  one_ = Connect("w1", 1, "i2");

  EXPECT_TRUE(Job("gang")->attempts[0].ended());
  EXPECT_EQ(Job("gang")->attempts[0].failure->failure_class, FailureClass::kWorkerLost);
  EXPECT_EQ(Job("gang")->attempts[0].failure->worker, "w1");
  EXPECT_EQ(Job("gang")->used_infra_retries, 1);
  EXPECT_EQ(Job("gang")->used_retries, 0);
}

TEST_F(WorkersTest, ACordonedWorkerGetsNoNewWorkAlsoAfterARestart) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "running");
  Wish("w1", Schedulable::kCordoned, "new disk");
  EXPECT_EQ(StateOf("running"), JobState::kRunning);
  Create(MakeCommand("a"));
  Report(worker);
  Commit(MakeCommit("running", 1)).value();
  Reach(worker, AttemptPhase::kEnded);
  EXPECT_EQ(StateOf("running"), JobState::kSucceeded);
  EXPECT_EQ(StateOf("a"), JobState::kPending);

  StartCore();
  Reconnect(worker);
  worker.report.attempts.clear();
  Report(worker);
  EXPECT_EQ(WorkerOf("w1").wish.schedulable, Schedulable::kCordoned);
  EXPECT_EQ(WorkerOf("w1").wish.reason, "new disk");
  EXPECT_EQ(StateOf("a"), JobState::kPending);

  Wish("w1", Schedulable::kAllowed);
  Report(worker);
  EXPECT_EQ(StateOf("a"), JobState::kStarting);
  StartCore();
  EXPECT_THAT(core_->ListWorkers()[0].wish.reason, "");
}

TEST_F(WorkersTest, AWishForAnUnknownWorkerIsRefusedAndNamesIt) {
  const absl::Status refused =
      core_->SetWorkerWish("w9", Schedulable::kCordoned, "", now_).status();

  EXPECT_EQ(net::ReasonOf(refused), "WORKER_NOT_FOUND");
  EXPECT_THAT(refused.message(), HasSubstr("w9"));
}

TEST_F(WorkersTest, ADrainedWorkersJobStopsAtACheckpointAndGoesOnElsewhere) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  FakeWorker other = Connect("w2");
  worker.report.attempts[0].progress = ProgressAt(12);
  Report(worker);

  Wish("w1", Schedulable::kDraining, "kernel update");

  EXPECT_EQ(StateOf("a"), JobState::kPreempting);
  EXPECT_THAT(Job("a")->reason.message, HasSubstr("kernel update"));
  ASSERT_EQ(worker.session->desired().attempts[0].phase, AttemptPhase::kDrain);
  EXPECT_EQ(worker.session->desired().attempts[0].drain_deadline, now_ + Job("a")->grace);
  Commit(MakeCommit("a", 10)).value();
  Reach(worker, AttemptPhase::kEnded);
  Report(other);
  EXPECT_EQ(Job("a")->attempts[0].outcome, cluster::AttemptOutcome::kPreempted);
  EXPECT_EQ(Job("a")->attempts[0].lost_steps, 2);
  EXPECT_EQ(Job("a")->preemptions, 1);
  EXPECT_EQ(Job("a")->used_infra_retries + Job("a")->used_retries, 0);
  ASSERT_EQ(StateOf("a"), JobState::kStarting);
  EXPECT_EQ(Job("a")->attempts[1].workers, std::vector<std::string>{"w2"});
  EXPECT_EQ(Job("a")->attempts[1].resume_step, 10);
}

TEST_F(WorkersTest, WhatOughtToMoveAndDoesNotIsCounted) {
  FakeWorker worker = Connect("w1", 2);
  RunJob(worker, "a");
  Beat({&worker}, absl::Minutes(1));
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_stalls{kind=\"late_stop\"} 0"));
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_stalls{kind=\"held_slot\"} 0"));
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_stalls{kind=\"undriven\"} 0"));

  // An agent that does not end what it is told to, and keeps what nobody knows.
  cluster::AttemptStatus unknown = worker.report.attempts[0];
  unknown.job_uid = "nobody";
  worker.report.attempts.push_back(unknown);
  ASSERT_TRUE(
      core_->CancelJob({.name = Job("a")->FullName(), .reason = {}, .etag = {}}, false, now_).ok());
  Beat({&worker}, absl::Minutes(3));

  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_stalls{kind=\"late_stop\"} 1"));
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_stalls{kind=\"held_slot\"} 1"));
  worker.report.attempts.clear();
  Beat({&worker}, absl::Minutes(1));
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_stalls{kind=\"late_stop\"} 0"));
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_stalls{kind=\"held_slot\"} 0"));
}

}  // namespace
}  // namespace g2ll::testing
