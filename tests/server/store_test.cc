#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/store_records.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::store {
namespace {

using testing::BatchOf;
using ::testing::HasSubstr;
using testing::MakeJob;

std::unique_ptr<SqliteJobStore> OpenStore(const std::string& path) {
  absl::StatusOr<std::unique_ptr<SqliteJobStore>> store = SqliteJobStore::Open(path);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

TEST(SqliteJobStoreTest, ASecondCoordinatorIsRefusedWithTheFirstOnesPid) {
  const testing::TemporaryDirectory directory;
  auto store = OpenStore(directory.path());

  const absl::Status refused = SqliteJobStore::Open(directory.path()).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(absl::StrCat("pid ", getpid())));
}

// Stored means stored: the writer is killed right after its commit returned.
TEST(SqliteJobStoreTest, ACommittedJobSurvivesAKilledWriter) {
  const testing::TemporaryDirectory directory;
  const pid_t writer = fork();
  if (writer == 0) {
    auto store = SqliteJobStore::Open(directory.path());
    if (store.ok() && (*store)->Commit(BatchOf(MakeJob("u1"))).ok()) {
      kill(getpid(), SIGKILL);
    }
    _exit(1);
  }
  int status = 0;
  waitpid(writer, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));

  auto store = OpenStore(directory.path());

  EXPECT_EQ(store->Load()->jobs.size(), 1u);
}

}  // namespace
}  // namespace g2ll::store
