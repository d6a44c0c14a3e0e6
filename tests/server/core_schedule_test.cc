// Scheduling end to end in the core: what plans lead to, what is stored, what is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptPhase;
using cluster::JobState;
using cluster::Priority;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ScheduleTest : public CoreTest {
 protected:
  static std::string FullName(const std::string& name) { return "projects/default/jobs/" + name; }

  // Creates a job whose data are there.
  void Submit(FakeWorker& worker, const coordinator::CreateJobCommand& command) {
    Create(command);
    Report(worker);
  }

  coordinator::CreateJobCommand MakeGang(const std::string& name, int32_t min, int32_t max) {
    coordinator::CreateJobCommand command = MakeCommand(name);
    command.job.min_ranks = min;
    command.job.max_ranks = max;
    command.job.global_batch = 16;
    return command;
  }

  // Brings everything that is wanted of the worker to work.
  void Work(FakeWorker& worker) {
    Reach(worker, AttemptPhase::kPrepared);
    Reach(worker, AttemptPhase::kTraining);
  }

  // Passes time while the worker reports.
  void PassWith(FakeWorker& worker, absl::Duration duration) {
    for (const absl::Time end = now_ + duration; now_ < end;) {
      Report(worker);
      Pass(absl::Seconds(1));
    }
  }

  // The attempt of one job ends, with the code for it if it was asked to; the others of
  // the worker go on.
  void End(FakeWorker& worker, const std::string& name, int32_t code = 0) {
    for (const cluster::DesiredAttempt& wanted : worker.session->desired().attempts) {
      const bool asked =
          wanted.phase == AttemptPhase::kDrain || wanted.phase == AttemptPhase::kStop;
      if (asked && code == 0 && wanted.job_uid == Job(name)->uid) {
        code = 75;
      }
    }
    for (cluster::AttemptStatus& status : worker.report.attempts) {
      if (status.job_uid == Job(name)->uid) {
        status.phase = AttemptPhase::kEnded;
        for (cluster::RankStatus& rank : status.ranks) {
          rank.exited = true;
          rank.exit_code = code;
        }
      }
    }
    Report(worker);
  }

  cluster::JobExplanation Explain(const std::string& name) {
    return core_->ExplainJob(FullName(name)).value();
  }
};

TEST_F(ScheduleTest, AJobOfHigherPriorityStopsAnotherAtACheckpointAndTakesItsSlot) {
  FakeWorker worker = Connect("w1");
  coordinator::CreateJobCommand low = MakeCommand("low");
  low.job.priority = Priority::kLow;
  Submit(worker, low);
  Work(worker);
  PassWith(worker, absl::Minutes(5));
  coordinator::CreateJobCommand high = MakeCommand("high");
  high.job.priority = Priority::kHigh;

  Submit(worker, high);

  EXPECT_EQ(StateOf("low"), JobState::kPreempting);
  EXPECT_EQ(Job("low")->attempts.back().stopped_for, Job("high")->uid);
  EXPECT_EQ(Job("low")->reason.message,
            "stops at a checkpoint for projects/default/jobs/high, which has a higher priority");
  EXPECT_EQ(Job("high")->reason.code, "WAITING_FOR_PREEMPTION");
  const cluster::JobExplanation why = Explain("high");
  EXPECT_THAT(why.blockers, ElementsAre(FullName("low")));
  EXPECT_EQ(why.estimated_start, now_ + Job("low")->grace);

  End(worker, "low");
  EXPECT_EQ(StateOf("high"), JobState::kStarting);
  EXPECT_EQ(StateOf("low"), JobState::kPending);
  EXPECT_EQ(Job("low")->used_retries + Job("low")->used_infra_retries, 0);
}

TEST_F(ScheduleTest, FreedSlotsGoToTheJobThatTheyWereFreedFor) {
  FakeWorker worker = Connect("w1");
  coordinator::CreateJobCommand low = MakeCommand("low");
  low.job.priority = Priority::kLow;
  Submit(worker, low);
  Work(worker);
  PassWith(worker, absl::Minutes(5));
  Submit(worker, MakeCommand("normal"));
  ASSERT_EQ(StateOf("low"), JobState::kPreempting);
  coordinator::CreateJobCommand high = MakeCommand("high");
  high.job.priority = Priority::kHigh;
  Submit(worker, high);

  End(worker, "low");

  EXPECT_EQ(StateOf("normal"), JobState::kStarting);
  EXPECT_EQ(StateOf("high"), JobState::kPending);
}

