// What follows from an attempt that broke, without a core.
#include "server/coordinator/recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/coordinator/gang.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptRecord;
using cluster::FailureClass;
using cluster::FailureRecord;
using cluster::JobRecord;
using ::testing::HasSubstr;

constexpr int kSigkill = 9;

FailureRecord Failed(FailureClass failure_class) {
  FailureRecord failure;
  failure.failure_class = failure_class;
  failure.rank = 1;
  failure.worker = "w2";
  failure.message = "broke";
  return failure;
}

// A job whose last attempt trained and broke.
JobRecord Broken(FailureClass failure_class) {
  JobRecord job;
  job.max_retries = 0;
  job.max_infra_retries = 20;
  AttemptRecord attempt;
  attempt.number = 1;
  attempt.run_time = absl::FromUnixSeconds(1700000000);
  attempt.failure = Failed(failure_class);
  job.attempts.push_back(attempt);
  return job;
}

// Every class, once.
const std::vector<FailureClass>& AllClasses() {
  static const auto& classes = *new std::vector<FailureClass>{
      FailureClass::kConfig,      FailureClass::kData,       FailureClass::kNonFinite,
      FailureClass::kOutOfMemory, FailureClass::kCollective, FailureClass::kWorkerLost,
      FailureClass::kStorage,     FailureClass::kKilled,     FailureClass::kStartTimeout,
      FailureClass::kUnknown,     FailureClass::kHardware};
  return classes;
}

TEST(RecoveryTest, FaultsOfTheJobEndItUnlessRetriesWereAskedFor) {
  for (const FailureClass failure_class :
       {FailureClass::kConfig, FailureClass::kData, FailureClass::kNonFinite,
        FailureClass::kOutOfMemory, FailureClass::kUnknown}) {
    JobRecord job = Broken(failure_class);
    EXPECT_FALSE(DecideRecovery(job, {}).retry);
    EXPECT_EQ(DecideRecovery(job, {}).reason.code, cluster::Name(failure_class));
    EXPECT_THAT(DecideRecovery(job, {}).reason.message, HasSubstr("policy.maxRetries 0"));

    job.max_retries = 1;
    EXPECT_TRUE(DecideRecovery(job, {}).retry);
    EXPECT_EQ(DecideRecovery(job, {}).used_retries, 1);
    EXPECT_EQ(DecideRecovery(job, {}).used_infra_retries, 0);
  }
}

TEST(RecoveryTest, FaultsOfTheInfrastructureHaveABudgetOfTheirOwn) {
  for (const FailureClass failure_class :
       {FailureClass::kCollective, FailureClass::kWorkerLost, FailureClass::kStorage,
        FailureClass::kKilled, FailureClass::kHardware}) {
    JobRecord job = Broken(failure_class);
    EXPECT_TRUE(DecideRecovery(job, {}).retry);
    EXPECT_EQ(DecideRecovery(job, {}).used_infra_retries, 1);
    EXPECT_EQ(DecideRecovery(job, {}).used_retries, 0);

    job.used_infra_retries = 20;
    EXPECT_FALSE(DecideRecovery(job, {}).retry);
    EXPECT_THAT(DecideRecovery(job, {}).reason.message, HasSubstr("policy.maxInfraRetries 20"));
    job.max_infra_retries = -1;
    EXPECT_TRUE(DecideRecovery(job, {}).retry);
  }
}

TEST(RecoveryTest, AnAgentThatIsStoppedCostsNothing) {
  JobRecord job = Broken(FailureClass::kWorkerLost);
  job.attempts[0].failure->reason = kWorkerStopped;
  job.used_infra_retries = 20;
  job.without_progress = 2;

  const Recovery recovery = DecideRecovery(job, {});

  EXPECT_TRUE(recovery.retry);
  EXPECT_EQ(recovery.used_infra_retries, 20);
  EXPECT_EQ(recovery.without_progress, 2);
  EXPECT_EQ(recovery.wait, absl::ZeroDuration());
}

TEST(RecoveryTest, ThreeAttemptsWithoutANewerCheckpointEndTheJob) {
  JobRecord job = Broken(FailureClass::kKilled);
  job.latest_checkpoint = "c";
  job.latest_checkpoint_step = 40;
  job.attempts[0].resume_step = 40;
  job.without_progress = 1;
  EXPECT_TRUE(DecideRecovery(job, {}).retry);
  EXPECT_EQ(DecideRecovery(job, {}).without_progress, 2);

  job.without_progress = 2;
  EXPECT_FALSE(DecideRecovery(job, {}).retry);
  EXPECT_EQ(DecideRecovery(job, {}).reason.code, "NO_PROGRESS");
  EXPECT_THAT(DecideRecovery(job, {}).reason.message, HasSubstr("rank 1 on w2"));

  job.latest_checkpoint_step = 41;
  EXPECT_TRUE(DecideRecovery(job, {}).retry);
  EXPECT_EQ(DecideRecovery(job, {}).without_progress, 0);
}

