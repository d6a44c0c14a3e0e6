// What keeps the core fast under many jobs and workers, seen from outside.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::JobState;
using coordinator::CreateJobCommand;

class CoreLoadTest : public CoreTest {
 protected:
  CreateJobCommand WithData(const std::string& name, uint64_t data_key) {
    CreateJobCommand command = MakeCommand(name);
    command.job.data_key = data_key;
    return command;
  }
};

TEST_F(CoreLoadTest, EqualDataAreLookedAtOnceForAllWhoWait) {
  FakeWorker worker = Connect("w1");
  EXPECT_FALSE(Create(WithData("a", 7)).has_value());
  const auto first = last_answer_;
  EXPECT_FALSE(Create(WithData("b", 7)).has_value());
  const auto second = last_answer_;
  EXPECT_FALSE(Create(WithData("c", 8)).has_value());

  EXPECT_EQ(worker.session->desired().data_checks.size(), 2U);
  Report(worker);

  ASSERT_TRUE(first->has_value() && second->has_value());
  EXPECT_TRUE((*first)->ok());
  EXPECT_TRUE((*second)->ok());
  EXPECT_TRUE(Job("b")->data_checked);
}

TEST_F(CoreLoadTest, ABadSourceIsToldToAllWhoWait) {
  FakeWorker worker = Connect("w1");
  Create(WithData("a", 7));
  const auto first = last_answer_;
  Create(WithData("b", 7));

  Report(worker, /*data_ok=*/false);

  EXPECT_TRUE(absl::IsFailedPrecondition((**first).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition((**last_answer_).status()));
}

TEST_F(CoreLoadTest, DataThatWereFineAreNotLookedAtAgainForAWhile) {
  FakeWorker worker = Connect("w1");
  Create(WithData("a", 7));
  Report(worker);

  const auto at_once = Create(WithData("b", 7));
  EXPECT_TRUE(at_once.has_value() && at_once->ok());
  EXPECT_TRUE(Job("b")->data_checked);
  EXPECT_TRUE(worker.session->desired().data_checks.empty());
  now_ += absl::Minutes(1);
  Report(worker);

  EXPECT_FALSE(Create(WithData("c", 7)).has_value());
}

TEST_F(CoreLoadTest, DataThatWereBadAreLookedAtAgain) {
  FakeWorker worker = Connect("w1");
  Create(WithData("a", 7));
  Report(worker, /*data_ok=*/false);

  EXPECT_FALSE(Create(WithData("b", 7)).has_value());
}

TEST_F(CoreLoadTest, AnAnswerThatComesTooLateForOneIsInTimeForAnother) {
  FakeWorker worker = Connect("w1");
  Create(WithData("a", 7));
  const auto first = last_answer_;
  for (int i = 0; i < 15; ++i) {
    Pass(absl::Seconds(1));
    core_->ReportWorker(worker.report, worker.session_id, now_);
  }
  Create(WithData("b", 7));
  for (int i = 0; i < 6; ++i) {
    Pass(absl::Seconds(1));
    core_->ReportWorker(worker.report, worker.session_id, now_);
  }

  ASSERT_TRUE(first->has_value());
  EXPECT_FALSE(Job("a")->data_checked);
  EXPECT_FALSE(last_answer_->has_value());
  Report(worker);
  EXPECT_TRUE(Job("b")->data_checked);
}

TEST_F(CoreLoadTest, ManyWorkersSpeakLessOftenButThriceALease) {
  FakeWorker first = Connect("w");
  EXPECT_EQ(first.session->desired().heartbeat_interval, absl::Seconds(2));
  std::vector<FakeWorker> workers;
  for (int i = 0; i < 400; ++i) {
    workers.push_back(Connect(absl::StrCat("w", i)));
  }
  EXPECT_EQ(workers.back().session->desired().heartbeat_interval, absl::Seconds(4.01));
  for (int i = 400; i < 600; ++i) {
    workers.push_back(Connect(absl::StrCat("w", i)));
  }
  EXPECT_EQ(workers.back().session->desired().heartbeat_interval, absl::Seconds(5));
}

TEST_F(CoreLoadTest, AFullQueueCountsOnlyWaitingJobsOfItsProject) {
  options_.max_pending_jobs = 2;
  StartCore();
  ASSERT_TRUE(Create(MakeCommand("j0"))->ok());
  ASSERT_TRUE(Create(MakeCommand("j1"))->ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Create(MakeCommand("one-more"))->status()));
  CreateJobCommand elsewhere = MakeCommand("elsewhere");
  elsewhere.job.project = "other";
  EXPECT_TRUE(Create(elsewhere)->ok());
  FakeWorker worker = Connect("w1");
  // Its data are looked at and it starts: there is room again.
  Pass(absl::Seconds(1));
  Report(worker);
  ASSERT_EQ(StateOf("j0"), JobState::kStarting);

  Create(MakeCommand("one-more"));
  Report(worker);

  EXPECT_TRUE((*last_answer_)->ok());
}

}  // namespace
}  // namespace g2ll::testing
