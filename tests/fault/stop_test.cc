// A polite stop under load.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "proto/common/grpc_status.h"
#include "tests/fault/observer.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/coordinator_process.h"
#include "tests/sim/fleet.h"
#include "tests/sim/job_client.h"

namespace g2ll::fault {
namespace {

class StopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Long enough after the drain to ask whether it is ready.
    auto started = sim::CoordinatorProcess::Start(
        {.directory = directory_.path(),
         .environment = {{"G2LL_FAILPOINTS", "server.stop.drained=sleep=300"}}});
    ASSERT_TRUE(started.ok()) << started.status();
    coordinator_ = *std::move(started);
    client_ = std::make_unique<sim::JobClient>(coordinator_->address());
  }

  // Creates jobs until told to stop or refused. Every job is cancelled at once, so that
  // the queue does not fill.
  void Submit(const std::stop_token& stop, int thread) {
    const sim::JobClient client(coordinator_->address());
    for (int i = 0; !stop.stop_requested(); ++i) {
      const std::string name = absl::StrCat("job-", thread, "-", i);
      const auto created = client.Create(sim::PretrainRequest(name));
      absl::MutexLock lock(&mutex_);
      if (created.ok()) {
        acknowledged_[name] = created->uid();
      } else {
        refusals_.push_back(created.status());
        return;
      }
    }
  }

  // How a stream ended, and the number of the last point that came.
  struct StreamEnd {
    absl::Status status;
    int64_t last_seq = 0;
  };

  // Follows the metrics of the job until the stream ends.
  StreamEnd Follow(std::atomic<int>* streams) {
    StreamEnd end;
    grpc::ClientContext call;
    v1::StreamMetricsRequest request;
    request.set_job(sim::FullName("followed"));
    request.set_follow(true);
    const auto reader = client_->telemetry().StreamMetrics(&call, request);
    v1::StreamMetricsResponse response;
    bool first = true;
    while (reader->Read(&response)) {
      *streams += std::exchange(first, false) ? 1 : 0;
      for (const v1::MetricPoint& point : response.batch().points()) {
        end.last_seq = point.seq();
      }
    }
    end.status = net::FromGrpcStatus(reader->Finish());
    return end;
  }

  const testing::TemporaryDirectory directory_;
  std::unique_ptr<sim::CoordinatorProcess> coordinator_;
  std::unique_ptr<sim::JobClient> client_;
  absl::Mutex mutex_;
  std::map<std::string, std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> refusals_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(StopTest, CallsFinishStreamsEndAndNothingIsLost) {
  constexpr int kSubmitters = 4;
  constexpr int kFollowers = 20;
  sim::Fleet fleet({.address = coordinator_->address(),
                    .storage_root = coordinator_->storage_root(),
                    .script = [](const v1::DesiredAttempt&) {
                      return sim::AttemptScript{.steps = 1'000'000,
                                                .step_time = absl::Milliseconds(1)};
                    }});
  fleet.AddMany(1, "w", 1);
  ASSERT_TRUE(client_->Create(sim::PretrainRequest("followed")).ok());
  std::vector<StreamEnd> ends(kFollowers);
  std::atomic<int> streams = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < kFollowers; ++i) {
    threads.emplace_back(
        [this, &end = ends[static_cast<size_t>(i)], &streams] { end = Follow(&streams); });
  }
  for (int i = 0; i < kSubmitters; ++i) {
    threads.emplace_back([this, i](const std::stop_token& stop) { Submit(stop, i); });
  }
  const auto under_load = [&] {
    absl::MutexLock lock(&mutex_);
    return streams == kFollowers && acknowledged_.size() >= 50;
  };
  while (!under_load()) {
    absl::SleepFor(absl::Milliseconds(1));
  }

  coordinator_->Signal(SIGTERM);
  absl::Status ready;
  while (ready.ok()) {
    ready = coordinator_->HttpGet("/readyz").status();
  }
  const absl::StatusOr<int> code = coordinator_->WaitForExit(absl::Seconds(10));
  threads.clear();

  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 0);
  EXPECT_THAT(std::string(ready.message()), ::testing::HasSubstr("503"));
  int resumable = 0;
  for (const StreamEnd& end : ends) {
    EXPECT_TRUE(absl::IsUnavailable(end.status)) << end.status;
    const std::string next = absl::StrCat(end.last_seq + 1);
    EXPECT_EQ(net::MetadataOf(end.status)["nextSeq"], next) << end.status;
    resumable += net::MetadataOf(end.status)["nextSeq"] == next ? 1 : 0;
  }
  ASSERT_TRUE(coordinator_->Restart().ok());
  ASSERT_TRUE(client_->WaitUntilServing(absl::Minutes(1)).ok());
  absl::MutexLock lock(&mutex_);
  for (const absl::Status& refusal : refusals_) {
    // The transport cancels a call that reaches it while it closes.
    EXPECT_TRUE(absl::IsUnavailable(refusal) || absl::IsCancelled(refusal)) << refusal;
  }
  int lost = 0;
  for (const auto& [name, uid] : acknowledged_) {
    const auto job = client_->Get(sim::FullName(name));
    lost += job.ok() && job->uid() == uid ? 0 : 1;
  }
  EXPECT_EQ(lost, 0);
  std::cout << "stop under load: exit code " << *code << ", streams ended " << ends.size()
            << ", saying where to go on " << resumable << ", jobs acknowledged "
            << acknowledged_.size() << ", lost " << lost << std::endl;
}

}  // namespace
}  // namespace g2ll::fault
