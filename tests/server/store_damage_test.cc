// Stores and directories that a coordinator must not serve from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/store/data_dir.h"
#include "server/store/integrity.h"
#include "server/store/schema.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/store_records.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::store {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::BatchOf;
using testing::FullBatch;
using ::testing::HasSubstr;
using testing::MakeJob;
using ::testing::Not;

absl::Status OpenFault(const std::string& data_dir) {
  return SqliteJobStore::Open(data_dir).status();
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

// A store that a killed coordinator left: its last changes are in the log.
void MakeKilledStore(const std::string& data_dir, int num_jobs) {
  const pid_t writer = fork();
  if (writer == 0) {
    absl::StatusOr<std::unique_ptr<SqliteJobStore>> store = SqliteJobStore::Open(data_dir);
    for (int i = 0; store.ok() && i < num_jobs; ++i) {
      (*store)->Commit(FullBatch(absl::StrCat("u", i))).IgnoreError();
    }
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(writer, &status, 0);
}

class DataDirectoryTest : public ::testing::Test {
 protected:
  void Run(const std::string& sql) {
    auto database =
        Database::Open(StorePath(directory_.path()), Database::Mode::kReadWrite).value();
    ASSERT_TRUE(database->Execute(sql).ok());
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_.path() + "/" + name, std::ios::trunc) << text;
  }

  const testing::TemporaryDirectory directory_;
};

TEST_F(DataDirectoryTest, AFileIsRefused) {
  Write("file", "x");

  const absl::Status refused = OpenFault(directory_.path() + "/file");

  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(Text(refused), AllOf(HasSubstr("Not a directory"), HasSubstr("name a directory")));
}

TEST_F(DataDirectoryTest, AnotherProgramsDirectoryIsRefusedAndLeftAlone) {
  Write("PG_VERSION", "15");

  const absl::Status refused = OpenFault(directory_.path());

  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(Text(refused), AllOf(HasSubstr("PG_VERSION"), HasSubstr("name an empty")));
  EXPECT_FALSE(fs::exists(StorePath(directory_.path())));
}

TEST_F(DataDirectoryTest, FoldersAndHiddenFilesOfAVolumeDoNotMatter) {
  fs::create_directory(directory_.path() + "/lost+found");
  Write(".hidden", "");

  EXPECT_TRUE(OpenFault(directory_.path()).ok());
}

TEST_F(DataDirectoryTest, ADatabaseOfAnotherProgramIsRefusedAndLeftAlone) {
  Run("CREATE TABLE photos (id INTEGER)");

  const absl::Status refused = OpenFault(directory_.path());

  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(Text(refused), AllOf(HasSubstr("g2ll.db"), HasSubstr("another program")));
  EXPECT_FALSE(fs::exists(StorePath(directory_.path()) + "-wal"));
}

TEST_F(DataDirectoryTest, AStoreOfANewerProgramIsRefusedWithWhatToDo) {
  ASSERT_TRUE(OpenFault(directory_.path()).ok());
  Run("PRAGMA user_version = 1000");

  const absl::Status refused = OpenFault(directory_.path());

  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(Text(refused), HasSubstr("start the newer g2ll-coordinator"));
}

TEST_F(DataDirectoryTest, ADirectoryThatMayNotBeWrittenIsRefused) {
  const std::string data = directory_.path() + "/data";
  fs::create_directory(data);
  fs::permissions(directory_.path(), fs::perms(0755));
  fs::permissions(data, fs::perms(0555));
  // Root may write everywhere, so a child becomes somebody else.
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) {
      _exit(1);
    }
    const absl::Status refused = OpenFault(data);
    const bool says_what_to_do = absl::StrContains(refused.message(), data) &&
                                 absl::StrContains(refused.message(), "that this user can write");
    _exit(absl::IsPermissionDenied(refused) && says_what_to_do ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);

  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(NetworkFileSystemTest, KnowsThoseThatCannotHoldAStore) {
  EXPECT_EQ(NetworkFileSystemName(0x6969), "NFS");
  EXPECT_EQ(NetworkFileSystemName(0xff534d42), "CIFS");
  EXPECT_EQ(NetworkFileSystemName(0xffffffffff534d42), "CIFS");
  EXPECT_EQ(NetworkFileSystemName(0xef53), "") << "ext4";
  EXPECT_EQ(NetworkFileSystemName(0x65735546), "") << "FUSE may be local";
}

TEST_F(DataDirectoryTest, ADamagedFileIsRefusedWithTheNewestBackup) {
  ASSERT_TRUE(OpenFault(directory_.path()).ok());
  Write("g2ll.db", "this is not a database");
  fs::create_directory(BackupDir(directory_.path()));
  Write("backups/old.db", "");
  Write("backups/new.db", "");
  fs::last_write_time(BackupDir(directory_.path()) + "/old.db",
                      fs::file_time_type::clock::now() - std::chrono::hours(1));

  const absl::Status refused = OpenFault(directory_.path());

  EXPECT_TRUE(absl::IsDataLoss(refused));
  EXPECT_THAT(Text(refused), AllOf(HasSubstr("g2ll.db"), HasSubstr("backups/new.db"),
                                   HasSubstr("g2ll admin restore"), Not(HasSubstr("\n"))));
}

TEST_F(DataDirectoryTest, AMissingStoreBesideItsLogIsRefused) {
  MakeKilledStore(directory_.path(), 1);
  fs::remove(StorePath(directory_.path()));

  const absl::Status refused = OpenFault(directory_.path());

  EXPECT_TRUE(absl::IsDataLoss(refused));
  EXPECT_THAT(Text(refused), HasSubstr("g2ll.db is missing"));
}

TEST_F(DataDirectoryTest, AMissingLogIsNoticedEvenWithItsIndex) {
  MakeKilledStore(directory_.path(), 3);
  fs::remove(StorePath(directory_.path()) + "-wal");
  fs::remove(StorePath(directory_.path()) + "-shm");

  const absl::Status refused = OpenFault(directory_.path());

  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
  EXPECT_THAT(Text(refused), AllOf(HasSubstr("g2ll.db-wal"), HasSubstr("put the right files back"),
                                   Not(HasSubstr("\n"))));
}

TEST_F(DataDirectoryTest, AnOlderCopyInPlaceOfTheStoreIsNoticed) {
  auto store = SqliteJobStore::Open(directory_.path()).value();
  ASSERT_TRUE(store->Commit(FullBatch("u1")).ok());
  store.reset();
  fs::copy_file(StorePath(directory_.path()), directory_.path() + "/.older");
  store = SqliteJobStore::Open(directory_.path()).value();
  ASSERT_TRUE(store->Commit(FullBatch("u2")).ok());
  store.reset();
  fs::rename(directory_.path() + "/.older", StorePath(directory_.path()));

  EXPECT_TRUE(absl::IsDataLoss(OpenFault(directory_.path())));

  fs::remove(LockPath(directory_.path()));
  EXPECT_TRUE(OpenFault(directory_.path()).ok()) << "as the message says";
}

TEST_F(DataDirectoryTest, AKilledCoordinatorsStoreOpensAfterAnotherToolHasReadIt) {
  MakeKilledStore(directory_.path(), 3);
  Run("SELECT count(*) FROM jobs");  // Its last connection moves the log into the file.
  ASSERT_FALSE(fs::exists(StorePath(directory_.path()) + "-wal"));

  auto store = SqliteJobStore::Open(directory_.path());

  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->Load()->jobs.size(), 3u);
}

