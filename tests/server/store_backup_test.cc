// Backups of a store in use, and what restoring one does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/store/data_dir.h"
#include "server/store/restore.h"
#include "server/store/sqlite_backup.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/fault_vfs.h"
#include "tests/server/store_records.h"
#include "tests/server/store_v1.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::store {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::BatchOf;
using testing::FullBatch;
using ::testing::HasSubstr;
using testing::kRecordTime;
using testing::MakeJob;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

std::string Text(const absl::Status& status) { return std::string(status.message()); }

class StoreBackupTest : public ::testing::Test {
 protected:
  void Open() { store_ = SqliteJobStore::Open(data_).value(); }

  // Makes a copy of the store as it is and keeps it as a file.
  void BackUp() {
    const auto maker = MakeSqliteBackupMaker(data_);
    const auto backup = maker->Begin().value();
    while (!backup->Step().value()) {
    }
    fs::copy_file(backup->path(), file_, fs::copy_options::overwrite_existing);
  }

  cluster::JobRecord RunningJob(const std::string& uid, cluster::JobState state) {
    cluster::JobRecord job = MakeJob(uid);
    job.state = state;
    job.epoch = 3;
    job.attempts[0].epoch = 3;
    job.attempts[0].state = cluster::AttemptState::kRunning;
    job.attempts[0].outcome = cluster::AttemptOutcome::kNone;
    return job;
  }

  const testing::TemporaryDirectory directory_;
  const std::string data_ = directory_.path() + "/data";
  const std::string file_ = directory_.path() + "/backup.db";
  std::unique_ptr<SqliteJobStore> store_;
};

TEST_F(StoreBackupTest, ABackupUnderLoadIsTheStoreAtOneMoment) {
  const int64_t num_points = std::getenv("G2LL_NIGHTLY") != nullptr ? 1'000'000 : 200'000;
  // As long as a real one, because every row has it.
  const std::string uid = "0b5c1f9e-6c57-4c3e-9d35-5f0b4c1d7e2a";
  Open();
  ASSERT_TRUE(store_->Commit(BatchOf(MakeJob(uid))).ok());
  int64_t seq = 0;
  // One commit: points, and the job and its cursor that count them.
  const auto commit = [&](int64_t count) {
    WriteBatch batch;
    for (int64_t i = 0; i < count; ++i) {
      batch.telemetry[uid].metrics.push_back({++seq, 1, seq, 0.5, "loss", 1, kRecordTime});
    }
    cluster::JobRecord job = MakeJob(uid);
    job.last_metric_seq = seq;
    batch.jobs.push_back(std::make_shared<const cluster::JobRecord>(std::move(job)));
    batch.cursors[{uid, 1, 0}] = seq;
    const absl::Time start = absl::Now();
    EXPECT_TRUE(store_->Commit(batch).ok());
    return absl::Now() - start;
  };
  while (seq < num_points) {
    commit(5000);
  }
  absl::Duration longest_alone;
  for (int i = 0; i < 200; ++i) {
    longest_alone = std::max(longest_alone, commit(20));
  }
  const int64_t before = seq;

  std::atomic<bool> is_done = false;
  absl::Duration copying;
  std::thread copier([&] {
    const absl::Time start = absl::Now();
    BackUp();
    copying = absl::Now() - start;
    is_done = true;
  });
  absl::Duration longest;
  int64_t num_commits = 0;
  while (!is_done) {
    longest = std::max(longest, commit(20));
    ++num_commits;
  }
  copier.join();
  store_.reset();
  std::cout << "backup of " << fs::file_size(file_) / 1000000 << " MB in " << copying << " beside "
            << num_commits << " commits; longest commit " << longest << ", without a backup "
            << longest_alone << "\n";

  const std::string other = directory_.path() + "/other";
  ASSERT_TRUE(RestoreStore(file_, other, kNow).ok());
  auto restored = SqliteJobStore::Open(other).value();
  const int64_t counted = restored->Load()->jobs.at(0).last_metric_seq;
  EXPECT_GE(counted, before);
  EXPECT_LE(counted, seq);
  const auto reader = OpenSqliteReader(other).value();
  EXPECT_EQ(reader->ReadMetrics(uid, counted, 10)->size(), 1u) << "not one point more or less";
  EXPECT_FALSE(fs::exists(BackupDir(data_) + absl::StrCat("/.backup-", getpid())));
}

TEST_F(StoreBackupTest, OneBackupIsMadeAtATimeAndNoneIsLeftBehind) {
  Open();
  const auto maker = MakeSqliteBackupMaker(data_);
  {
    const auto first = maker->Begin();
    ASSERT_TRUE(first.ok()) << first.status();
    EXPECT_TRUE(absl::IsResourceExhausted(maker->Begin().status()));
  }

  EXPECT_TRUE(fs::is_empty(BackupDir(data_)));
  EXPECT_TRUE(maker->Begin().ok());
}

