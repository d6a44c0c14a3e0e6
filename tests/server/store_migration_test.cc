// Stores of earlier versions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/store/data_dir.h"
#include "server/store/schema.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/fault_vfs.h"
#include "tests/server/store_v1.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::store {
namespace {

namespace fs = std::filesystem;
using testing::FaultVfs;

void MakeStoreV1(const std::string& data_dir) {
  fs::create_directories(data_dir);
  auto database = Database::Open(StorePath(data_dir), Database::Mode::kReadWrite).value();
  const absl::Status made = database->Execute(
      absl::StrCat("PRAGMA journal_mode = WAL; BEGIN;", testing::kStoreV1, "COMMIT;"));
  ASSERT_TRUE(made.ok()) << made;
}

int64_t VersionOf(const std::string& data_dir) {
  auto database = Database::Open(StorePath(data_dir), Database::Mode::kReadWrite).value();
  Query query = database->Prepare("PRAGMA user_version").value();
  return query.Step().value() ? query.Int() : -1;
}

// Everything that the first version knew of its jobs.
void ExpectDataOfV1(const std::string& data_dir) {
  auto store = SqliteJobStore::Open(data_dir);
  ASSERT_TRUE(store.ok()) << store.status();
  const StoredState state = (*store)->Load().value();
  EXPECT_EQ(state.term, 12);
  ASSERT_EQ(state.jobs.size(), 2u);
  const bool done_is_first = state.jobs[0].uid == "uid-done";
  const cluster::JobRecord& done = state.jobs[done_is_first ? 0 : 1];
  const cluster::JobRecord& runs = state.jobs[done_is_first ? 1 : 0];
  EXPECT_EQ(done.FullName(), "projects/default/jobs/skin-g2ll");
  EXPECT_EQ(done.state, cluster::JobState::kSucceeded);
  EXPECT_EQ(*done.spec, std::string("\x0a\x01\x02"));
  EXPECT_EQ(done.labels.at("study"), "table1");
  EXPECT_EQ(done.metrics.at("loss"), 0.25);
  ASSERT_EQ(done.attempts.size(), 2u);
  EXPECT_EQ(done.attempts[0].failure->message, "worker w2 was lost");
  EXPECT_EQ(done.attempts[1].resume_step, 100);
  EXPECT_EQ(runs.state, cluster::JobState::kRunning);
  EXPECT_EQ(runs.epoch, 1);
  ASSERT_NE(runs.LiveAttempt(), nullptr);
  EXPECT_EQ(runs.LiveAttempt()->source_path, "checkpoints/uid-done/e2/s200");
  EXPECT_EQ(state.checkpoints.at(0).metrics.at("val/dice"), 0.75);
  EXPECT_TRUE(state.checkpoints.at(0).pinned);
  EXPECT_EQ(state.requests.at(0).fingerprint, "print");
  EXPECT_EQ((state.cursors.at({"uid-done", 2, 0})), 3);
  // What it did not know has the value that jobs had then.
  EXPECT_EQ(runs.queue, "default");
  EXPECT_TRUE(runs.preemptible);
  EXPECT_EQ(runs.desired, cluster::Desired::kRun);
  EXPECT_FALSE(runs.held);
  const auto reader = OpenSqliteReader(data_dir).value();
  const auto points = reader->ReadMetrics("uid-done", 1, 10).value();
  ASSERT_EQ(points.size(), 2u);
  EXPECT_TRUE(std::isnan(points[1].value));
  EXPECT_EQ(reader->ReadLogs("uid-done", 1, 10)->at(0).message, "step 100");
  EXPECT_EQ(reader->ReadEvents("uid-done", 10)->size(), 2u);
}

TEST(StoreMigrationTest, AStoreOfTheFirstVersionKeepsAllItsData) {
  const testing::TemporaryDirectory directory;
  MakeStoreV1(directory.path());

  ExpectDataOfV1(directory.path());

  EXPECT_EQ(VersionOf(directory.path()), SchemaVersion());
  ExpectDataOfV1(directory.path());
}

TEST(StoreMigrationTest, ACrashAtAnyWriteLeavesAVersionThatOpens) {
  const testing::TemporaryDirectory directory;
  const std::string data = directory.path() + "/data";
  int64_t at = 1;
  for (bool died = true; died; ++at) {
    fs::remove_all(data);
    MakeStoreV1(data);
    const pid_t child = fork();
    if (child == 0) {
      FaultVfs disk;
      disk.Arm(FaultVfs::Fault::kCrash, at);
      _exit(SqliteJobStore::Open(data).ok() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    died = WEXITSTATUS(status) == 7;
    EXPECT_NE(WEXITSTATUS(status), 1);
    const int64_t version = VersionOf(data);
    EXPECT_TRUE(version >= 1 && version <= SchemaVersion()) << "version " << version;
    ExpectDataOfV1(data);
  }

  std::cout << "writes at which a migration died in turn: " << at - 2 << "\n";
  EXPECT_GT(at, 10);
}

}  // namespace
}  // namespace g2ll::store