TEST_F(DataDirectoryTest, SyncedGroupCommitInTheWriteAheadLogIsWhatTheStoreUses) {
  auto store = SqliteJobStore::Open(directory_.path()).value();

  EXPECT_EQ(store->Durability().value(), "journal_mode=wal synchronous=2 foreign_keys=1");
}

TEST_F(DataDirectoryTest, DamagedTelemetryDoesNotKeepTheStateFromBeingServed) {
  {
    auto store = SqliteJobStore::Open(directory_.path()).value();
    WriteBatch batch = BatchOf(MakeJob("u1"));
    for (int64_t seq = 1; seq <= 2000; ++seq) {
      batch.telemetry["u1"].logs.push_back(
          {seq, 1, 0, testing::kRecordTime, "info", std::string(200, 'x')});
    }
    ASSERT_TRUE(store->Commit(batch).ok());
  }
  // Pages of the logs are all at the end.
  const auto size = static_cast<std::streamoff>(fs::file_size(StorePath(directory_.path())));
  std::fstream file(StorePath(directory_.path()), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(size - 10 * 4096);
  file << std::string(5 * 4096, '\xff');
  file.close();

  auto store = SqliteJobStore::Open(directory_.path());
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->Load()->jobs.size(), 1u);
  absl::Status found;
  absl::Notification done;
  const auto check = TelemetryCheck::Start(directory_.path(), [&](const absl::Status& status) {
    found = status;
    done.Notify();
  });
  ASSERT_TRUE(check.ok());
  done.WaitForNotification();

  EXPECT_TRUE(absl::IsDataLoss(found)) << found;
}

