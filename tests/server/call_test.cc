// Unary calls, health and limits of the transport.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>

#include <future>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/api_fixture.h"

namespace g2ll::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kServing = 1;

// Status of a name by grpc.health.v1.Health/Check; its messages are one field each.
int Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext call;
  const std::string text = "\n" + std::string(1, static_cast<char>(name.size())) + name;
  grpc::Slice slice(text);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> status;
  stub.UnaryCall(&call, "/grpc.health.v1.Health/Check", {}, &request, &response,
                 [&](grpc::Status end) { status.set_value(std::move(end)); });
  if (!status.get_future().get().ok()) {
    return -1;
  }
  grpc::Slice answer;
  EXPECT_TRUE(response.DumpToSingleSlice(&answer).ok());
  return answer.size() == 2 ? answer.begin()[1] : 0;
}

// A worker that is connected and never looks at the data that it is asked about.
class SilentWorkerTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    call_ = std::make_unique<grpc::ClientContext>();
    session_ = workers_->Session(call_.get());
    v1::SessionRequest report;
    report.set_worker("silent");
    report.set_incarnation("i1");
    report.mutable_inventory()->set_slots(1);
    report.mutable_inventory()->set_storage_token(storage_->token());
    ASSERT_TRUE(session_->Write(report));
    v1::DesiredState wish;
    ASSERT_TRUE(session_->Read(&wish));
  }
  void TearDown() override {
    call_->TryCancel();
    session_->Finish();
    ApiTest::TearDown();
  }
  // Waits until the worker is asked about data: a creation waits for it then.
  void AwaitQuestion() {
    v1::DesiredState wish;
    while (wish.data_checks().empty()) {
      ASSERT_TRUE(session_->Read(&wish));
    }
  }

  std::unique_ptr<grpc::ClientContext> call_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::DesiredState>> session_;
};

TEST_F(SilentWorkerTest, ACallWithoutADeadlineEndsByTheServersOwn) {
  absl::Status status;
  std::jthread client([&] {
    v1::Job job;
    status = Create(MakeRequest("a"), &job);
  });
  AwaitQuestion();

  streams_->Sweep(absl::Now() + absl::Seconds(59));
  streams_->Sweep(absl::Now() + absl::Seconds(61));
  client.join();

  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(net::ReasonOf(status), "CALL_TIMEOUT");
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("{limit=\"call_deadline\"} 1"));
}

TEST_F(SilentWorkerTest, ACallWhoseClientHasGoneIsLetGo) {
  grpc::ClientContext call;
  std::jthread client([&] {
    v1::Job job;
    EXPECT_EQ(jobs_->CreateJob(&call, MakeRequest("a"), &job).error_code(),
              grpc::StatusCode::CANCELLED);
  });
  AwaitQuestion();

  call.TryCancel();
  client.join();

  // The server has ended the call too: its time was taken.
  while (metrics_.Serialize().find("method=\"g2ll.v1.JobService/CreateJob\"") ==
         std::string::npos) {
    std::this_thread::yield();
  }
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("code=\"CANCELLED\""));
}

TEST_F(ApiTest, CallsAreTimedByMethodAndCode) {
  v1::Job job;
  ASSERT_TRUE(Create(MakeRequest("a"), &job).ok());
  EXPECT_FALSE(Create(MakeRequest("NOT A NAME"), &job).ok());

  const std::string text = metrics_.Serialize();

  EXPECT_THAT(text, HasSubstr("g2ll_grpc_server_handling_seconds_count{code=\"OK\",method="
                              "\"g2ll.v1.JobService/CreateJob\"} 1"));
  EXPECT_THAT(text, HasSubstr("g2ll_grpc_server_handling_seconds_count{code=\"INVALID_ARGUMENT\","
                              "method=\"g2ll.v1.JobService/CreateJob\"} 1"));
}

