// The simulated workers and the process helper against the real coordinator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "proto/common/grpc_status.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/coordinator_process.h"
#include "tests/sim/fleet.h"
#include "tests/sim/job_client.h"

namespace g2ll::sim {
namespace {

class SimTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = CoordinatorProcess::Start({.directory = directory_.path()});
    ASSERT_TRUE(started.ok()) << started.status();
    coordinator_ = *std::move(started);
    client_ = std::make_unique<JobClient>(coordinator_->address());
  }

  void StartFleet(const AttemptScript& script, int workers) {
    fleet_ = std::make_unique<Fleet>(
        Fleet::Options{.address = coordinator_->address(),
                       .storage_root = coordinator_->storage_root(),
                       .script = [script](const v1::DesiredAttempt&) { return script; }});
    fleet_->AddMany(workers, "w", 1);
    ASSERT_TRUE(
        fleet_->WaitFor([&](const FleetCounts& counts) { return counts.connected == workers; }));
  }

  v1::Job Create(const v1::CreateJobRequest& request) {
    const absl::StatusOr<v1::Job> job = client_->Create(request);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(v1::Job());
  }

  v1::Job WaitForEnd(const std::string& name) {
    const absl::StatusOr<v1::Job> job = client_->WaitForEnd(FullName(name));
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(v1::Job());
  }

  v1::Job WaitForState(const std::string& name, v1::Job::State state) {
    const absl::StatusOr<v1::Job> job = client_->WaitFor(
        FullName(name), [&](const v1::Job& current) { return current.state() == state; });
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(v1::Job());
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<CoordinatorProcess> coordinator_;
  std::unique_ptr<JobClient> client_;
  std::unique_ptr<Fleet> fleet_;
};

TEST_F(SimTest, AChainOnTwoWorkersSucceeds) {
  StartFleet({.steps = 20, .points_per_step = 2, .lines_per_step = 1, .checkpoint_every = 10}, 2);
  Create(PretrainRequest("pretrain", 2));
  Create(FinetuneRequest("finetune", "pretrain"));
  Create(EvaluateRequest("evaluate", "finetune"));

  EXPECT_EQ(WaitForEnd("evaluate").state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(WaitForEnd("pretrain").attempts(0).world_size(), 2);
  const v1::Job finetune = WaitForEnd("finetune");
  EXPECT_EQ(finetune.state(), v1::Job::SUCCEEDED);
  ASSERT_EQ(finetune.lineage_size(), 1);
  EXPECT_EQ(client_->ListCheckpoints(FullName("finetune"))->size(), 2U);
  const auto points = client_->ReadMetrics(FullName("pretrain"));
  ASSERT_TRUE(points.ok()) << points.status();
  EXPECT_EQ(points->size(), 40U);
  EXPECT_EQ(CountGaps(*points), 0);
  EXPECT_EQ(points->back().value(), PointValue(1, 20));
  EXPECT_EQ(client_->ReadLogs(FullName("pretrain"))->size(), 20U);
}

TEST_F(SimTest, AJobRunsThroughAKillOfTheCoordinator) {
  StartFleet({.steps = 5, .hold = true}, 2);
  Create(PretrainRequest("a", 2));
  WaitForState("a", v1::Job::RUNNING);
  const std::string address = coordinator_->address();

  coordinator_->Kill();
  EXPECT_FALSE(coordinator_->running());
  ASSERT_TRUE(coordinator_->Restart().ok());

  EXPECT_EQ(coordinator_->address(), address);
  ASSERT_TRUE(fleet_->WaitFor([](const FleetCounts& counts) { return counts.connected == 2; }));
  fleet_->Release();
  const v1::Job job = WaitForEnd("a");
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job.attempts_size(), 1);
  EXPECT_EQ(CountGaps(*client_->ReadMetrics(FullName("a"))), 0);
}

TEST_F(SimTest, AFailedRankLeadsToAnAttemptThatGoesOnFromTheCheckpoint) {
  StartFleet({.steps = 6, .checkpoint_every = 3, .hold = true}, 2);
  Create(PretrainRequest("a", 2));
  ASSERT_TRUE(
      fleet_->WaitFor([](const FleetCounts& counts) { return counts.checkpoints_committed == 2; }));

  fleet_->FailRank(FullName("a"), 1, 81);
  fleet_->Release();

  const v1::Job job = WaitForEnd("a");
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  ASSERT_EQ(job.attempts_size(), 2);
  EXPECT_EQ(job.attempts(0).failure().rank(), 1);
  EXPECT_EQ(fleet_->counts().checkpoints_committed, 2);
}

TEST_F(SimTest, AWorkerThatWasStartedAgainHasLostItsAttempts) {
  StartFleet({.hold = true}, 1);
  Create(PretrainRequest("a"));
  WaitForState("a", v1::Job::RUNNING);

  fleet_->Restart("w0");
  fleet_->Release();

  const v1::Job job = WaitForEnd("a");
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  ASSERT_EQ(job.attempts_size(), 2);
  EXPECT_EQ(job.attempts(0).failure().class_(), v1::Failure::WORKER_LOST);
}

TEST_F(SimTest, AnOldEpochCannotCommit) {
  StartFleet({.hold = true}, 1);
  const v1::Job created = Create(PretrainRequest("a"));
  WaitForState("a", v1::Job::RUNNING);

  const absl::Status late = fleet_->Commit("w0", created.uid(), 0, 7);

  EXPECT_EQ(net::ReasonOf(late), "STALE_EPOCH") << late;
  EXPECT_EQ(fleet_->counts().commits_refused.at("STALE_EPOCH"), 1);
}

TEST_F(SimTest, AStalledWorkerIsSilentAndGoesOnWhenItWakes) {
  StartFleet({.steps = 3, .hold = true}, 1);
  Create(PretrainRequest("a"));
  WaitForState("a", v1::Job::RUNNING);

  fleet_->Stall("w0");
  fleet_->Release();
  EXPECT_EQ(client_->Get(FullName("a"))->state(), v1::Job::RUNNING);
  fleet_->Wake("w0");

  EXPECT_EQ(WaitForEnd("a").state(), v1::Job::SUCCEEDED);
}

TEST_F(SimTest, WorkersReportAgainAndAgain) {
  coordinator_.reset();
  coordinator_ = *CoordinatorProcess::Start(
      {.directory = directory_.path(), .settings = {{"lease", "2s"}, {"lostAfter", "4s"}}});
  client_ = std::make_unique<JobClient>(coordinator_->address());
  StartFleet({}, 3);

  EXPECT_TRUE(fleet_->WaitFor([](const FleetCounts& counts) { return counts.states >= 20; }));

  EXPECT_EQ(fleet_->counts().sessions, 3);
  for (const v1::Worker& worker : *client_->ListWorkers()) {
    EXPECT_EQ(worker.state(), v1::Worker::READY);
  }
}

TEST_F(SimTest, ACutConnectionEndsNoAttempt) {
  StartFleet({.steps = 3, .hold = true}, 1);
  Create(PretrainRequest("a"));
  WaitForState("a", v1::Job::RUNNING);

  fleet_->Disconnect("w0");
  EXPECT_EQ(fleet_->counts().connected, 0);
  fleet_->Release();
  fleet_->Connect("w0");

  const v1::Job job = WaitForEnd("a");
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job.attempts_size(), 1);
}