// Reads everything that the coordinator ever reads. Errors are fine, crashes are not.
absl::Status ReadAll(const std::string& data_dir) {
  absl::StatusOr<std::unique_ptr<SqliteJobStore>> store = SqliteJobStore::Open(data_dir);
  if (!store.ok()) {
    return store.status();
  }
  const absl::StatusOr<StoredState> state = (*store)->Load();
  if (!state.ok()) {
    return state.status();
  }
  const auto reader = OpenSqliteReader(data_dir);
  if (!reader.ok()) {
    return reader.status();
  }
  absl::Status fault;
  for (const cluster::JobRecord& job : state->jobs) {
    fault.Update((*reader)->ReadMetrics(job.uid, 1, 1000).status());
    fault.Update((*reader)->ReadLogs(job.uid, 1, 1000).status());
    fault.Update((*reader)->ReadEvents(job.uid, 1000).status());
  }
  fault.Update((*store)->NextTerm().status());
  return fault;
}

TEST(StoreDamageTest, RandomDamageIsRefusedReportedOrHarmless) {
  const testing::TemporaryDirectory directory;
  const std::string origin = directory.path() + "/origin";
  const std::string copy = directory.path() + "/copy";
  MakeKilledStore(origin, 40);
  const bool is_nightly = std::getenv("G2LL_NIGHTLY") != nullptr;
  const int num_copies = is_nightly ? 200 : 20;
  const uint32_t seed = is_nightly ? std::random_device()() : 7;
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  const auto below = [&](uint64_t bound) { return random() % bound; };
  int refused = 0;
  for (int i = 0; i < num_copies; ++i) {
    fs::remove_all(copy);
    fs::copy(origin, copy);
    // The file and its log in turn.
    const std::string path = StorePath(copy) + (i % 2 == 0 ? "" : "-wal");
    const uint64_t length = 1 + below(64);
    const uint64_t offset = below(fs::file_size(path) - length);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    for (uint64_t byte = 0; byte < length; ++byte) {
      file.put(static_cast<char>(below(256)));
    }
    file.close();
    const absl::Status read = ReadAll(copy);
    refused += read.ok() ? 0 : 1;
    EXPECT_TRUE(read.ok() || absl::IsDataLoss(read) || absl::IsFailedPrecondition(read) ||
                absl::IsInternal(read))
        << read;
    EXPECT_THAT(Text(read), Not(HasSubstr("\n")));
  }

  std::cout << "damaged copies: " << num_copies << ", refused or reported: " << refused
            << ", crashed: 0\n";
}

}  // namespace
}  // namespace g2ll::store
