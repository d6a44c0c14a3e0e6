#ifndef TESTS_SERVER_API_FIXTURE_H_
#define TESTS_SERVER_API_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "g2ll/v1/checkpoint.grpc.pb.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "g2ll/v1/telemetry.grpc.pb.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "proto/common/grpc_status.h"
#include "server/api/grpc_server.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::api {

inline constexpr char kJob[] = "projects/default/jobs/a";

// A whole coordinator with its services on a port that the system picks, one worker that
// does what it is told, and stubs.
class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = store::SqliteJobStore::Open(directory_.path() + "/data").value();
    reader_ = Wrap(store::OpenSqliteReader(directory_.path() + "/data").value());
    storage_.emplace(storage::StorageRoot::Open(directory_.path() + "/storage").value());
    core_options_.storage_token = storage_->token();
    // Every report is answered, so that the worker of the test, which speaks only when it
    // has heard something, never waits in vain.
    core_options_.heartbeat_interval = core_options_.report_spacing = absl::ZeroDuration();
    core_ = std::make_unique<coordinator::Core>(core_options_, store_.get(), &hub_, &metrics_);
    ASSERT_TRUE(core_->Start(absl::Now()).ok());
    pool_ = std::make_unique<telemetry::IoPool>(2);
    coordinator_ = std::make_unique<coordinator::Coordinator>(
        core_.get(), coordinator::Coordinator::Options{.tick = absl::Milliseconds(20),
                                                       .clock = [] { return absl::Now(); },
                                                       .on_broken = [](const absl::Status&) {}});
    streams_.emplace(limits_, &metrics_);
    server_ = GrpcServer::Start({"127.0.0.1", 0}, Context()).value();
    channel_ =
        grpc::CreateChannel(server_->address().ToString(), grpc::InsecureChannelCredentials());
    jobs_ = v1::JobService::NewStub(channel_);
    telemetry_ = v1::TelemetryService::NewStub(channel_);
    workers_ = v1::WorkerService::NewStub(channel_);
  }

  // A test may put something between the streams and the store.
  virtual std::unique_ptr<store::TelemetryReader> Wrap(
      std::unique_ptr<store::TelemetryReader> reader) {
    return reader;
  }

  void TearDown() override {
    if (worker_ != nullptr) {
      worker_call_->TryCancel();
      worker_->Finish();
    }
    if (server_ != nullptr) {
      server_->Shutdown(absl::Seconds(2));
    }
    server_.reset();
    coordinator_.reset();
    pool_.reset();
  }

  ServiceContext Context() {
    return {coordinator_.get(), &hub_,     reader_.get(), pool_.get(),
            &*storage_,         &metrics_, &*streams_,    &identity_};
  }

  v1::CreateJobRequest MakeRequest(const std::string& name) {
    v1::CreateJobRequest request;
    request.set_job_id(name);
    v1::PretrainSpec* spec = request.mutable_job()->mutable_spec()->mutable_pretrain();
    spec->set_recipe(v1::SMOKE);
    spec->mutable_data()->set_source("synthetic:dermoscopy?count=8&seed=1");
    return request;
  }

  absl::Status Create(const v1::CreateJobRequest& request, v1::Job* job) {
    grpc::ClientContext call;
    return net::FromGrpcStatus(jobs_->CreateJob(&call, request, job));
  }

  v1::Job Get(v1::JobView view = v1::BASIC) {
    grpc::ClientContext call;
    v1::GetJobRequest request;
    request.set_name(kJob);
    request.set_view(view);
    v1::Job job;
    EXPECT_TRUE(jobs_->GetJob(&call, request, &job).ok());
    return job;
  }

  // Connects a worker and brings the job to the wanted phase by answering wishes.
  void RunWorkerUntil(v1::Job::State state) {
    if (worker_ == nullptr) {
      worker_call_ = std::make_unique<grpc::ClientContext>();
      worker_ = workers_->Session(worker_call_.get());
      report_.set_worker("w1");
      report_.set_incarnation("i1");
      report_.mutable_inventory()->set_slots(1);
      report_.mutable_inventory()->set_cpus(1);
      report_.mutable_inventory()->set_device("cpu");
      report_.mutable_inventory()->set_storage_token(storage_->token());
      ASSERT_TRUE(worker_->Write(report_));
    }
    v1::DesiredState wish;
    while (Get().state() != state && worker_->Read(&wish)) {
      Obey(wish);
      ASSERT_TRUE(worker_->Write(report_));
      report_.clear_data_checks();
    }
  }

  void Obey(const v1::DesiredState& wish) {
    for (const v1::DataCheck& check : wish.data_checks()) {
      v1::DataCheckResult* result = report_.add_data_checks();
      result->set_id(check.id());
      result->set_ok(true);
    }
    report_.clear_attempts();
    for (const v1::DesiredAttempt& wanted : wish.attempts()) {
      v1::AttemptStatus* status = report_.add_attempts();
      status->set_job_uid(wanted.job_uid());
      status->set_epoch(wanted.epoch());
      status->set_store_address("127.0.0.1:1");
      v1::AttemptPhase phase = v1::ATTEMPT_PHASE_PREPARED;
      if (wanted.phase() == v1::ATTEMPT_PHASE_RUN) {
        phase = v1::ATTEMPT_PHASE_TRAINING;
      } else if (wanted.phase() >= v1::ATTEMPT_PHASE_STOP) {
        phase = v1::ATTEMPT_PHASE_ENDED;
      }
      status->set_phase(phase);
      status->add_ranks()->set_rank(0);
    }
  }

  // Creates the job, with a worker that runs it.
  v1::Job StartJob() {
    v1::Job job;
    EXPECT_TRUE(Create(MakeRequest("a"), &job).ok());
    RunWorkerUntil(v1::Job::RUNNING);
    return job;
  }
  void EndJob() {
    grpc::ClientContext call;
    v1::CancelJobRequest cancel;
    cancel.set_name(kJob);
    v1::Job job;
    ASSERT_TRUE(jobs_->CancelJob(&call, cancel, &job).ok());
    RunWorkerUntil(v1::Job::CANCELLED);
  }

  // Sends points `first` to `last`, and waits until they are acknowledged.
  void PushPoints(const std::string& job_uid, int64_t first, int64_t last) {
    grpc::ClientContext call;
    auto stream = workers_->PushTelemetry(&call);
    v1::PushTelemetryRequest batch;
    batch.set_job_uid(job_uid);
    batch.set_epoch(1);
    for (int64_t seq = first; seq <= last; ++seq) {
      v1::TelemetryItem* item = batch.add_items();
      item->set_local_seq(seq);
      item->mutable_metric()->set_name("loss");
      item->mutable_metric()->set_step(seq);
    }
    ASSERT_TRUE(stream->Write(batch));
    v1::TelemetryAck ack;
    ASSERT_TRUE(stream->Read(&ack));
    EXPECT_EQ(ack.local_seq(), last);
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  }

  // Follows metrics to the end; returns the numbers and the final state.
  std::pair<std::vector<int64_t>, std::string> FollowMetrics(bool follow) {
    grpc::ClientContext call;
    v1::StreamMetricsRequest request;
    request.set_job(kJob);
    request.set_follow(follow);
    auto stream = telemetry_->StreamMetrics(&call, request);
    std::pair<std::vector<int64_t>, std::string> seen;
    v1::StreamMetricsResponse response;
    while (stream->Read(&response)) {
      for (const v1::MetricPoint& point : response.batch().points()) {
        seen.first.push_back(point.seq());
      }
      if (response.has_end()) {
        seen.second = response.end().state();
      }
    }
    EXPECT_TRUE(stream->Finish().ok());
    return seen;
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<store::SqliteJobStore> store_;
  std::unique_ptr<store::TelemetryReader> reader_;
  std::optional<storage::StorageRoot> storage_;
  telemetry::TelemetryHub hub_{/*tail_capacity=*/16};
  metrics::ServerMetrics metrics_{"test"};
  // A test sets what it needs before SetUp.
  StreamLimits limits_;
  coordinator::CoreOptions core_options_;
  std::optional<OpenStreams> streams_;
  const ServerIdentity identity_{"test", 1, absl::Now(), "127.0.0.1:1"};
  std::unique_ptr<coordinator::Core> core_;
  std::unique_ptr<telemetry::IoPool> pool_;
  std::unique_ptr<coordinator::Coordinator> coordinator_;
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::TelemetryService::Stub> telemetry_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<grpc::ClientContext> worker_call_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::DesiredState>> worker_;
  v1::SessionRequest report_;
};

}  // namespace g2ll::api

#endif  // TESTS_SERVER_API_FIXTURE_H_
