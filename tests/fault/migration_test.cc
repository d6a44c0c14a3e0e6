// A crash while an old store is brought to the newest schema: it opens as the old or as the
// new one, with everything in it.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/store/schema.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/coordinator_process.h"
#include "tests/sim/job_client.h"

namespace g2ll::fault {
namespace {

// A job as the first version stored it.
constexpr char kJobOfVersion1[] = R"sql(
INSERT INTO jobs (uid, project, name, kind, revision, labels, spec, min_ranks, max_ranks,
  global_batch, priority, device, cpus_per_rank, max_retries, max_infra_retries, source,
  dependencies, data_source, data_split, needs_masks, state, reason_code, reason_message,
  data_checked, create_time, start_time, end_time, not_before, used_retries,
  used_infra_retries, epoch, progress, metrics, best_metric, latest_checkpoint,
  latest_checkpoint_step, lineage, report_path, last_metric_seq, last_log_seq,
  last_metric_step)
VALUES ('u1', 'default', 'old', 1, 1, '{}', x'', 1, 1, 8, 2, 1, 1, 0, 0, 'none', '[]',
  'synthetic:dermoscopy?count=8&seed=1', '', 0, 9, 'DONE', '', 1, 1000000, 1000000, 2000000,
  NULL, 0, 0, 1, '{}', '{}', '{}', '', 0, '[]', '', 1, 0, 1);
INSERT INTO metrics VALUES ('u1', 1, 1, 1, 0.5, 'loss', 0.25, 1500000);
)sql";

class MigrationTest : public ::testing::Test {
 protected:
  // Makes a store of the first version with a job in it.
  void SetUp() override {
    if (store::SchemaVersion() < 2) {
      GTEST_SKIP() << "there is only one version so far";
    }
    ASSERT_FALSE(Start(old_, "store.migrate.before:2=crash").ok());
    ASSERT_EQ(VersionOf(old_), 1);
    Execute(old_, kJobOfVersion1);
  }

  static std::string DatabaseOf(const std::string& directory) {
    return directory + "/data/g2ll.db";
  }

  // Starts a coordinator on a directory with fail points and lets it die of them; without,
  // it listens and is returned.
  static absl::StatusOr<std::unique_ptr<sim::CoordinatorProcess>> Start(
      const std::string& directory, const std::string& failpoints) {
    return sim::CoordinatorProcess::Start(
        {.directory = directory, .environment = {{"G2LL_FAILPOINTS", failpoints}}});
  }

  static void Execute(const std::string& directory, const char* sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(DatabaseOf(directory).c_str(), &database), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, &error), SQLITE_OK)
        << (error == nullptr ? "" : error);
    sqlite3_free(error);
    sqlite3_close(database);
  }

  // First value of a query as text; empty if it fails.
  static std::string Ask(const std::string& directory, const char* sql) {
    sqlite3* database = nullptr;
    std::string answer;
    if (sqlite3_open(DatabaseOf(directory).c_str(), &database) == SQLITE_OK) {
      sqlite3_exec(
          database, sql,
          [](void* target, int, char** values, char**) {
            *static_cast<std::string*>(target) = values[0] == nullptr ? "" : values[0];
            return 0;
          },
          &answer, nullptr);
    }
    sqlite3_close(database);
    return answer;
  }

  static int VersionOf(const std::string& directory) {
    return std::atoi(Ask(directory, "PRAGMA user_version").c_str());
  }

  const testing::TemporaryDirectory directory_;
  const std::string old_ = directory_.path() + "/old";
};

TEST_F(MigrationTest, ACrashAtAnyStepLeavesTheOldOrTheNewStore) {
  int runs = 0;
  int crashed = 0;
  int damaged = 0;
  const auto crash_at = [&](const std::string& point) {
    const std::string copy = absl::StrCat(directory_.path(), "/run", ++runs);
    std::filesystem::copy(old_, copy, std::filesystem::copy_options::recursive);
    const bool listens = Start(copy, point + "=crash").ok();
    crashed += listens ? 0 : 1;
    const int version = VersionOf(copy);
    const bool whole = Ask(copy, "PRAGMA integrity_check") == "ok" &&
                       Ask(copy, "SELECT name FROM jobs") == "old" && version >= 1 &&
                       version <= store::SchemaVersion();
    damaged += whole ? 0 : 1;
    EXPECT_TRUE(whole) << "version " << version << " after a crash at " << point;

    const auto again = Start(copy, "");
    EXPECT_TRUE(again.ok()) << again.status() << " after a crash at " << point;
    if (again.ok()) {
      const sim::JobClient client((*again)->address());
      EXPECT_TRUE(client.Get(sim::FullName("old")).ok()) << "after a crash at " << point;
      EXPECT_EQ(client.ReadMetrics(sim::FullName("old"))->size(), 1U);
    }
    EXPECT_EQ(VersionOf(copy), store::SchemaVersion());
    return !listens;
  };
  for (const std::string point :
       {"store.migrate.before", "store.migrate.written", "store.migrate.after"}) {
    for (int step = 2; step <= store::SchemaVersion(); ++step) {
      EXPECT_TRUE(crash_at(absl::StrCat(point, ":", step - 1))) << point << " was not hit";
    }
  }
  for (const std::string point : {"store.vfs.write.before", "store.vfs.sync.before"}) {
    for (int hit = 1; hit <= 12 && crash_at(absl::StrCat(point, ":", hit)); ++hit) {
    }
  }
  std::cout << "crashes while migrating " << runs << ", crashed " << crashed
            << ", stores that do not open " << damaged << std::endl;
}

}  // namespace
}  // namespace g2ll::fault