TEST_F(StoreBackupTest, ACopyThatWasLeftBehindGoesAtTheNextStart) {
  fs::create_directories(BackupDir(data_));
  std::ofstream(BackupDir(data_) + "/.backup-1") << "half";
  std::ofstream(BackupDir(data_) + "/kept.db") << "of the user";

  Open();

  EXPECT_FALSE(fs::exists(BackupDir(data_) + "/.backup-1"));
  EXPECT_TRUE(fs::exists(BackupDir(data_) + "/kept.db"));
}

TEST_F(StoreBackupTest, ABackupOntoAFullDiskFailsAndTheStoreGoesOn) {
  testing::FaultVfs disk;
  Open();
  ASSERT_TRUE(store_->Commit(FullBatch("u1")).ok());
  const auto maker = MakeSqliteBackupMaker(data_);
  {
    const auto backup = maker->Begin().value();
    disk.Arm(testing::FaultVfs::Fault::kDiskFull, 1, true);
    absl::StatusOr<bool> step = backup->Step();
    disk.Disarm();
    EXPECT_TRUE(absl::IsResourceExhausted(step.status())) << step.status();
  }

  EXPECT_TRUE(fs::is_empty(BackupDir(data_)));
  EXPECT_TRUE(store_->Commit(FullBatch("u2")).ok());
}

TEST_F(StoreBackupTest, ADamagedStoreGivesNoBackup) {
  Open();
  WriteBatch batch = FullBatch("u1");
  for (int64_t seq = 2; seq <= 2000; ++seq) {
    batch.telemetry["u1"].logs.push_back({seq, 1, 0, kRecordTime, "info", std::string(200, 'x')});
  }
  ASSERT_TRUE(store_->Commit(batch).ok());
  store_.reset();
  {
    std::fstream file(StorePath(data_), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(StorePath(data_))) - 10 * 4096);
    file << std::string(5 * 4096, '\xff');
  }
  Open();
  const auto maker = MakeSqliteBackupMaker(data_);
  const auto backup = maker->Begin().value();
  absl::StatusOr<bool> step = false;
  while (step.ok() && !*step) {
    step = backup->Step();
  }

  EXPECT_TRUE(absl::IsDataLoss(step.status())) << step.status();
}

TEST_F(StoreBackupTest, ARestoreFencesEverythingThatRan) {
  Open();
  store_->NextTerm().value();
  WriteBatch batch;
  using cluster::JobState;
  for (const auto& [uid, state] :
       {std::pair("runs", JobState::kRunning), std::pair("pauses", JobState::kPausing),
        std::pair("goes", JobState::kCancelling), std::pair("recovers", JobState::kRecovering)}) {
    batch.jobs.push_back(std::make_shared<const cluster::JobRecord>(RunningJob(uid, state)));
    batch.cursors[{uid, 3, 0}] = 9;
  }
  cluster::JobRecord done = MakeJob("done");
  done.state = JobState::kSucceeded;
  done.end_time = kRecordTime;
  batch.jobs.push_back(std::make_shared<const cluster::JobRecord>(done));
  ASSERT_TRUE(store_->Commit(batch).ok());
  BackUp();
  // Afterwards the job is placed twice more.
  cluster::JobRecord later = RunningJob("runs", JobState::kRunning);
  later.epoch = 5;
  later.change_seq = 40;
  ASSERT_TRUE(store_->Commit(BatchOf(later)).ok());
  store_.reset();

  const absl::StatusOr<RestoreResult> result = RestoreStore(file_, data_, kNow);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->num_jobs, 5);
  EXPECT_EQ(result->num_stopped, 4);
  Open();
  const StoredState state = store_->Load().value();
  EXPECT_GT(state.term, 1'000'000);
  EXPECT_GT(state.last_change_seq, 1'000'000) << "watchers must read everything anew";
  EXPECT_TRUE(state.cursors.empty());
  for (const cluster::JobRecord& job : state.jobs) {
    EXPECT_GT(job.epoch, 1'000'000) << job.uid;
    EXPECT_EQ(job.LiveAttempt(), nullptr) << job.uid;
    EXPECT_GT(job.attempts.at(0).epoch, 1'000'000) << job.uid;
    if (job.uid == "done") {
      EXPECT_EQ(job.state, JobState::kSucceeded);
      EXPECT_EQ(job.end_time, kRecordTime);
      continue;
    }
    EXPECT_EQ(job.state, job.uid == "pauses" ? JobState::kPaused
                         : job.uid == "goes" ? JobState::kCancelled
                                             : JobState::kPending);
    EXPECT_EQ(job.end_time, job.uid == "goes" ? kNow : absl::InfinitePast());
    EXPECT_EQ(job.reason.code, "RESTORED");
    EXPECT_EQ(job.attempts.at(0).outcome, cluster::AttemptOutcome::kLost);
    const auto reader = OpenSqliteReader(data_).value();
    EXPECT_EQ(reader->ReadEvents(job.uid, 1)->at(0).type, "RESTORED");
  }
}

