// Processes that are stopped for a while and go on: nobody has died, but time has passed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/coordinator_process.h"
#include "tests/sim/fleet.h"
#include "tests/sim/job_client.h"

namespace g2ll::fault {
namespace {

constexpr absl::Duration kLease = absl::Seconds(1);
constexpr absl::Duration kLostAfter = absl::Milliseconds(1500);
constexpr char kFenced[] = "g2ll_fenced_writes_total{kind=\"epoch\"}";

class PauseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = sim::CoordinatorProcess::Start(
        {.directory = directory_.path(),
         .settings = {{"lease", "1s"}, {"lostAfter", "1500ms"}, {"recoveryWindow", "1500ms"}}});
    ASSERT_TRUE(started.ok()) << started.status();
    coordinator_ = *std::move(started);
    client_ = std::make_unique<sim::JobClient>(coordinator_->address());
  }

  // Two workers whose attempts do what `script` says of their number.
  void StartFleet(std::function<sim::AttemptScript(int32_t number)> script) {
    fleet_ = std::make_unique<sim::Fleet>(sim::Fleet::Options{
        .address = coordinator_->address(),
        .storage_root = coordinator_->storage_root(),
        .script = [script = std::move(script)](const v1::DesiredAttempt& wanted) {
          return script(wanted.number());
        }});
    fleet_->AddMany(2, "w", 1);
    ASSERT_TRUE(
        fleet_->WaitFor([](const sim::FleetCounts& counts) { return counts.connected == 2; }));
  }

  v1::Job WaitFor(const std::function<bool(const v1::Job&)>& property) {
    const auto job = client_->WaitFor(name_, property);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(v1::Job());
  }

  double Metric(const std::string& series) {
    const auto text = coordinator_->HttpGet("/metrics");
    EXPECT_TRUE(text.ok()) << text.status();
    return text.ok() ? sim::MetricValue(*text, series) : 0;
  }

  const std::string name_ = sim::FullName("job");
  testing::TemporaryDirectory directory_;
  std::unique_ptr<sim::CoordinatorProcess> coordinator_;
  std::unique_ptr<sim::JobClient> client_;
  std::unique_ptr<sim::Fleet> fleet_;
};

TEST_F(PauseTest, TrainingOutlivesACoordinatorThatSleepsForLongerThanALease) {
  constexpr int64_t kSteps = 1500;
  StartFleet([](int32_t) {
    return sim::AttemptScript{.steps = kSteps,
                              .step_time = absl::Milliseconds(2),
                              .points_per_step = 2,
                              .checkpoint_every = kSteps};
  });
  ASSERT_TRUE(client_->Create(sim::PretrainRequest("job", 2)).ok());
  WaitFor([](const v1::Job& job) { return job.state() == v1::Job::RUNNING; });

  coordinator_->Signal(SIGSTOP);
  const int64_t before = fleet_->StepOf(name_);
  absl::SleepFor(2 * kLostAfter);
  const int64_t after = fleet_->StepOf(name_);
  coordinator_->Signal(SIGCONT);

  EXPECT_GT(after, before);
  const auto job = client_->WaitForEnd(name_);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job->attempts_size(), 1);
  const auto points = client_->ReadMetrics(name_);
  ASSERT_TRUE(points.ok()) << points.status();
  EXPECT_EQ(points->size(), 2U * kSteps);
  EXPECT_EQ(sim::CountGaps(*points), 0);
  std::cout << "coordinator asleep for " << 2 * kLostAfter << ": steps meanwhile " << after - before
            << ", attempts " << job->attempts_size() << ", points " << points->size() << ", lost "
            << 2 * kSteps - static_cast<int64_t>(points->size()) << std::endl;
}

TEST_F(PauseTest, AWorkerThatSleepsForLessThanItsLeaseIsNotNoticed) {
  StartFleet([](int32_t) { return sim::AttemptScript{.steps = 6, .hold = true}; });
  ASSERT_TRUE(client_->Create(sim::PretrainRequest("job", 2)).ok());
  WaitFor([](const v1::Job& job) { return job.state() == v1::Job::RUNNING; });

  fleet_->Stall("w0");
  absl::SleepFor(kLease / 2);
  fleet_->Wake("w0");
  fleet_->Release();

  const auto job = client_->WaitForEnd(name_);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job->attempts_size(), 1);
}

TEST_F(PauseTest, AWorkerThatSleepsForLongerIsReplacedAndItsLateCommitRefused) {
  // The first attempt would train for ever; the second holds until the first has woken.
  StartFleet([](int32_t number) {
    return number == 1 ? sim::AttemptScript{.steps = 1'000'000, .step_time = absl::Seconds(1)}
                       : sim::AttemptScript{.steps = 6, .hold = true};
  });
  const auto created = client_->Create(sim::PretrainRequest("job"));
  ASSERT_TRUE(created.ok()) << created.status();
  const v1::Job first = WaitFor([](const v1::Job& job) { return job.state() == v1::Job::RUNNING; });
  const std::string sleeper = first.attempts(0).workers(0);

  fleet_->Stall(sleeper);
  const v1::Job second = WaitFor([](const v1::Job& job) {
    return job.attempts_size() == 2 && job.state() == v1::Job::RUNNING &&
           !job.latest_checkpoint().empty();
  });
  fleet_->Wake(sleeper);
  const absl::Status late = fleet_->Commit(sleeper, created->uid(), first.attempts(0).epoch(), 7);
  fleet_->Release();

  EXPECT_NE(second.attempts(1).workers(0), sleeper);
  EXPECT_EQ(net::ReasonOf(late), "STALE_EPOCH") << late;
  EXPECT_EQ(Metric(kFenced), 1);
  const auto job = client_->WaitForEnd(name_);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job->latest_checkpoint(), second.latest_checkpoint());
  EXPECT_EQ(client_->ListCheckpoints(name_)->size(), 1U);
  std::cout << "worker asleep past its lease: attempts " << job->attempts_size()
            << ", fenced_writes_total " << Metric(kFenced) << ", commits of the sleeper accepted 0"
            << std::endl;
}

}  // namespace
}  // namespace g2ll::fault