// An evaluation writes no checkpoints: its budgets alone bound it.
TEST(RecoveryTest, AnEvaluationNeedsNoCheckpoints) {
  JobRecord job = Broken(FailureClass::kKilled);
  job.kind = cluster::JobKind::kEvaluate;
  job.without_progress = 2;

  EXPECT_TRUE(DecideRecovery(job, {}).retry);
}

TEST(RecoveryTest, AttemptsThatDidNotStartAreCountedApart) {
  JobRecord job = Broken(FailureClass::kStartTimeout);
  job.attempts[0].run_time = absl::InfinitePast();
  job.without_progress = 2;
  job.failed_starts = 3;
  EXPECT_TRUE(DecideRecovery(job, {}).retry);
  EXPECT_EQ(DecideRecovery(job, {}).failed_starts, 4);
  EXPECT_EQ(DecideRecovery(job, {}).without_progress, 2);

  job.without_progress = 0;
  job.attempts[0].run_time = absl::FromUnixSeconds(1700000000);
  EXPECT_EQ(DecideRecovery(job, {}).failed_starts, 0);
}

TEST(RecoveryTest, AGangThatFailsToStartWaitsLongerEachTimeAndIsHeldInTheEnd) {
  JobRecord job = Broken(FailureClass::kStartTimeout);
  job.attempts[0].run_time = absl::InfinitePast();
  std::vector<absl::Duration> waits;
  for (job.failed_starts = 0; job.failed_starts < 4; ++job.failed_starts) {
    EXPECT_FALSE(DecideRecovery(job, {}).hold);
    waits.push_back(DecideRecovery(job, {}).wait);
  }

  EXPECT_EQ(waits, (std::vector<absl::Duration>{absl::ZeroDuration(), absl::Minutes(1),
                                                absl::Minutes(2), absl::Minutes(4)}));
  EXPECT_TRUE(DecideRecovery(job, {}).hold);
  EXPECT_EQ(DecideRecovery(job, {}).reason.code, "HELD");
  EXPECT_THAT(DecideRecovery(job, {}).reason.message, HasSubstr("5 starts in a row failed"));
}

TEST(RecoveryTest, AHostThatRanOutOfMemoryIsTriedElsewhereOnce) {
  JobRecord job = Broken(FailureClass::kOutOfMemory);
  job.attempts[0].failure->signal = kSigkill;
  EXPECT_TRUE(BlamesHost(*job.attempts[0].failure));
  EXPECT_TRUE(DecideRecovery(job, {}).retry);
  EXPECT_EQ(DecideRecovery(job, {}).used_infra_retries, 1);

  job.attempts.push_back(job.attempts[0]);
  EXPECT_FALSE(DecideRecovery(job, {}).retry);
  EXPECT_THAT(DecideRecovery(job, {}).reason.message, HasSubstr("a second host"));
}

TEST(RecoveryTest, WaitsGrowFromNothingToTheLongest) {
  std::vector<absl::Duration> waits;
  for (int32_t used = 0; used < 9; ++used) {
    JobRecord job = Broken(FailureClass::kKilled);
    job.used_infra_retries = used;
    waits.push_back(DecideRecovery(job, {}).wait);
  }

  EXPECT_THAT(waits,
              ::testing::ElementsAre(absl::ZeroDuration(), absl::Seconds(5), absl::Seconds(10),
                                     absl::Seconds(20), absl::Seconds(40), absl::Seconds(80),
                                     absl::Seconds(160), absl::Minutes(5), absl::Minutes(5)));
}

TEST(BlamesHostTest, OnlyWhatAHostCanBeBlamedFor) {
  std::vector<FailureClass> blamed;
  for (const FailureClass failure_class : AllClasses()) {
    if (BlamesHost(Failed(failure_class))) {
      blamed.push_back(failure_class);
    }
  }

  EXPECT_THAT(blamed, ::testing::ElementsAre(FailureClass::kWorkerLost, FailureClass::kStorage,
                                             FailureClass::kKilled, FailureClass::kHardware));
}

}  // namespace
}  // namespace g2ll::coordinator