TEST_F(StoreBackupTest, EveryRestoreOfOneBackupGivesNewNumbers) {
  Open();
  ASSERT_TRUE(store_->Commit(BatchOf(RunningJob("u1", cluster::JobState::kRunning))).ok());
  BackUp();
  store_.reset();
  const auto epoch_after_restore = [&](absl::Time now) {
    EXPECT_TRUE(RestoreStore(file_, data_, now).ok());
    return SqliteJobStore::Open(data_).value()->Load()->jobs.at(0).epoch;
  };

  const int64_t first = epoch_after_restore(kNow);
  const int64_t second = epoch_after_restore(kNow);
  EXPECT_GE(second, first + 1'000'000) << "also within one second";

  std::ofstream(StorePath(data_), std::ios::trunc) << "damaged";
  const int64_t third = epoch_after_restore(kNow + absl::Hours(1));
  EXPECT_NE(third, first) << "also where the old store cannot be read";
}

TEST_F(StoreBackupTest, TheOldStoreIsKeptBesideTheNewOne) {
  Open();
  ASSERT_TRUE(store_->Commit(FullBatch("u1")).ok());
  BackUp();
  ASSERT_TRUE(store_->Commit(FullBatch("u2")).ok());
  store_.reset();

  const RestoreResult result = RestoreStore(file_, data_, kNow).value();

  EXPECT_EQ(result.put_away, StorePath(data_) + ".before-restore-20270115T080000Z");
  auto old = Database::Open(result.put_away, Database::Mode::kReadWrite).value();
  Query query = old->Prepare("SELECT count(*) FROM jobs").value();
  ASSERT_TRUE(query.Step().value());
  EXPECT_EQ(query.Int(), 2);
  Open();
  EXPECT_EQ(store_->Load()->jobs.size(), 1u);
}

TEST_F(StoreBackupTest, ARestoreIsRefusedWhileACoordinatorRuns) {
  Open();
  BackUp();

  const absl::Status refused = RestoreStore(file_, data_, kNow).status();

  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(Text(refused), HasSubstr(absl::StrCat("pid ", getpid())));
}

TEST_F(StoreBackupTest, ABackupOfTheFirstVersionIsRestored) {
  {
    auto database = Database::Open(file_, Database::Mode::kReadWrite).value();
    ASSERT_TRUE(database->Execute(testing::kStoreV1).ok());
  }

  ASSERT_TRUE(RestoreStore(file_, data_, kNow).ok());

  Open();
  EXPECT_EQ(store_->Load()->jobs.size(), 2u);
}

// Each refusal leaves the store as it was.
class BadBackupTest : public StoreBackupTest {
 protected:
  void SetUp() override {
    Open();
    ASSERT_TRUE(store_->Commit(FullBatch("u1")).ok());
    BackUp();
    ASSERT_TRUE(store_->Commit(FullBatch("u2")).ok());
    store_.reset();
  }
  absl::Status Restore() { return RestoreStore(file_, data_, kNow).status(); }
  void Run(const std::string& sql) {
    auto database = Database::Open(file_, Database::Mode::kReadWrite).value();
    ASSERT_TRUE(database->Execute(sql).ok());
  }
  void TearDown() override {
    Open();
    EXPECT_EQ(store_->Load()->jobs.size(), 2u);
    EXPECT_FALSE(fs::exists(StorePath(data_) + ".restoring"));
  }
};

TEST_F(BadBackupTest, AMissingFileIsRefused) {
  fs::remove(file_);
  EXPECT_TRUE(absl::IsInvalidArgument(Restore()));
}

TEST_F(BadBackupTest, AFolderIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(RestoreStore(data_, data_, kNow).status()));
}

TEST_F(BadBackupTest, ADamagedFileIsRefusedByName) {
  fs::resize_file(file_, fs::file_size(file_) - 4096);
  const absl::Status refused = Restore();
  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
  EXPECT_THAT(Text(refused), AllOf(HasSubstr("backup.db"), Not(HasSubstr("\n"))));
}

TEST_F(BadBackupTest, ATextIsRefused) {
  std::ofstream(file_, std::ios::trunc) << "hello";
  EXPECT_TRUE(absl::IsDataLoss(Restore()));
}

TEST_F(BadBackupTest, AnEmptyFileIsRefused) {
  std::ofstream(file_, std::ios::trunc).close();
  EXPECT_TRUE(absl::IsFailedPrecondition(Restore()));
}

TEST_F(BadBackupTest, AnotherProgramsDatabaseIsRefused) {
  fs::remove(file_);
  Run("CREATE TABLE photos (id INTEGER)");
  EXPECT_TRUE(absl::IsFailedPrecondition(Restore()));
}

TEST_F(BadBackupTest, ABackupOfANewerProgramIsRefused) {
  Run("PRAGMA user_version = 1000");
  EXPECT_THAT(Text(Restore()), HasSubstr("start the newer g2ll-coordinator"));
}

TEST_F(BadBackupTest, AStoreInUseIsNoBackup) {
  std::ofstream(file_ + "-wal") << "log";
  EXPECT_THAT(Text(Restore()), HasSubstr("g2ll admin backup"));
}

}  // namespace
}  // namespace g2ll::store
