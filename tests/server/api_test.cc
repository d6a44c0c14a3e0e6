// The services over real gRPC on a port that the system picks.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/queue.grpc.pb.h"
#include "server/storage/sha256.h"
#include "tests/server/api_fixture.h"

namespace g2ll::api {
namespace {

using ::testing::HasSubstr;

TEST_F(ApiTest, ACreatedJobHasItsDefaultsAndItsEvents) {
  v1::Job created;
  ASSERT_TRUE(Create(MakeRequest("a"), &created).ok());

  const v1::Job job = Get(v1::FULL);

  EXPECT_EQ(job.name(), kJob);
  EXPECT_EQ(job.uid(), created.uid());
  EXPECT_EQ(job.kind(), "PretrainJob");
  EXPECT_EQ(job.state(), v1::Job::PENDING);
  EXPECT_GT(job.spec().pretrain().train().global_batch(), 0);
  ASSERT_GE(job.events_size(), 1);
  EXPECT_EQ(job.events(0).type(), "CREATED");
}

TEST_F(ApiTest, EveryBadFieldIsListedAndNothingIsStored) {
  v1::CreateJobRequest request = MakeRequest("Bad Name");
  request.mutable_job()->mutable_spec()->mutable_pretrain()->mutable_mask()->set_gamma(1.5);
  v1::Job job;

  const absl::Status refused = Create(request, &job);

  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(net::ReasonOf(refused), "INVALID_SPEC");
  std::vector<std::string> fields;
  for (const net::FieldViolation& violation : net::ViolationsOf(refused)) {
    fields.push_back(violation.field);
  }
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("metadata.name", "spec.mask.gamma"));
  grpc::ClientContext call;
  v1::ListJobsResponse list;
  ASSERT_TRUE(jobs_->ListJobs(&call, {}, &list).ok());
  EXPECT_EQ(list.jobs_size(), 0);
}

TEST_F(ApiTest, AnUnknownJobIsNotFoundWithItsReason) {
  grpc::ClientContext call;
  v1::GetJobRequest request;
  request.set_name("projects/default/jobs/nobody");
  v1::Job job;

  const absl::Status status = net::FromGrpcStatus(jobs_->GetJob(&call, request, &job));

  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(net::ReasonOf(status), "JOB_NOT_FOUND");
}

TEST_F(ApiTest, PagesNeedTheirOwnToken) {
  v1::Job job;
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(Create(MakeRequest(name), &job).ok());
  }
  grpc::ClientContext first_call, second_call, third_call;
  v1::ListJobsRequest request;
  request.set_page_size(2);
  v1::ListJobsResponse first, second, third;
  ASSERT_TRUE(jobs_->ListJobs(&first_call, request, &first).ok());
  request.set_page_token(first.next_page_token());
  ASSERT_TRUE(jobs_->ListJobs(&second_call, request, &second).ok());

  EXPECT_EQ(first.jobs_size(), 2);
  ASSERT_EQ(second.jobs_size(), 1);
  EXPECT_EQ(second.jobs(0).name(), kJob);
  EXPECT_EQ(second.next_page_token(), "");
  request.set_state(v1::Job::RUNNING);
  const absl::Status refused = net::FromGrpcStatus(jobs_->ListJobs(&third_call, request, &third));
  EXPECT_EQ(net::ReasonOf(refused), "BAD_PAGE_TOKEN");
}

TEST_F(ApiTest, EarlyAndLateFollowersSeeEveryNumberOnceAndTheEnd) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  RunWorkerUntil(v1::Job::RUNNING);
  std::pair<std::vector<int64_t>, std::string> early;
  std::jthread follower([&] { early = FollowMetrics(/*follow=*/true); });
  for (int64_t i = 0; i < 30; ++i) {
    PushPoints(job.uid(), i * 10 + 1, i * 10 + 10);
  }
  std::pair<std::vector<int64_t>, std::string> late;
  std::jthread late_follower([&] { late = FollowMetrics(/*follow=*/true); });
  grpc::ClientContext call;
  v1::CancelJobRequest cancel;
  cancel.set_name(kJob);
  ASSERT_TRUE(jobs_->CancelJob(&call, cancel, &job).ok());
  RunWorkerUntil(v1::Job::CANCELLED);
  follower.join();
  late_follower.join();

  ASSERT_EQ(early.first.size(), 300u);
  for (size_t i = 0; i < early.first.size(); ++i) {
    EXPECT_EQ(early.first[i], static_cast<int64_t>(i) + 1);
  }
  EXPECT_EQ(early.second, "CANCELLED");
  EXPECT_EQ(late, early);
  EXPECT_EQ(FollowMetrics(/*follow=*/false), early);
}

