// One synced transaction serves all calls that wait, and none is answered before it.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/coordinator/coordinator.h"
#include "tests/server/memory_store.h"

namespace g2ll::coordinator {
namespace {

constexpr int kCalls = 100;

// Counts what reaches the disk.
class CountingStore final : public store::JobStore {
 public:
  absl::StatusOr<store::StoredState> Load() override { return memory_.Load(); }
  absl::StatusOr<int64_t> NextTerm() override { return memory_.NextTerm(); }
  absl::Status Commit(const store::WriteBatch& batch) override {
    ++num_commits;
    absl::Status committed = memory_.Commit(batch);
    num_stored = static_cast<int>(memory_.Load()->jobs.size());
    return committed;
  }
  absl::StatusOr<int64_t> Purge(int64_t max_rows) override { return memory_.Purge(max_rows); }
  absl::StatusOr<int64_t> UsedBytes() override { return memory_.UsedBytes(); }

  std::atomic<int> num_commits = 0;
  std::atomic<int> num_stored = 0;

 private:
  testing::MemoryStore memory_{std::make_shared<testing::MemoryDisk>()};
};

TEST(GroupCommitTest, CallsThatWaitTogetherShareOneCommit) {
  CountingStore store;
  telemetry::TelemetryHub hub;
  metrics::ServerMetrics metrics("test");
  Core core({}, &store, &hub, &metrics);
  ASSERT_TRUE(core.Start(absl::Now()).ok());
  Coordinator::Options options;
  options.tick = absl::Hours(1);
  options.clock = [] { return absl::Now(); };
  Coordinator coordinator(&core, std::move(options));
  absl::Notification go;
  absl::BlockingCounter answers(kCalls);
  std::atomic<int> early = 0;
  absl::Notification held;
  // While the thread is held up, calls gather.
  ASSERT_TRUE(coordinator.Post([&](Core&, absl::Time) {
    held.Notify();
    go.WaitForNotification();
  }));
  held.WaitForNotification();
  for (int i = 0; i < kCalls; ++i) {
    ASSERT_TRUE(coordinator.Post([&, i](Core& owned, absl::Time now) {
      CreateJobCommand command;
      command.job.project = "default";
      command.job.name = absl::StrCat("job-", i);
      command.job.spec = std::make_shared<const std::string>("spec");
      owned.CreateJob(
          std::move(command),
          [&](const absl::StatusOr<JobPtr>& job) {
            early += job.ok() && store.num_stored == kCalls ? 0 : 1;
            answers.DecrementCount();
          },
          now);
    }));
  }
  go.Notify();
  answers.Wait();

  EXPECT_EQ(store.num_commits, 1);
  EXPECT_EQ(early, 0) << "answered before everything was stored";
}

}  // namespace
}  // namespace g2ll::coordinator