TEST_F(SimTest, TheProcessTellsWhatItUsesAndStopsPolitely) {
  const CoordinatorProcess::Usage usage = coordinator_->usage();
  EXPECT_GT(usage.rss_bytes, 1 << 20);
  EXPECT_GE(usage.peak_rss_bytes, usage.rss_bytes);
  EXPECT_GT(usage.cpu_time, absl::ZeroDuration());
  EXPECT_GT(usage.open_files, 3);
  const absl::StatusOr<std::string> metrics = coordinator_->HttpGet("/metrics");
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_EQ(MetricValue(*metrics, "g2ll_jobs{state=\"PENDING\"}"), 0);

  const absl::StatusOr<int> code = coordinator_->Stop(absl::Seconds(30));

  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 0);
}

TEST_F(SimTest, ASecondCoordinatorOnTheDirectoryTellsWhyItEnds) {
  const auto second = CoordinatorProcess::Start({.directory = directory_.path()});

  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), ::testing::HasSubstr("code 2"));
}

TEST(HistogramQuantileTest, TakesTheBucketOfWhatWasCountedBetween) {
  const std::string before =
      "h_bucket{le=\"1\"} 4\nh_bucket{le=\"2\"} 4\nh_bucket{le=\"+Inf\"} 4\n";
  const std::string after =
      "h_bucket{le=\"1\"} 5\nh_bucket{le=\"2\"} 13\nh_bucket{le=\"+Inf\"} 14\n";

  EXPECT_EQ(HistogramQuantile(before, after, "h", 0.1), 1);
  EXPECT_EQ(HistogramQuantile(before, after, "h", 0.5), 2);
  EXPECT_GT(HistogramQuantile(before, after, "h", 1), 1e9);
  EXPECT_NE(HistogramQuantile(after, after, "h", 0.5), HistogramQuantile(after, after, "h", 0.5));
}

}  // namespace
}  // namespace g2ll::sim
