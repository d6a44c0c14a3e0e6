#include "proto/common/failpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/time/clock.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::failpoint {
namespace {

using ::testing::HasSubstr;

absl::Status Commit() {
  G2LL_FAILPOINT_STATUS("store.commit.before");
  return absl::OkStatus();
}

class FailpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kBuilt) {
      GTEST_SKIP() << "built without G2LL_FAILPOINTS";
    }
  }
  void TearDown() override { EXPECT_TRUE(Arm("").ok()); }
};

TEST_F(FailpointTest, TheListIsSortedAndHasEachNameOnce) {
  EXPECT_TRUE(std::is_sorted(kNames.begin(), kNames.end()));
  EXPECT_EQ(std::adjacent_find(kNames.begin(), kNames.end()), kNames.end());
}

TEST_F(FailpointTest, APointDoesNothingUnlessItIsArmed) {
  EXPECT_TRUE(Commit().ok());
  ASSERT_TRUE(Arm("store.term.before=error=UNAVAILABLE").ok());

  EXPECT_TRUE(Commit().ok());
}

TEST_F(FailpointTest, AnErrorIsReturnedAtItsHitOnly) {
  ASSERT_TRUE(Arm("store.commit.before:2=error=RESOURCE_EXHAUSTED").ok());

  EXPECT_TRUE(Commit().ok());
  const absl::Status second = Commit();
  EXPECT_EQ(second.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(second.message()), HasSubstr("store.commit.before"));
  EXPECT_TRUE(Commit().ok());
}

TEST_F(FailpointTest, ACrashKillsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  ASSERT_TRUE(Arm("store.commit.before=crash").ok());

  EXPECT_EXIT(Commit().IgnoreError(), ::testing::KilledBySignal(SIGKILL), "");
}

TEST_F(FailpointTest, ASleepHoldsTheThread) {
  ASSERT_TRUE(Arm("store.commit.before=sleep=20").ok());
  const absl::Time start = absl::Now();

  EXPECT_TRUE(Commit().ok());

  EXPECT_GE(absl::Now() - start, absl::Milliseconds(20));
}

TEST_F(FailpointTest, APartialWriteIsCutAndNeverGrows) {
  ASSERT_TRUE(Arm("storage.file.created=partial=3").ok());

  EXPECT_EQ(G2LL_FAILPOINT_CUT("storage.file.created", size_t{10}), 3U);
  EXPECT_EQ(G2LL_FAILPOINT_CUT("storage.file.created", size_t{2}), 2U);
  EXPECT_EQ(G2LL_FAILPOINT_CUT("store.vfs.write.during", size_t{10}), 10U);
}

TEST_F(FailpointTest, ATraceHasEveryHitOfEveryPoint) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.path() + "/trace";
  ASSERT_TRUE(Arm("*=trace=" + path).ok());

  Commit().IgnoreError();
  G2LL_FAILPOINT("store.commit.after");
  Commit().IgnoreError();

  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, "store.commit.before 1\nstore.commit.after 1\nstore.commit.before 2\n");
}

TEST_F(FailpointTest, SeveralEntriesActTogether) {
  ASSERT_TRUE(Arm("store.commit.before:1=error=ABORTED;store.commit.before:2=error=INTERNAL").ok());

  EXPECT_EQ(Commit().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Commit().code(), absl::StatusCode::kInternal);
}

TEST_F(FailpointTest, WhatCannotBeReadIsRefusedWithItsEntry) {
  for (const std::string entry :
       {"store.comit.before=crash", "store.commit.before", "store.commit.before:0=crash",
        "store.commit.before:x=crash", "store.commit.before=explode",
        "store.commit.before=sleep=-1", "store.commit.before=error=SOMETHING",
        "store.commit.before=trace=", "store.commit.before=trace=/no/such/folder/x"}) {
    const absl::Status status = Arm(entry);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << entry;
    EXPECT_THAT(std::string(status.message()), HasSubstr("'" + entry + "'"));
  }
  EXPECT_TRUE(Commit().ok());
}

TEST(FailpointWithoutBuildTest, SaysThatThereAreNoPoints) {
  if (kBuilt) {
    GTEST_SKIP() << "built with G2LL_FAILPOINTS";
  }
  EXPECT_TRUE(Arm("").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Arm("store.commit.before=crash")));
}

}  // namespace
}  // namespace g2ll::failpoint
