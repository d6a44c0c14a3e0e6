// What users see when the disk refuses.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "proto/common/grpc_status.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {
namespace {

// Keeps nothing; fails on demand.
class FailingStore final : public store::JobStore {
 public:
  absl::StatusOr<store::StoredState> Load() override {
    if (fails_load) {
      return absl::DataLossError("gone");
    }
    return store::StoredState{};
  }
  absl::StatusOr<int64_t> NextTerm() override { return 1; }
  absl::Status Commit(const store::WriteBatch&) override {
    return fails_commit ? absl::ResourceExhaustedError("disk full") : absl::OkStatus();
  }
  absl::StatusOr<int64_t> Purge(int64_t) override { return 0; }
  absl::StatusOr<int64_t> UsedBytes() override { return 0; }

  bool fails_commit = false;
  bool fails_load = false;
};

class StoreFailureTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(core_.Start(now_).ok()); }

  CreateJobCommand Command() {
    CreateJobCommand command;
    command.job.project = "default";
    command.job.name = "a";
    command.job.spec = std::make_shared<const std::string>("spec");
    return command;
  }

  const absl::Time now_ = absl::FromUnixSeconds(1000);
  FailingStore store_;
  telemetry::TelemetryHub hub_;
  metrics::ServerMetrics metrics_{"test"};
  Core core_{{}, &store_, &hub_, &metrics_};
};

TEST_F(StoreFailureTest, AJobThatCannotBeStoredIsRefusedAndTakenBack) {
  store_.fails_commit = true;
  absl::Status answer;
  core_.CreateJob(
      Command(), [&](absl::StatusOr<JobPtr> job) { answer = job.status(); }, now_);

  EXPECT_TRUE(core_.Flush(now_).ok());

  EXPECT_EQ(answer.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(net::ReasonOf(answer), "STORE_FAILED");
  EXPECT_FALSE(core_.GetJob("projects/default/jobs/a").ok());
}

TEST_F(StoreFailureTest, AStoreThatCannotBeReadBackEndsTheProcessWithoutAnAnswer) {
  store_.fails_commit = true;
  store_.fails_load = true;
  bool answered = false;
  core_.CreateJob(
      Command(), [&](const absl::StatusOr<JobPtr>&) { answered = true; }, now_);

  EXPECT_EQ(core_.Flush(now_).code(), absl::StatusCode::kDataLoss);

  EXPECT_FALSE(answered) << "nobody knows what is stored";
}

}  // namespace
}  // namespace g2ll::coordinator
