// What strangers may send to the real program: messages beyond every bound, and texts
// that a terminal would obey.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "g2ll/v1/telemetry.grpc.pb.h"
#include "proto/common/grpc_status.h"
#include "server/storage/storage_root.h"
#include "tests/hostile_text.h"
#include "tests/server/coordinator_process.h"
#include "tests/server/scripted_worker.h"
#include "tests/server/temporary_directory.h"

namespace g2ll {
namespace {

using testing::FindHostileText;
using testing::kHostileText;

constexpr int64_t kMebibyte = int64_t{1} << 20;
constexpr char kJob[] = "projects/default/jobs/a";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsMeasured = false;  // shadow memory is not the program's
#elif defined(__has_feature)
constexpr bool kMemoryIsMeasured =
    !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer);
#else
constexpr bool kMemoryIsMeasured = true;
#endif

class HostileInputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(coordinator_.address(), "") << "g2ll-coordinator did not start";
    grpc::ChannelArguments arguments;
    arguments.SetMaxSendMessageSize(-1);
    channel_ = grpc::CreateCustomChannel(coordinator_.address(), grpc::InsecureChannelCredentials(),
                                         arguments);
    jobs_ = v1::JobService::NewStub(channel_);
    telemetry_ = v1::TelemetryService::NewStub(channel_);
    admin_ = v1::AdminService::NewStub(channel_);
    ASSERT_TRUE(IsAlive());
  }

  static void SetDeadline(grpc::ClientContext* call) {
    call->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  }

  bool IsAlive() {
    // A connection may be given up for what came over it, and a call on it with it.
    for (int i = 0; i < 5; ++i) {
      grpc::ClientContext call;
      SetDeadline(&call);
      call.set_wait_for_ready(true);
      v1::ServerInfo info;
      const grpc::Status status = admin_->GetServerInfo(&call, {}, &info);
      if (status.error_code() != grpc::StatusCode::UNAVAILABLE) {
        return status.ok();
      }
    }
    return false;
  }

  // Sends bytes that need not be a message.
  grpc::Status CallRaw(const std::string& method, const std::string& bytes,
                       const std::string& metadata = "") {
    grpc::GenericStub stub(channel_);
    grpc::CompletionQueue queue;
    grpc::ClientContext call;
    SetDeadline(&call);
    if (!metadata.empty()) call.AddMetadata("x-large", metadata);
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    const auto reader = stub.PrepareUnaryCall(&call, method, request, &queue);
    reader->StartCall();
    grpc::Status status;
    reader->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status;
  }

  // Sends `bytes` and looks at how much the program's memory grew meanwhile. `most` 0:
  // less than twice the message.
  grpc::Status Measure(const std::string& what, const std::string& method, const std::string& bytes,
                       const std::string& metadata = "", int64_t most = 0) {
    EXPECT_TRUE(IsAlive());
    coordinator_.ForgetPeak();
    const int64_t before = coordinator_.ResidentBytes();
    const grpc::Status status = CallRaw(method, bytes, metadata);
    EXPECT_TRUE(IsAlive());
    const int64_t growth = coordinator_.PeakBytes() - before;
    const auto sent = static_cast<int64_t>(bytes.size() + metadata.size());
    if (most == 0) most = 2 * sent;
    std::cout << what << ": " << sent << " bytes sent, memory grew by " << growth
              << " bytes, answer " << status.error_code() << " " << status.error_message() << "\n";
    if (kMemoryIsMeasured) EXPECT_LT(growth, most) << what;
    return status;
  }

  v1::CreateJobRequest MakeRequest() {
    v1::CreateJobRequest request;
    request.set_job_id("a");
    v1::PretrainSpec* spec = request.mutable_job()->mutable_spec()->mutable_pretrain();
    spec->set_recipe(v1::SMOKE);
    spec->mutable_data()->set_source("synthetic:dermoscopy?count=8&seed=1");
    return request;
  }

  v1::Job Get() {
    grpc::ClientContext call;
    SetDeadline(&call);
    v1::GetJobRequest request;
    request.set_name(kJob);
    request.set_view(v1::FULL);
    v1::Job job;
    EXPECT_TRUE(jobs_->GetJob(&call, request, &job).ok());
    return job;
  }

  testing::TemporaryDirectory directory_;
  testing::CoordinatorProcess coordinator_{directory_.path()};
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::TelemetryService::Stub> telemetry_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
};