TEST_F(ScheduleTest, AReasonIsStoredWhenItsCodeChangesAndToldWithTodaysNumbers) {
  FakeWorker worker = Connect("w1", 2);
  Submit(worker, MakeCommand("a"));
  Submit(worker, MakeGang("big", 2, 2));
  Work(worker);
  ASSERT_EQ(Job("big")->reason.code, "WAITING_FOR_SLOTS");
  const int64_t revision = Job("big")->revision;
  EXPECT_EQ(Explain("big").slots_free, 1);

  coordinator::CreateJobCommand first = MakeCommand("first");
  first.job.priority = Priority::kHigh;
  Submit(worker, first);

  EXPECT_EQ(StateOf("first"), JobState::kStarting);
  Pass(absl::Seconds(1));
  EXPECT_EQ(Job("big")->revision, revision);
  const cluster::JobExplanation why = Explain("big");
  EXPECT_EQ(why.slots_free, 0);
  EXPECT_EQ(why.slots_needed, 2);
  EXPECT_EQ(why.slots_total, 2);
  EXPECT_EQ(why.reason.code, "WAITING_FOR_SLOTS");
  EXPECT_THAT(why.reason.message, HasSubstr("0 slots are free of 2"));
  EXPECT_THAT(why.blockers, ElementsAre(FullName("a"), FullName("first")));
}

TEST_F(ScheduleTest, WaitingJobsAreListedInTheirOrderByPages) {
  FakeWorker worker = Connect("w1");
  Submit(worker, MakeCommand("runs"));
  for (const char* name : {"b", "a", "c"}) {
    Submit(worker, MakeCommand(name));
    now_ += absl::Seconds(1);
  }
  coordinator::CreateJobCommand urgent = MakeCommand("urgent");
  urgent.job.priority = Priority::kHigh;
  Submit(worker, urgent);

  const coordinator::WaitingPage page = core_->ListWaiting("default", 1, 2);

  EXPECT_EQ(page.total, 4);
  ASSERT_EQ(page.jobs.size(), 2u);
  EXPECT_EQ(page.jobs[0].job, FullName("b"));
  EXPECT_EQ(page.jobs[0].position, 2);
  EXPECT_EQ(page.jobs[0].reason.code, "WAITING_BEHIND");
  EXPECT_THAT(page.jobs[0].blockers, ElementsAre(FullName("urgent")));
  EXPECT_EQ(page.jobs[1].job, FullName("a"));
  EXPECT_EQ(core_->ListWaiting("other", 0, 10).total, 0);
  EXPECT_EQ(core_->ListWaiting("", 0, 10).total, 4);
}

TEST_F(ScheduleTest, WhoseParentFailsFailsTooDownTheWholeChain) {
  FakeWorker worker = Connect("w1");
  Submit(worker, MakeCommand("parent"));
  for (int i = 0; i < 50; ++i) {
    coordinator::CreateJobCommand child = MakeCommand(absl::StrCat("c", i));
    child.depends_on = {i == 0 ? "parent" : absl::StrCat("c", i - 1)};
    Submit(worker, child);
  }
  EXPECT_THAT(Explain("c1").blockers, ElementsAre(FullName("c0")));

  ASSERT_TRUE(
      core_->CancelJob({.name = FullName("parent"), .reason = {}, .etag = {}}, false, now_).ok());
  Flush();
  Reach(worker, AttemptPhase::kEnded);

  EXPECT_EQ(StateOf("parent"), JobState::kCancelled);
  EXPECT_EQ(Job("c0")->reason.message, "job parent that it needs is CANCELLED");
  EXPECT_EQ(StateOf("c49"), JobState::kFailed);
  EXPECT_EQ(Job("c49")->reason.code, "DEPENDENCY_FAILED");
}

TEST_F(ScheduleTest, AChildThatIsHeldStartsWhenAUserLetsIt) {
  FakeWorker worker = Connect("w1");
  Submit(worker, MakeCommand("parent"));
  coordinator::CreateJobCommand child = MakeCommand("child");
  child.depends_on = {"parent"};
  child.job.on_failed_dependency = cluster::OnFailedDependency::kHold;
  Submit(worker, child);
  ASSERT_TRUE(
      core_->CancelJob({.name = FullName("parent"), .reason = {}, .etag = {}}, false, now_).ok());
  Flush();
  Reach(worker, AttemptPhase::kEnded);
  PassWith(worker, absl::Seconds(3));

  EXPECT_EQ(StateOf("child"), JobState::kPending);
  EXPECT_TRUE(Job("child")->held);
  EXPECT_EQ(Job("child")->reason.code, "HELD");
  EXPECT_THAT(Explain("child").reason.message, HasSubstr("job parent that it needs is CANCELLED"));

  StartCore();  // A held job stays held.
  Reconnect(worker);
  EXPECT_TRUE(Job("child")->held);
  ASSERT_TRUE(core_->ResumeJob({.name = FullName("child"), .reason = {}, .etag = {}}, now_).ok());
  Flush();
  EXPECT_EQ(StateOf("child"), JobState::kStarting);
}

