// The store on a disk that fails at every moment there is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/store/data_dir.h"
#include "server/store/schema.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/fault_vfs.h"
#include "tests/server/store_records.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::store {
namespace {

using testing::FaultVfs;
using testing::FullBatch;
using ::testing::HasSubstr;

// Jobs that a new process finds; -1 if only a part of the last batch is there.
int64_t JobsFound(const std::string& directory) {
  absl::StatusOr<std::unique_ptr<SqliteJobStore>> store = SqliteJobStore::Open(directory);
  EXPECT_TRUE(store.ok()) << store.status();
  if (!store.ok()) {
    return -1;
  }
  const StoredState state = (*store)->Load().value();
  const auto jobs = static_cast<int64_t>(state.jobs.size());
  const auto of = [&](size_t rows) { return static_cast<int64_t>(rows) == jobs; };
  const auto reader = OpenSqliteReader(directory).value();
  int64_t points = 0;
  for (const cluster::JobRecord& job : state.jobs) {
    points += static_cast<int64_t>(reader->ReadMetrics(job.uid, 1, 10)->size());
  }
  const bool whole = of(state.checkpoints.size()) && of(state.requests.size()) &&
                     of(state.cursors.size()) && points == jobs;
  return whole ? jobs : -1;
}

// Copies the files as they are now, as if the process had died.
void CopyAsAfterACrash(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

class StoreFaultTest : public ::testing::TestWithParam<FaultVfs::Fault> {
 protected:
  StoreFaultTest() { std::filesystem::create_directory(data_); }

  const testing::TemporaryDirectory directory_;
  const std::string data_ = directory_.path() + "/data";
  const std::string copy_ = directory_.path() + "/copy";
};

TEST_P(StoreFaultTest, ACommitThatFailsAtAnyStepIsNeverAcknowledgedInPart) {
  int64_t steps = 0;
  for (bool failed = true; failed; ++steps) {
    std::filesystem::remove_all(data_);
    FaultVfs disk;
    auto store = SqliteJobStore::Open(data_).value();
    ASSERT_TRUE(store->Commit(FullBatch("u1")).ok());
    disk.Arm(GetParam(), steps + 1);
    const absl::Status committed = store->Commit(FullBatch("u2"));
    failed = disk.operations() > steps;
    disk.Disarm();
    CopyAsAfterACrash(data_, copy_);
    if (committed.ok()) {
      EXPECT_EQ(JobsFound(copy_), 2) << "operation " << steps + 1;
    } else if (absl::IsDataLoss(committed)) {
      // Nobody can tell, so nothing more is done with it.
      EXPECT_THAT(JobsFound(copy_), ::testing::AnyOf(1, 2)) << "operation " << steps + 1;
      EXPECT_TRUE(absl::IsDataLoss(store->Commit(FullBatch("u3"))));
      EXPECT_TRUE(absl::IsDataLoss(store->Load().status()));
    } else {
      EXPECT_EQ(JobsFound(copy_), 1) << "operation " << steps + 1;
      EXPECT_EQ(store->Load()->jobs.size(), 1u);
      EXPECT_TRUE(store->Commit(FullBatch("u2")).ok()) << "there is room again";
      EXPECT_EQ(store->Load()->jobs.size(), 2u);
    }
  }

  std::cout << "operations of one commit that failed in turn: " << steps - 1 << "\n";
  EXPECT_GT(steps, 1);
}

INSTANTIATE_TEST_SUITE_P(Faults, StoreFaultTest,
                         ::testing::Values(FaultVfs::Fault::kDiskFull, FaultVfs::Fault::kWriteError,
                                           FaultVfs::Fault::kShortWrite,
                                           FaultVfs::Fault::kSyncError));

TEST(StoreSyncTest, AfterAFailedSyncNothingIsAnsweredAnyMore) {
  const testing::TemporaryDirectory directory;
  FaultVfs disk;
  auto store = SqliteJobStore::Open(directory.path()).value();
  ASSERT_TRUE(store->Commit(FullBatch("u1")).ok());

  disk.Arm(FaultVfs::Fault::kSyncError, 1);
  const absl::Status failed = store->Commit(FullBatch("u2"));
  disk.Disarm();

  EXPECT_TRUE(absl::IsDataLoss(failed)) << failed;
  EXPECT_EQ(disk.operations(), 1);
  EXPECT_EQ(store->Commit(FullBatch("u3")), failed);
  EXPECT_EQ(store->NextTerm().status(), failed);
}

// What a child does on the faulty disk before it dies at operation `at`. Returns
// whether it died; `acknowledged` says whether it got to the end of `work` before.
bool DiesAt(int64_t at, const std::function<bool()>& work, bool* acknowledged) {
  int pipe_ends[2];
  EXPECT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    FaultVfs disk;
    disk.Arm(FaultVfs::Fault::kCrash, at);
    if (work() && write(pipe_ends[1], "k", 1) != 1) {
      _exit(2);
    }
    _exit(0);
  }
  close(pipe_ends[1]);
  char byte = 0;
  *acknowledged = read(pipe_ends[0], &byte, 1) == 1;
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_NE(WEXITSTATUS(status), 2);
  return WEXITSTATUS(status) == 7;
}

TEST(StoreCrashTest, AProcessThatDiesAtAnyWriteLosesNothingAcknowledged) {
  const testing::TemporaryDirectory directory;
  const std::string data = directory.path() + "/data";
  int64_t at = 1;
  bool acknowledged = false;
  const auto work = [&] {
    absl::StatusOr<std::unique_ptr<SqliteJobStore>> store = SqliteJobStore::Open(data);
    return store.ok() && (*store)->NextTerm().ok() && (*store)->Commit(FullBatch("u1")).ok();
  };
  for (; std::filesystem::remove_all(data), DiesAt(at, work, &acknowledged); ++at) {
    const int64_t found = JobsFound(data);
    EXPECT_THAT(found, ::testing::AnyOf(0, 1)) << "died at operation " << at;
    EXPECT_EQ(acknowledged && found != 1, false) << "died at operation " << at;
  }

  std::cout << "operations at which the process died in turn: " << at - 1 << "\n";
  EXPECT_TRUE(acknowledged);
  EXPECT_GT(at, 10);
}

TEST(StoreCrashTest, AStoreThatCannotBeMadeForLackOfRoomSaysSo) {
  const testing::TemporaryDirectory directory;
  FaultVfs disk;
  disk.Arm(FaultVfs::Fault::kDiskFull, 1, true);

  const absl::Status refused = SqliteJobStore::Open(directory.path()).status();
  disk.Disarm();

  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("make room"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("g2ll.db"));
}

}  // namespace
}  // namespace g2ll::store