TEST_F(ApiTest, AnErrorWithManyBadFieldsFitsIntoHeaders) {
  v1::CreateJobRequest request = MakeRequest("a");
  for (int i = 0; i < 300; ++i) {
    (*request.mutable_job()->mutable_labels())[absl::StrCat("bad key \xc3\xa9", i)] =
        std::string(100, '!');
  }
  v1::Job job;

  const absl::Status refused = Create(request, &job);

  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(net::ReasonOf(refused), "INVALID_SPEC");
  EXPECT_GE(net::ViolationsOf(refused).size(), 2u);
}

TEST_F(ApiTest, AMessageThatIsTooLargeIsRefused) {
  v1::CreateJobRequest request = MakeRequest("a");
  request.set_request_id(std::string(2 << 20, 'x'));
  v1::Job job;

  EXPECT_EQ(Create(request, &job).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Create(MakeRequest("a"), &job).ok());
}

TEST_F(ApiTest, MetadataThatIsTooLargeIsRefused) {
  grpc::ClientContext call;
  call.AddMetadata("x-large", std::string(64 << 10, 'x'));
  v1::ListJobsResponse response;

  EXPECT_EQ(jobs_->ListJobs(&call, {}, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ApiTest, HealthSaysThatCallsAreAnsweredAndThatJobsArePlaced) {
  EXPECT_EQ(Health(channel_, ""), kServing);
  while (Health(channel_, kCoordinatorHealth) != kServing) {
    std::this_thread::yield();
  }
}

TEST_F(ApiTest, NoJobIsPlacedWhileTheWorkerOfARunningOneIsAwaited) {
  StartJob();
  worker_call_->TryCancel();
  worker_->Finish();
  worker_.reset();
  server_->Shutdown(absl::Seconds(2));
  server_.reset();
  coordinator_.reset();

  core_ = std::make_unique<coordinator::Core>(core_options_, store_.get(), &hub_, &metrics_);
  const absl::Time start = absl::Now();
  ASSERT_TRUE(core_->Start(start).ok());

  EXPECT_TRUE(core_->IsRecovering(start));
  EXPECT_FALSE(core_->IsRecovering(start + core_options_.recovery_window));
}

// A line of Prometheus' text format.
bool IsMetricsLine(const std::string& line) {
  static const std::regex kComment("# (HELP|TYPE) [a-z0-9_]+ .+");
  static const std::regex kSample(
      "[a-z0-9_]+(\\{[a-z_]+=\"([^\"\\\\]|\\\\[\"\\\\n])*\"(,[a-z_]+=\"([^\"\\\\]|\\\\[\"\\\\n])*"
      "\")*\\})? "
      "([0-9.e+-]+|[+-]?Inf|Nan)");
  return std::regex_match(line, kComment) || std::regex_match(line, kSample);
}

// What is shown must be readable whatever a label holds.
TEST(MetricsTextTest, EveryLineHasAFormThatIsRead) {
  metrics::ServerMetrics metrics("v\"1\\2\n3");
  metrics.ObserveCall("a\"b\\c\nd/e{f}", "OK", absl::Seconds(1));
  metrics.AddLimitHit("odd \xc3\xa9 \"name\"\n");
  metrics.ObserveStreamLag("metrics", absl::InfiniteDuration());
  metrics.AddStreamDiskRead("logs");
  metrics.SetStoreQueueDepth(3);

  const std::string text = metrics.Serialize();

  ASSERT_TRUE(text.ends_with('\n'));
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos;
       begin = end + 1, end = text.find('\n', begin)) {
    const std::string line = text.substr(begin, end - begin);
    EXPECT_TRUE(IsMetricsLine(line)) << line;
  }
  EXPECT_THAT(text, HasSubstr("g2ll_telemetry_dropped_total 0\n"));
  EXPECT_THAT(text, HasSubstr("g2ll_store_queue_depth 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("job=")));
}

}  // namespace
}  // namespace g2ll::api