TEST_F(ApiTest, PointsBehindARollBackAreSupersededOutsideOfAFollow) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  RunWorkerUntil(v1::Job::RUNNING);
  PushPoints(job.uid(), 1, 3);
  v1::AttemptStatus* status = report_.mutable_attempts(0);
  status->set_phase(v1::ATTEMPT_PHASE_ENDED);
  status->mutable_failure()->set_class_(v1::Failure::KILLED);
  ASSERT_TRUE(worker_->Write(report_));
  while (Get().attempts_size() < 2) {
    v1::DesiredState wish;
    ASSERT_TRUE(worker_->Read(&wish));
  }

  grpc::ClientContext call;
  v1::StreamMetricsRequest request;
  request.set_job(kJob);
  auto stream = telemetry_->StreamMetrics(&call, request);
  std::vector<std::pair<std::string, bool>> points;
  v1::StreamMetricsResponse response;
  while (stream->Read(&response)) {
    for (const v1::MetricPoint& point : response.batch().points()) {
      points.emplace_back(point.name(), point.superseded());
    }
  }

  EXPECT_THAT(points,
              ::testing::ElementsAre(std::pair("loss", true), std::pair("loss", true),
                                     std::pair("loss", true), std::pair("rollback", false)));
}

TEST_F(ApiTest, WatchSendsTheJobUntilItHasEnded) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  grpc::ClientContext watch_call;
  v1::WatchJobRequest request;
  request.set_name(kJob);
  auto stream = jobs_->WatchJob(&watch_call, request);
  ASSERT_TRUE(stream->Read(&job));
  EXPECT_EQ(job.state(), v1::Job::PENDING);
  grpc::ClientContext call;
  v1::CancelJobRequest cancel;
  cancel.set_name(kJob);
  v1::Job cancelled;
  ASSERT_TRUE(jobs_->CancelJob(&call, cancel, &cancelled).ok());

  while (stream->Read(&job)) {
  }

  EXPECT_EQ(job.state(), v1::Job::CANCELLED);
  EXPECT_TRUE(stream->Finish().ok());
}

// The watch and the last change of the job can fall into one commit.
TEST_F(ApiTest, AWatchThatBeginsWhileTheJobEndsSeesTheEnd) {
  for (int i = 0; i < 200; ++i) {
    v1::Job job;
    ASSERT_TRUE(Create(MakeRequest(absl::StrCat("j", i)), &job).ok());
    std::jthread cancel([&, name = job.name()] {
      grpc::ClientContext call;
      v1::CancelJobRequest request;
      request.set_name(name);
      v1::Job cancelled;
      EXPECT_TRUE(jobs_->CancelJob(&call, request, &cancelled).ok());
    });
    grpc::ClientContext call;
    call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::WatchJobRequest request;
    request.set_name(job.name());
    auto stream = jobs_->WatchJob(&call, request);
    while (stream->Read(&job)) {
    }

    ASSERT_TRUE(stream->Finish().ok()) << "job " << i;
    ASSERT_EQ(job.state(), v1::Job::CANCELLED) << "job " << i;
  }
}