TEST_F(HostileInputTest, AMessageOf64MiBIsRefused) {
  v1::CancelJobRequest request;
  request.set_name(kJob);
  request.set_reason(std::string(64 * kMebibyte, 'r'));

  const grpc::Status status =
      Measure("64 MiB message", "/g2ll.v1.JobService/CancelJob", request.SerializeAsString());

  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(HostileInputTest, AMillionEntriesAreRefusedBeforeTheyAreRead) {
  v1::StreamMetricsRequest request;
  request.set_job(kJob);
  for (int i = 0; i < 1'000'000; ++i) request.add_names();

  const grpc::Status status = Measure(
      "a million entries", "/g2ll.v1.TelemetryService/StreamMetrics", request.SerializeAsString());

  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// An empty text is two bytes on the wire and forty in memory, which the limit of a
// message bounds. Nothing of it stays.
TEST_F(HostileInputTest, TheMostEntriesThatFitIntoAMessageCostABoundedAmount) {
  v1::StreamMetricsRequest request;
  request.set_job(kJob);
  for (int i = 0; i < 500'000; ++i) request.add_names();
  const std::string bytes = request.SerializeAsString();

  const grpc::Status status =
      Measure("half a million entries", "/g2ll.v1.TelemetryService/StreamMetrics", bytes, "",
              64 * kMebibyte);

  EXPECT_EQ(net::ReasonOf(net::FromGrpcStatus(status)), "TOO_MANY_NAMES");
}

TEST_F(HostileInputTest, NestingTenThousandDeepIsRefused) {
  constexpr int kDepth = 10'000;
  // Groups of the unknown field 1000, and groups within one field.
  std::string groups;
  for (int i = 0; i < kDepth; ++i) groups += "\xc3\x3e";
  for (int i = 0; i < kDepth; ++i) groups += "\xc4\x3e";

  for (const char* method :
       {"/g2ll.v1.JobService/CreateJob", "/g2ll.v1.JobService/GetJob",
        "/g2ll.v1.AdminService/ListWorkers", "/g2ll.v1.WorkerService/CommitCheckpoint"}) {
    const grpc::Status status = Measure("10,000 levels", method, groups, "", 8 * kMebibyte);
    EXPECT_FALSE(status.ok()) << method;
  }
}

TEST_F(HostileInputTest, AMegabyteOfMetadataIsRefused) {
  const grpc::Status status =
      Measure("1 MiB of metadata", "/g2ll.v1.JobService/GetJob", "", std::string(kMebibyte, 'm'));

  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(HostileInputTest, ARefusalWithHundredsOfFaultsReachesTheClient) {
  v1::CreateJobRequest request = MakeRequest();
  for (int i = 0; i < 900; ++i) {
    (*request.mutable_job()->mutable_labels())[absl::StrCat(kHostileText, i)] = "\xc3\xa9";
  }
  grpc::ClientContext call;
  SetDeadline(&call);
  v1::Job job;

  const absl::Status refused = net::FromGrpcStatus(jobs_->CreateJob(&call, request, &job));

  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(net::ReasonOf(refused), "INVALID_SPEC");
  EXPECT_GT(net::ViolationsOf(refused).size(), 3u);
  EXPECT_EQ(log::EscapeControl(std::string(refused.message())), std::string(refused.message()));
}

// All texts that a worker or a user may choose, through storing, reading and logging.
TEST_F(HostileInputTest, NoTextComesBackAsATerminalWouldObeyIt) {
  const std::string token = storage::StorageRoot::Open(directory_.path() + "/storage")->token();
  testing::ScriptedWorker worker(channel_, token);
  v1::Inventory& inventory = *worker.report().mutable_inventory();
  inventory.set_http_address(kHostileText);
  inventory.set_advertise_host(kHostileText);
  inventory.set_version(kHostileText);
  worker.report().set_incarnation(kHostileText);
  ASSERT_TRUE(worker.Send());
  v1::CreateJobRequest request = MakeRequest();
  request.set_request_id(kHostileText);
  grpc::ClientContext create_call;
  v1::Job job;
  // The worker must answer the check of the data before the call ends.
  std::jthread creator([&] { ASSERT_TRUE(jobs_->CreateJob(&create_call, request, &job).ok()); });
  ASSERT_TRUE(worker.ObeyUntil([&] {
    grpc::ClientContext call;
    v1::GetJobRequest get;
    get.set_name(kJob);
    v1::Job found;
    return jobs_->GetJob(&call, get, &found).ok() && found.state() == v1::Job::RUNNING;
  }));
  creator.join();

  v1::PushTelemetryRequest batch;
  batch.set_job_uid(job.uid());
  batch.set_epoch(1);
  batch.add_items()->mutable_metric()->set_name(kHostileText);
  batch.add_items()->mutable_log()->set_message(kHostileText);
  v1::LogSample* long_line = batch.add_items()->mutable_log();
  long_line->set_level(kHostileText);
  while (long_line->message().size() < 900'000) long_line->mutable_message()->append(kHostileText);
  for (int i = 0; i < batch.items_size(); ++i) batch.mutable_items(i)->set_local_seq(i + 1);
  ASSERT_TRUE(worker.Push(batch));
  ASSERT_EQ(worker.report().attempts_size(), 1);
  v1::AttemptStatus& status = *worker.report().mutable_attempts(0);
  status.set_message(kHostileText);
  status.set_report_path(kHostileText);
  ASSERT_TRUE(worker.Send());
  grpc::ClientContext cancel_call;
  v1::CancelJobRequest cancel;
  cancel.set_name(kJob);
  cancel.set_reason(kHostileText);
  ASSERT_TRUE(jobs_->CancelJob(&cancel_call, cancel, &job).ok());
  ASSERT_TRUE(worker.ObeyUntil([&] { return Get().state() == v1::Job::CANCELLED; }));

  EXPECT_EQ(FindHostileText(Get()), "");
  grpc::ClientContext workers_call;
  v1::ListWorkersResponse workers;
  ASSERT_TRUE(admin_->ListWorkers(&workers_call, {}, &workers).ok());
  EXPECT_EQ(workers.workers_size(), 1);
  EXPECT_EQ(FindHostileText(workers), "");

  grpc::ClientContext logs_call;
  v1::StreamLogsRequest logs_request;
  logs_request.set_job(kJob);
  const auto logs = telemetry_->StreamLogs(&logs_call, logs_request);
  v1::StreamLogsResponse logs_response;
  int lines = 0;
  while (logs->Read(&logs_response)) {
    lines += logs_response.batch().lines_size();
    EXPECT_EQ(FindHostileText(logs_response), "");
    for (const v1::LogLine& line : logs_response.batch().lines()) {
      EXPECT_LE(line.message().size(), 16u * 1024);
    }
  }
  EXPECT_EQ(lines, 2);
  grpc::ClientContext metrics_call;
  v1::StreamMetricsRequest metrics_request;
  metrics_request.set_job(kJob);
  const auto metrics = telemetry_->StreamMetrics(&metrics_call, metrics_request);
  v1::StreamMetricsResponse metrics_response;
  while (metrics->Read(&metrics_response)) EXPECT_EQ(FindHostileText(metrics_response), "");

  const auto page = httplib::Client("http://" + coordinator_.http_address()).Get("/metrics");
  ASSERT_TRUE(page);
  std::istringstream text(page->body);
  const std::regex series(R"(^[a-z0-9_]+(\{([a-z_]+="([^"\\\n]|\\.)*",?)*\})? \S+$)");
  for (std::string line; std::getline(text, line);) {
    EXPECT_TRUE(line.starts_with("# ") || std::regex_match(line, series)) << line;
  }

  EXPECT_EQ(coordinator_.Stop(), 0);
  for (const std::string& line : coordinator_.lines()) {
    EXPECT_EQ(log::EscapeControl(line), line);
    EXPECT_TRUE(nlohmann::json::parse(line, nullptr, false).is_object()) << line;
  }
}

}  // namespace
}  // namespace g2ll
