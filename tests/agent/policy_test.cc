// Decisions without processes or sockets: what a trainer's end means, how long the
// lease holds, what a rank is told.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "worker/agent/assignment.h"
#include "worker/agent/failure.h"
#include "worker/agent/lease.h"
#include "worker/agent/slot_table.h"

namespace g2ll::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RankEnd Exited(int exit_code) {
  RankEnd end;
  end.rank = 2;
  end.pid = 77;
  end.status.exit_code = exit_code;
  return end;
}

TEST(ClassifyEndTest, DonePreemptedAndFencedAreNoFailures) {
  for (int exit_code : {0, 75, 76}) EXPECT_FALSE(ClassifyEnd(Exited(exit_code)).has_value());
}

TEST(ClassifyEndTest, ExitCodesNameTheClass) {
  EXPECT_EQ(ClassifyEnd(Exited(77))->class_(), v1::Failure::CONFIG);
  EXPECT_EQ(ClassifyEnd(Exited(78))->class_(), v1::Failure::DATA);
  EXPECT_EQ(ClassifyEnd(Exited(79))->class_(), v1::Failure::NON_FINITE);
  EXPECT_EQ(ClassifyEnd(Exited(80))->class_(), v1::Failure::OUT_OF_MEMORY);
  EXPECT_EQ(ClassifyEnd(Exited(81))->class_(), v1::Failure::COLLECTIVE);
  EXPECT_EQ(ClassifyEnd(Exited(1))->class_(), v1::Failure::UNKNOWN);
}

TEST(ClassifyEndTest, SigkillIsKilledAndACrashIsUnknown) {
  RankEnd end = Exited(0);
  end.status.signal = SIGKILL;
  EXPECT_EQ(ClassifyEnd(end)->class_(), v1::Failure::KILLED);
  end.status.signal = SIGSEGV;
  EXPECT_EQ(ClassifyEnd(end)->class_(), v1::Failure::UNKNOWN);
  EXPECT_THAT(ClassifyEnd(end)->message(), HasSubstr("SIGSEGV"));
}

TEST(ClassifyEndTest, MessageHoldsTheLastLines) {
  RankEnd end = Exited(1);
  end.last_lines = {"first", "second"};

  EXPECT_EQ(ClassifyEnd(end)->message(),
            "rank 2 (process 77) ended with exit code 1; last lines: | first | second");
}

TEST(IsBetterCauseTest, OnlyALostPeerGivesWay) {
  v1::Failure echo;
  echo.set_class_(v1::Failure::COLLECTIVE);
  v1::Failure cause;
  cause.set_class_(v1::Failure::KILLED);

  EXPECT_TRUE(IsBetterCause(cause, echo));
  EXPECT_FALSE(IsBetterCause(echo, cause));
  EXPECT_FALSE(IsBetterCause(echo, echo));
  EXPECT_FALSE(IsBetterCause(cause, cause));
}