TEST_F(ApiTest, ACommitIsVerifiedOnDiskAndCanBeExported) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  RunWorkerUntil(v1::Job::RUNNING);
  const std::string path = absl::StrCat("checkpoints/", job.uid(), "/e1/s5");
  const std::string folder = absl::StrCat(directory_.path(), "/storage/", path);
  std::filesystem::create_directories(folder);
  const std::string weights(3 << 20, 'w');
  std::ofstream(folder + "/encoder.safetensors") << weights;
  std::ofstream(folder + "/export_config.json") << "{}";
  const std::string manifest = absl::StrCat(
      R"({"jobUid":")", job.uid(),
      R"(","epoch":1,"step":5,"files":{"encoder.safetensors":{"size":)", weights.size(),
      R"(,"sha256":")", storage::Sha256Hex(weights),
      R"("},"export_config.json":{"size":2,"sha256":")", storage::Sha256Hex("{}"), R"("}}})");
  std::ofstream(folder + "/manifest.json") << manifest;
  v1::CommitCheckpointRequest request;
  request.set_worker("w1");
  request.set_incarnation("i1");
  request.set_job_uid(job.uid());
  request.set_epoch(1);
  request.set_step(5);
  request.set_path(path);
  v1::Checkpoint checkpoint;
  {
    grpc::ClientContext call;
    request.set_manifest_sha256("wrong");
    const absl::Status refused =
        net::FromGrpcStatus(workers_->CommitCheckpoint(&call, request, &checkpoint));
    EXPECT_EQ(net::ReasonOf(refused), "CHECKPOINT_DAMAGED");
  }
  grpc::ClientContext call;
  request.set_manifest_sha256(storage::Sha256Hex(manifest));
  ASSERT_TRUE(workers_->CommitCheckpoint(&call, request, &checkpoint).ok());

  grpc::ClientContext export_call;
  v1::StreamExportRequest export_request;
  export_request.set_id(checkpoint.id());
  auto stream =
      v1::CheckpointService::NewStub(channel_)->StreamExport(&export_call, export_request);
  std::map<std::string, std::string> files;
  v1::FileChunk chunk;
  while (stream->Read(&chunk)) {
    EXPECT_EQ(chunk.offset(), static_cast<int64_t>(files[chunk.path()].size()));
    files[chunk.path()] += chunk.data();
  }

  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(files["model.safetensors"], weights);
  EXPECT_EQ(files["config.json"], "{}");
}

TEST_F(ApiTest, WorkersAreListedWithWhatTheyRun) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  RunWorkerUntil(v1::Job::RUNNING);
  grpc::ClientContext call;
  v1::ListWorkersResponse response;

  ASSERT_TRUE(v1::AdminService::NewStub(channel_)->ListWorkers(&call, {}, &response).ok());

  ASSERT_EQ(response.workers_size(), 1);
  EXPECT_EQ(response.workers(0).state(), v1::Worker::READY);
  EXPECT_EQ(response.workers(0).free_slots(), 0);
}

TEST_F(ApiTest, OperatorsChangeWhatAWorkerGets) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  RunWorkerUntil(v1::Job::RUNNING);
  const auto admin = v1::AdminService::NewStub(channel_);
  v1::Worker worker;
  {
    grpc::ClientContext call;
    v1::CordonWorkerRequest request;
    request.set_name("w1");
    request.set_reason("new disk");
    ASSERT_TRUE(admin->CordonWorker(&call, request, &worker).ok());
  }
  EXPECT_EQ(worker.schedulable(), v1::CORDONED);
  EXPECT_EQ(worker.schedulable_reason(), "new disk");
  EXPECT_EQ(Get().state(), v1::Job::RUNNING);
  {
    grpc::ClientContext call;
    v1::DrainWorkerRequest request;
    request.set_name("w1");
    ASSERT_TRUE(admin->DrainWorker(&call, request, &worker).ok());
  }
  EXPECT_EQ(worker.schedulable(), v1::DRAINING);
  EXPECT_EQ(Get().state(), v1::Job::PREEMPTING);
  // What it is told to do comes with the time that is left.
  v1::DesiredState wish;
  while (worker_->Read(&wish) && wish.attempts(0).phase() != v1::ATTEMPT_PHASE_DRAIN) {
  }
  EXPECT_GT(wish.attempts(0).drain_time().seconds(), 100);
  {
    grpc::ClientContext call;
    v1::UncordonWorkerRequest request;
    request.set_name("w1");
    ASSERT_TRUE(admin->UncordonWorker(&call, request, &worker).ok());
  }
  EXPECT_EQ(worker.schedulable(), v1::ALLOWED);
  grpc::ClientContext call;
  v1::GetWorkerRequest request;
  request.set_name("w9");
  const absl::Status unknown = net::FromGrpcStatus(admin->GetWorker(&call, request, &worker));
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(net::ReasonOf(unknown), "WORKER_NOT_FOUND");
}

TEST_F(ApiTest, AReasonHasALimit) {
  const auto admin = v1::AdminService::NewStub(channel_);
  grpc::ClientContext call;
  v1::CordonWorkerRequest request;
  request.set_name("w1");
  request.set_reason(std::string(5000, 'x'));
  v1::Worker worker;

  const absl::Status refused = net::FromGrpcStatus(admin->CordonWorker(&call, request, &worker));

  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(net::ReasonOf(refused), "INVALID_REASON");
}