TEST_F(ScheduleTest, AGangThatNeverStartsIsHeldUntilAUserResumesIt) {
  FakeWorker worker = Connect("w1");
  Submit(worker, MakeCommand("a"));
  for (int start = 1; start <= 5; ++start) {
    ASSERT_EQ(StateOf("a"), JobState::kStarting) << "start " << start;
    Reach(worker, AttemptPhase::kPrepared);
    End(worker, "a", 81);  // Its collective broke before all had joined.
    worker.report.attempts.clear();
    PassWith(worker,
             start < 5 ? Job("a")->not_before - now_ + absl::Seconds(1) : absl::Minutes(10));
  }

  EXPECT_EQ(StateOf("a"), JobState::kPending);
  EXPECT_TRUE(Job("a")->held);
  EXPECT_EQ(Job("a")->reason.code, "HELD");
  EXPECT_THAT(Explain("a").reason.message, HasSubstr("5 starts in a row failed"));
  EXPECT_EQ(Explain("a").advice, "resume or cancel the job");
  ASSERT_TRUE(core_->ResumeJob({.name = FullName("a"), .reason = {}, .etag = {}}, now_).ok());
  Flush();
  EXPECT_EQ(StateOf("a"), JobState::kStarting);
}

TEST_F(ScheduleTest, AnElasticJobGrowsWhenSlotsStayIdle) {
  FakeWorker worker = Connect("w1", 2);
  Submit(worker, MakeCommand("other"));
  Submit(worker, MakeGang("elastic", 1, 2));
  Work(worker);
  ASSERT_EQ(Job("elastic")->attempts.back().world_size(), 1);
  PassWith(worker, absl::Minutes(5));
  ASSERT_TRUE(
      core_->CancelJob({.name = FullName("other"), .reason = {}, .etag = {}}, false, now_).ok());
  Flush();
  End(worker, "other");
  PassWith(worker, absl::Seconds(58));
  EXPECT_EQ(StateOf("elastic"), JobState::kRunning);

  PassWith(worker, absl::Seconds(4));
  EXPECT_EQ(StateOf("elastic"), JobState::kPreempting);
  EXPECT_EQ(Job("elastic")->reason.code, "RESIZED");
  End(worker, "elastic");

  EXPECT_EQ(StateOf("elastic"), JobState::kStarting);
  EXPECT_EQ(Job("elastic")->attempts.back().world_size(), 2);
  Work(worker);
  PassWith(worker, absl::Minutes(20));
  EXPECT_EQ(Job("elastic")->attempts.size(), 2u);
}

TEST_F(ScheduleTest, AnEqualSpecTellsHowLongAJobTakes) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "first");
  worker.report.attempts[0].report_path = "";
  PassWith(worker, absl::Minutes(3));
  ASSERT_TRUE(Commit(MakeCommit("first", 10)).ok());
  End(worker, "first");
  ASSERT_EQ(StateOf("first"), JobState::kSucceeded);
  coordinator::CreateJobCommand second = MakeCommand("second");
  second.job.spec = Job("first")->spec;
  Submit(worker, second);
  const absl::Time start = now_;
  Submit(worker, MakeCommand("third"));

  EXPECT_EQ(Explain("third").estimated_start, start + absl::Minutes(3));
  StartCore();
  Reconnect(worker);
  EXPECT_EQ(Explain("third").estimated_start, start + absl::Minutes(3));
}

TEST_F(ScheduleTest, CyclesTakeAtMostHalfOfTheTime) {
  FakeWorker worker = Connect("w1");
  Submit(worker, MakeCommand("a"));
  cycle_step_ = absl::Milliseconds(10);  // From now on a cycle takes 10 ms.
  Submit(worker, MakeCommand("b"));
  cycle_step_ = absl::ZeroDuration();

  Submit(worker, MakeCommand("c"));
  EXPECT_EQ(Explain("c").position, 0) << "no cycle has looked at it yet";
  EXPECT_EQ(core_->ListWaiting("", 0, 10).total, 2);
  EXPECT_GT(core_->schedule_time(), cycle_now_);

  cycle_now_ = core_->schedule_time();
  Flush();
  EXPECT_EQ(Explain("c").position, 2);
  EXPECT_EQ(core_->schedule_time(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace g2ll::testing
