// Decisions without processes or sockets: what a trainer's end means, how long the
// lease holds, what a rank is told.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "worker/agent/assignment.h"
#include "worker/agent/failure.h"
#include "worker/agent/lease.h"
#include "worker/agent/oom_kills.h"
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

TEST(ClassifyEndTest, AKillForWantOfMemoryIsNamed) {
  RankEnd end = Exited(0);
  end.status.signal = SIGKILL;
  end.out_of_memory = true;
  EXPECT_EQ(ClassifyEnd(end)->class_(), v1::Failure::OUT_OF_MEMORY);
  EXPECT_EQ(ClassifyEnd(end)->signal(), SIGKILL);
  EXPECT_THAT(ClassifyEnd(end)->message(), HasSubstr("memory ran out"));

  end.status.signal = SIGSEGV;
  EXPECT_EQ(ClassifyEnd(end)->class_(), v1::Failure::UNKNOWN);
}

TEST(ClassifyEndTest, ABrokenDeviceIsAFaultOfTheHardwareWhateverElseIsSaid) {
  RankEnd end = Exited(81);
  end.last_lines = {"CUDA error: uncorrectable ECC error encountered"};
  EXPECT_EQ(ClassifyEnd(end)->class_(), v1::Failure::HARDWARE);

  end = Exited(1);
  end.failed.emplace();
  end.failed->set_class_(v1::Failure::UNKNOWN);
  end.failed->set_message("Unable to determine the device handle: GPU is lost");
  EXPECT_EQ(ClassifyEnd(end)->class_(), v1::Failure::HARDWARE);

  end.failed->set_message("CUDA error: device-side assert triggered");
  EXPECT_EQ(ClassifyEnd(end)->class_(), v1::Failure::UNKNOWN);
}

// A folder in the place of the kernel's.
class OomKillsTest : public testing::Test {
 protected:
  OomKillsTest() {
    char folder[] = "/tmp/g2ll_oom_kills_test_XXXXXX";
    root_ = ::mkdtemp(folder);
  }
  ~OomKillsTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::optional<int64_t> Count() { return CountOomKills(root_ + "/proc", root_ + "/cgroup"); }

  std::string root_;
};

TEST_F(OomKillsTest, AreThoseOfTheControlGroupOfEitherVersion) {
  EXPECT_FALSE(Count().has_value());
  Write("/proc/vmstat", "pgfault 9\noom_kill 7\n");
  EXPECT_EQ(Count(), 7);

  Write("/proc/self/cgroup", "3:cpu:/a\n9:memory:/docker/x:y\n");
  Write("/cgroup/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
  EXPECT_EQ(Count(), 3);
  Write("/cgroup/memory/docker/x:y/memory.oom_control", "oom_kill 2\n");
  EXPECT_EQ(Count(), 2);

  Write("/proc/self/cgroup", "0::/pod/agent\n");
  Write("/cgroup/pod/agent/memory.events", "low 0\noom 4\noom_kill 5\n");
  EXPECT_EQ(Count(), 5);
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

  lease.OnSent(1, start);
  lease.OnAnswer(1, absl::Seconds(15));

  EXPECT_TRUE(lease.Holds(start + std::chrono::milliseconds(11'999)));
  EXPECT_FALSE(lease.Holds(start + std::chrono::seconds(12)));
  EXPECT_EQ(lease.Age(start + std::chrono::seconds(4)), absl::Seconds(4));
}

TEST(LeaseTest, AnswerRenewsFromTheStateThatWasHeard) {
  const Lease::Clock::time_point start{};
  Lease lease;
  lease.OnSent(1, start);
  lease.OnSent(2, start + std::chrono::seconds(2));

  lease.OnAnswer(1, absl::Seconds(15));
  EXPECT_EQ(lease.Age(start + std::chrono::seconds(3)), absl::Seconds(3));
  lease.OnAnswer(2, absl::Seconds(15));
  EXPECT_EQ(lease.Age(start + std::chrono::seconds(3)), absl::Seconds(1));
}

TEST(LeaseTest, RepeatedAndLateAnswersRenewNothing) {
  const Lease::Clock::time_point start{};
  Lease lease;
  for (int64_t i = 0; i < 3; ++i) lease.OnSent(i + 1, start + std::chrono::seconds(2 * i));
  lease.OnAnswer(2, absl::Seconds(15));

  for (const int64_t late : {1, 2, 0}) lease.OnAnswer(late, absl::Seconds(15));

  EXPECT_EQ(lease.Age(start + std::chrono::seconds(6)), absl::Seconds(4));
}

// States that were never heard renew nothing, however many were sent.
TEST(LeaseTest, SendingRenewsNothingByItself) {
  const Lease::Clock::time_point start{};
  Lease lease;
  lease.OnSent(1, start);
  lease.OnAnswer(1, absl::Seconds(15));

  lease.OnSent(2, start + std::chrono::seconds(20));
  lease.OnAnswer(0, absl::Seconds(15));

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
