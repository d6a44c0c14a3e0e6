// Figures of a store of the size that is promised; printed, not asserted.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/store/data_dir.h"
#include "server/store/integrity.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/store_records.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::store {
namespace {

std::string Uid(int64_t number) {
  return absl::StrFormat("%08d-6c57-4c3e-9d35-5f0b4c1d7e2a", number);
}

// `num_points` points, spread over all jobs.
void Fill(SqliteJobStore& store, int64_t num_jobs, int64_t num_points) {
  const int64_t of_each = num_points / num_jobs;
  for (int64_t first = 0; first < num_jobs; first += 100) {
    WriteBatch batch;
    for (int64_t number = first; number < first + 100; ++number) {
      const std::string uid = Uid(number);
      cluster::JobRecord job = testing::MakeJob(uid);
      job.spec = std::make_shared<const std::string>(1500, 's');
      job.state = cluster::JobState::kSucceeded;
      job.last_metric_seq = of_each;
      batch.jobs.push_back(std::make_shared<const cluster::JobRecord>(std::move(job)));
      batch.checkpoints.push_back(testing::MakeCheckpoint(uid, 100));
      batch.requests.push_back({"request-" + uid, std::string(64, 'f'), uid, testing::kRecordTime});
      batch.cursors[{uid, 1, 0}] = of_each;
      for (int i = 0; i < 5; ++i) {
        batch.events.push_back({uid, testing::kRecordTime, "user", "CREATED", "stored"});
      }
      for (int64_t seq = 1; seq <= of_each; ++seq) {
        batch.telemetry[uid].metrics.push_back(
            {seq, 1, seq, 0.5, "loss", 0.25, testing::kRecordTime});
      }
    }
    ASSERT_TRUE(store.Commit(batch).ok());
  }
}

TEST(StoreScaleTest, AStartReadsTheStateAndChecksTelemetryLater) {
  const bool is_nightly = std::getenv("G2LL_NIGHTLY") != nullptr;
  const int64_t num_jobs = is_nightly ? 10'000 : 500;
  const int64_t num_points = is_nightly ? 1'000'000 : 20'000;
  const testing::TemporaryDirectory directory;
  {
    auto store = SqliteJobStore::Open(directory.path()).value();
    Fill(*store, num_jobs, num_points);
  }

  const absl::Time start = absl::Now();
  auto store = SqliteJobStore::Open(directory.path()).value();
  const absl::Time opened = absl::Now();
  const int64_t term = store->NextTerm().value();
  const StoredState state = store->Load().value();
  const absl::Time loaded = absl::Now();
  absl::Notification done;
  const auto check = TelemetryCheck::Start(directory.path(), [&](const absl::Status& found) {
    EXPECT_TRUE(found.ok()) << found;
    done.Notify();
  });
  done.WaitForNotification();
  const absl::Time checked = absl::Now();

  std::cout << num_jobs << " jobs, " << num_points << " points, "
            << std::filesystem::file_size(StorePath(directory.path())) / 1000000
            << " MB: opened and state checked in " << opened - start << ", loaded in "
            << loaded - opened << ", telemetry checked beside it in " << checked - loaded << "\n";
  EXPECT_EQ(static_cast<int64_t>(state.jobs.size()), num_jobs);
  EXPECT_EQ(term, 1);
}

// A large job goes in parts: the longest part is what a commit may wait for.
TEST(StoreScaleTest, PurgeAndCommitTakeTurns) {
  const int64_t num_points = std::getenv("G2LL_NIGHTLY") != nullptr ? 1'000'000 : 20'000;
  const testing::TemporaryDirectory directory;
  auto store = SqliteJobStore::Open(directory.path()).value();
  Fill(*store, 100, num_points);
  WriteBatch removal;
  for (int64_t number = 0; number < 100; ++number) {
    removal.deleted_jobs.push_back(Uid(number));
    removal.forgotten_jobs.push_back(Uid(number));
  }
  ASSERT_TRUE(store->Commit(removal).ok());

  absl::Duration longest;
  int64_t purged = 0;
  int64_t parts = 0;
  for (int64_t went = 1; went > 0; ++parts) {
    const absl::Time start = absl::Now();
    went = store->Purge(1000).value();
    longest = std::max(longest, absl::Now() - start);
    purged += went;
  }

  std::cout << purged << " rows went in " << parts << " parts, the longest took " << longest
            << "\n";
  EXPECT_EQ(purged, num_points);
}

}  // namespace
}  // namespace g2ll::store