TEST(LeaseTest, HoldsFromTheSendTimeWithAMargin) {
  const Lease::Clock::time_point start{};
  Lease lease;
  EXPECT_FALSE(lease.Holds(start));

  lease.OnSent(start);
  lease.OnAnswer(absl::Seconds(15));

  EXPECT_TRUE(lease.Holds(start + std::chrono::milliseconds(11'999)));
  EXPECT_FALSE(lease.Holds(start + std::chrono::seconds(12)));
  EXPECT_EQ(lease.Age(start + std::chrono::seconds(4)), absl::Seconds(4));
}

// An answer may have been on its way before the newest state was sent.
TEST(LeaseTest, AnswerRenewsFromTheStateBeforeTheLastAnswer) {
  const Lease::Clock::time_point start{};
  Lease lease;
  lease.OnSent(start);
  lease.OnAnswer(absl::Seconds(15));
  lease.OnSent(start + std::chrono::seconds(2));

  lease.OnAnswer(absl::Seconds(15));
  EXPECT_EQ(lease.Age(start + std::chrono::seconds(3)), absl::Seconds(3));
  lease.OnAnswer(absl::Seconds(15));
  EXPECT_EQ(lease.Age(start + std::chrono::seconds(3)), absl::Seconds(1));
}

TEST(LeaseTest, NewStreamRenewsNothingByItself) {
  const Lease::Clock::time_point start{};
  Lease lease;
  lease.OnSent(start);
  lease.OnAnswer(absl::Seconds(15));

  lease.OnNewStream();
  lease.OnSent(start + std::chrono::seconds(20));

  EXPECT_FALSE(lease.Holds(start + std::chrono::seconds(20)));
}

TEST(SlotTableTest, TakesAllOrNothing) {
  SlotTable slots(3);

  EXPECT_THAT(*slots.Take(2), ElementsAre(0, 1));
  EXPECT_FALSE(slots.Take(2).has_value());
  slots.Return({0});
  EXPECT_THAT(*slots.Take(2), ElementsAre(0, 2));
}

TEST(ThreadsPerRankTest, IsTheSlotsShareUnlessTheJobWantsFewer) {
  EXPECT_EQ(ThreadsPerRank(8, 2, 0), 4);
  EXPECT_EQ(ThreadsPerRank(8, 2, 3), 3);
  EXPECT_EQ(ThreadsPerRank(8, 2, 6), 4);
  EXPECT_EQ(ThreadsPerRank(2, 4, 0), 1);
}

TEST(MakeAssignmentTest, NamesFoldersAndStoreOfTheAttempt) {
  v1::DesiredAttempt attempt;
  attempt.set_job_uid("u");
  attempt.set_epoch(3);
  attempt.set_world_size(2);
  attempt.set_store_address("host:1");
  attempt.mutable_spec()->mutable_finetune()->mutable_resources()->set_device(
      v1::ResourceSpec::CPU);
  AgentSettings settings;
  settings.device = "cuda";
  settings.work_dir = "/work-dir";

  const trainer::v1::Assignment assignment = MakeAssignment(attempt, 1, 0, settings);

  EXPECT_EQ(assignment.rank(), 1);
  EXPECT_EQ(assignment.device(), "cpu");
  EXPECT_EQ(assignment.store_prefix(), "job/u/e3");
  EXPECT_EQ(assignment.checkpoint_parent(), "checkpoints/u/e3");
  EXPECT_EQ(assignment.report_path(), "reports/u/e3");
  EXPECT_EQ(assignment.cache_dir(), "/work-dir/cache");
  EXPECT_EQ(assignment.collective_timeout().seconds(), 120);
}

TEST(DataCheckOfTest, OnlyPretrainingNeedsNoMasks) {
  v1::JobSpec pretrain;
  pretrain.mutable_pretrain()->mutable_data()->set_source("/a");
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate()->mutable_data()->set_split("test");

  EXPECT_FALSE(DataCheckOf(pretrain).needs_masks());
  EXPECT_EQ(DataCheckOf(pretrain).source(), "/a");
  EXPECT_TRUE(DataCheckOf(evaluate).needs_masks());
  EXPECT_EQ(DataCheckOf(evaluate).split(), "test");
  EXPECT_EQ(DataCheckOf(evaluate).spec().kind_case(), v1::JobSpec::kEvaluate);
}

TEST(DataCheckOfTest, OnlyMethodSupervisedNeedsClasses) {
  v1::JobSpec spec;
  spec.mutable_pretrain()->set_method(v1::PretrainSpec::DINO);
  EXPECT_FALSE(NeedsClasses(spec));
  spec.mutable_pretrain()->set_method(v1::PretrainSpec::SUPERVISED);
  EXPECT_TRUE(NeedsClasses(spec));
  spec.mutable_finetune();
  EXPECT_FALSE(NeedsClasses(spec));
}

}  // namespace
}  // namespace g2ll::agent