TEST_F(ApiTest, ACheckpointIsBegunOnlyWhereThereIsRoomForIt) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  RunWorkerUntil(v1::Job::RUNNING);
  const auto begin = [&](int64_t size_bytes, int64_t epoch, v1::BeginCheckpointResponse* response) {
    grpc::ClientContext call;
    v1::BeginCheckpointRequest request;
    request.set_worker("w1");
    request.set_incarnation("i1");
    request.set_job_uid(job.uid());
    request.set_epoch(epoch);
    request.set_step(1);
    request.set_size_bytes(size_bytes);
    return net::FromGrpcStatus(workers_->BeginCheckpoint(&call, request, response));
  };
  v1::BeginCheckpointResponse response;
  ASSERT_TRUE(begin(1000, 1, &response).ok());
  EXPECT_EQ(response.parent(), absl::StrCat("checkpoints/", job.uid(), "/e1"));

  const absl::Status full = begin(int64_t{1} << 60, 1, &response);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(net::ReasonOf(full), "DISK_LOW");
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_disk_low_total 1"));
  EXPECT_EQ(net::ReasonOf(begin(1000, 0, &response)), "STALE_EPOCH");
}

TEST_F(ApiTest, QueuesProjectsAndReasonsAreToldOverTheWire) {
  const auto queues = v1::QueueService::NewStub(channel_);
  grpc::ClientContext create_call;
  v1::CreateQueueRequest create;
  create.set_queue_id("night");
  create.mutable_queue()->set_stop_policy(v1::Queue::HOLD);
  create.mutable_queue()->set_reason("until nine");
  v1::Queue queue;
  ASSERT_TRUE(queues->CreateQueue(&create_call, create, &queue).ok());
  EXPECT_EQ(queue.name(), "projects/default/queues/night");
  v1::CreateJobRequest request = MakeRequest("a");
  request.mutable_job()->mutable_spec()->mutable_pretrain()->mutable_policy()->set_queue("night");
  v1::Job job;
  ASSERT_TRUE(Create(request, &job).ok());

  grpc::ClientContext explain_call;
  v1::ExplainJobRequest explain;
  explain.set_name(kJob);
  v1::JobExplanation why;
  ASSERT_TRUE(jobs_->ExplainJob(&explain_call, explain, &why).ok());
  EXPECT_EQ(why.reason().code(), "QUEUE_HELD");
  EXPECT_EQ(why.reason().message(), "queue night is held: until nine");
  EXPECT_EQ(why.blockers(0), "projects/default/queues/night");
  EXPECT_EQ(why.position(), 1);

  grpc::ClientContext list_call;
  v1::ListWaitingJobsResponse waiting;
  ASSERT_TRUE(queues->ListWaitingJobs(&list_call, {}, &waiting).ok());
  ASSERT_EQ(waiting.jobs_size(), 1);
  EXPECT_EQ(waiting.total_size(), 1);
  EXPECT_EQ(waiting.jobs(0).SerializeAsString(), why.SerializeAsString());

  grpc::ClientContext delete_call;
  v1::DeleteQueueRequest remove;
  remove.set_name(queue.name());
  google::protobuf::Empty empty;
  const absl::Status refused =
      net::FromGrpcStatus(queues->DeleteQueue(&delete_call, remove, &empty));
  EXPECT_EQ(net::ReasonOf(refused), "QUEUE_NOT_EMPTY");

  grpc::ClientContext project_call;
  v1::UpdateProjectRequest update;
  update.mutable_project()->set_name("projects/default");
  update.mutable_project()->set_max_slots(4);
  update.mutable_update_mask()->add_paths("max_slots");
  v1::Project project;
  ASSERT_TRUE(queues->UpdateProject(&project_call, update, &project).ok());
  EXPECT_EQ(project.max_slots(), 4);
  EXPECT_EQ(project.weight(), 1);
  EXPECT_EQ(project.waiting_jobs(), 1);
}

TEST_F(ApiTest, AStoppingServerEndsStreamsPolitely) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  grpc::ClientContext call;
  v1::WatchJobRequest request;
  request.set_name(kJob);
  auto stream = jobs_->WatchJob(&call, request);
  ASSERT_TRUE(stream->Read(&job));

  server_->Shutdown(absl::Seconds(5));

  while (stream->Read(&job)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ApiTest, AnAddressInUseIsNamed) {
  const absl::Status refused = GrpcServer::Start(server_->address(), Context()).status();

  EXPECT_THAT(std::string(refused.message()), HasSubstr(server_->address().ToString()));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("in use"));
}

}  // namespace
}  // namespace g2ll::api
