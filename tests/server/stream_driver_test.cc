// One server stream under every kind of reader, over real gRPC.
#include "server/api/stream_driver.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "g2ll/v1/telemetry.grpc.pb.h"
#include "server/metrics/server_metrics.h"

namespace g2ll::api {
namespace {

using ::testing::HasSubstr;
using Response = v1::StreamMetricsResponse;

constexpr int64_t kMessageBytes = 64 << 10;

// Sends numbered messages of 64 KiB, up to a last one, and then waits.
class NumberSource final : public StreamSource<Response> {
 public:
  struct State {
    std::atomic<int64_t> last = 0;
    std::atomic<int64_t> made = 0;
    std::atomic<int64_t> asked = 0;
    std::atomic<bool> stopped = false;
    absl::Duration quiet = absl::InfiniteDuration();
    // Runs at the beginning of Next.
    std::function<void()> in_next = [] {};
  };

  explicit NumberSource(std::shared_ptr<State> state) : state_(std::move(state)) {}

  Step Next(Response* response, absl::Status*) override {
    state_->in_next();
    ++state_->asked;
    if (state_->made >= state_->last) {
      return Step::kWait;
    }
    v1::MetricPoint* point = response->mutable_batch()->add_points();
    point->set_seq(++state_->made);
    point->set_name(std::string(kMessageBytes, 'x'));
    return Step::kSend;
  }
  std::map<std::string, std::string> Position() const override {
    return {{"nextSeq", absl::StrCat(state_->made.load() + 1)}};
  }
  absl::Duration longest_quiet() const override { return state_->quiet; }
  void Stopped() override { state_->stopped = true; }

 private:
  const std::shared_ptr<State> state_;
};

class StreamDriverTest : public ::testing::Test, public v1::TelemetryService::CallbackService {
 protected:
  void Start(const StreamLimits& limits) {
    registry_.emplace(limits, &metrics_);
    pool_ = std::make_unique<telemetry::IoPool>(2);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    stub_ = v1::TelemetryService::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  }
  void SetUp() override { Start({}); }
  void TearDown() override {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
    server_.reset();
    pool_.reset();
  }

  grpc::ServerWriteReactor<Response>* StreamMetrics(
      grpc::CallbackServerContext* call, const v1::StreamMetricsRequest* request) override {
    auto [driver, reactor] = StreamDriver<Response>::Make(call, pool_.get(), &*registry_);
    auto state = std::make_shared<NumberSource::State>();
    state->last = request->from_seq();
    state->quiet = quiet_;
    state->in_next = in_next_;
    // A stream that ends before it has started has no position.
    driver->Start(std::make_unique<NumberSource>(state));
    absl::MutexLock lock(&mutex_);
    states_[request->job()] = state;
    return reactor;
  }

  // A stream that is asked for `last` messages under `name`.
  struct Client {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<Response>> reader;
    int64_t read = 0;

    // The number of the next message, which MUST be the next one; 0 at the end.
    int64_t Read() {
      Response response;
      if (!reader->Read(&response)) {
        return 0;
      }
      EXPECT_EQ(response.batch().points(0).seq(), ++read);
      return read;
    }
    absl::Status Finish() { return net::FromGrpcStatus(reader->Finish()); }
  };
  std::unique_ptr<Client> Open(const std::string& name, int64_t last) {
    auto client = std::make_unique<Client>();
    v1::StreamMetricsRequest request;
    request.set_job(name);
    request.set_from_seq(last);
    client->reader = stub_->StreamMetrics(&client->context, request);
    return client;
  }
  // Waits until the server has the stream.
  std::shared_ptr<NumberSource::State> StateOf(const std::string& name) {
    absl::MutexLock lock(&mutex_);
    const auto is_there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return states_.contains(name);
    };
    mutex_.Await(absl::Condition(&is_there));
    return states_[name];
  }

  metrics::ServerMetrics metrics_{"test"};
  std::optional<OpenStreams> registry_;
  std::unique_ptr<telemetry::IoPool> pool_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::TelemetryService::Stub> stub_;
  absl::Duration quiet_ = absl::InfiniteDuration();
  std::function<void()> in_next_ = [] {};
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<NumberSource::State>> states_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(StreamDriverTest, AReaderThatTakesNothingCostsFewMessagesAndDelaysNobody) {
  const auto stopped = Open("stopped", 100000);
  const auto fast = Open("fast", 500);

  while (fast->read < 500) {
    ASSERT_GT(fast->Read(), 0);
  }

  // What the transports of both sides buffer, never what there is to send.
  EXPECT_LE(StateOf("stopped")->made * kMessageBytes, 4 << 20);
  EXPECT_FALSE(StateOf("stopped")->stopped);
  fast->context.TryCancel();
  stopped->context.TryCancel();
  fast->Finish().IgnoreError();
  stopped->Finish().IgnoreError();
}

TEST_F(StreamDriverTest, AReaderThatStallsIsEndedAndToldWhereToGoOn) {
  const auto client = Open("a", 100000);
  StateOf("a");
  while (metrics_.Serialize().find("g2ll_limit_hits_total{limit=\"slow_reader\"} 0\n") !=
         std::string::npos) {
    registry_->Sweep(absl::Now() + registry_->limits().longest_stall);
  }

  while (client->Read() > 0) {
  }
  const absl::Status end = client->Finish();

  EXPECT_EQ(end.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(net::ReasonOf(end), "SLOW_READER");
  EXPECT_EQ(net::MetadataOf(end)["nextSeq"], absl::StrCat(client->read + 1));
}

TEST_F(StreamDriverTest, AReaderThatNeverTakesItsLastMessageIsCutOff) {
  const auto client = Open("a", 100000);
  StateOf("a");

  while (!registry_->WaitForAtMost(0, absl::Milliseconds(1))) {
    registry_->Sweep(absl::Now() + 2 * registry_->limits().longest_stall);
  }

  EXPECT_TRUE(StateOf("a")->stopped);
  client->context.TryCancel();
  client->Finish().IgnoreError();
}

TEST_F(StreamDriverTest, AnOldStreamEndsPolitelyAfterAllThatWasMade) {
  const auto client = Open("a", 3);
  ASSERT_EQ(client->Read(), 1);

  registry_->Sweep(absl::Now() + registry_->limits().max_age);

  while (client->Read() > 0) {
  }
  const absl::Status end = client->Finish();
  EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(net::ReasonOf(end), "STREAM_TOO_OLD");
  EXPECT_EQ(net::MetadataOf(end)["nextSeq"], absl::StrCat(client->read + 1));
}

TEST_F(StreamDriverTest, StoppingEndsEveryStreamWithItsPosition) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(Open(absl::StrCat(i), i));
    StateOf(absl::StrCat(i));
  }

  registry_->EndAll(net::WithReason(absl::UnavailableError("stopping"), "STOPPING"));

  for (const auto& client : clients) {
    while (client->Read() > 0) {
    }
    const absl::Status end = client->Finish();
    EXPECT_EQ(net::ReasonOf(end), "STOPPING");
    EXPECT_EQ(net::MetadataOf(end)["nextSeq"], absl::StrCat(client->read + 1));
  }
  EXPECT_TRUE(registry_->WaitForAtMost(0, absl::Seconds(2)));
  const auto late = Open("late", 1);
  EXPECT_EQ(late->Read(), 0);
  EXPECT_EQ(net::ReasonOf(late->Finish()), "STOPPING");
}

TEST_F(StreamDriverTest, ClientsThatVanishLeaveNothingBehind) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(Open(absl::StrCat(i), i % 2 == 0 ? 100000 : 0));
    StateOf(absl::StrCat(i));
  }
  EXPECT_EQ(registry_->count(), 100);

  for (const auto& client : clients) {
    client->context.TryCancel();
  }

  EXPECT_TRUE(registry_->WaitForAtMost(0, absl::Seconds(2)));
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(StateOf(absl::StrCat(i))->stopped);
  }
  for (const auto& client : clients) {
    client->Finish().IgnoreError();
  }
}

TEST_F(StreamDriverTest, AClientMayVanishWhileItsNextMessageIsBeingMade) {
  absl::Notification in_next;
  absl::Notification vanished;
  in_next_ = [&] {
    if (!in_next.HasBeenNotified()) {
      in_next.Notify();  // Next may be asked again before the stream has ended.
    }
    vanished.WaitForNotification();
  };
  const auto client = Open("a", 1);
  in_next.WaitForNotification();

  client->context.TryCancel();
  client->Finish().IgnoreError();
  vanished.Notify();

  EXPECT_TRUE(registry_->WaitForAtMost(0, absl::Seconds(2)));
  EXPECT_TRUE(StateOf("a")->stopped);
}

TEST_F(StreamDriverTest, AQuietStreamIsAskedAgain) {
  quiet_ = absl::Seconds(30);
  const auto client = Open("a", 0);
  const auto state = StateOf("a");
  while (state->asked == 0) {
    std::this_thread::yield();
  }
  const int64_t asked = state->asked;

  registry_->Sweep(absl::Now());
  registry_->Sweep(absl::Now() + absl::Seconds(30));
  while (state->asked == asked) {
    std::this_thread::yield();
  }

  client->context.TryCancel();
  client->Finish().IgnoreError();
}

class StreamLimitTest : public StreamDriverTest {
 protected:
  void SetUp() override {
    StreamLimits limits;
    limits.per_client = 2;
    Start(limits);
  }
};

TEST_F(StreamLimitTest, OneClientMayNotHaveAllStreams) {
  const auto first = Open("a", 0);
  const auto second = Open("b", 0);
  StateOf("a");
  StateOf("b");
  const auto third = Open("c", 1);

  EXPECT_EQ(third->Read(), 0);
  const absl::Status refused = third->Finish();

  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(net::ReasonOf(refused), "TOO_MANY_STREAMS");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("127.0.0.1"));
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("{limit=\"streams_per_client\"} 1"));
  first->context.TryCancel();
  first->Finish().IgnoreError();
  EXPECT_TRUE(registry_->WaitForAtMost(1, absl::Seconds(2)));
  const auto fourth = Open("d", 1);
  EXPECT_EQ(fourth->Read(), 1);
  for (const auto* client : {&second, &fourth}) {
    (*client)->context.TryCancel();
    (*client)->Finish().IgnoreError();
  }
}

TEST(OpenStreamsTest, AllClientsTogetherHaveALimitAndWorkersHaveNone) {
  class Nothing final : public OpenStream {
    void End(const absl::Status&) override {}
  };
  OpenStreams streams({.per_client = 10, .total = 2});
  const absl::Time now = absl::UnixEpoch();
  const auto first = std::make_shared<Nothing>();
  EXPECT_TRUE(streams.Add(first, "a", now).ok());
  EXPECT_TRUE(streams.Add(std::make_shared<Nothing>(), "b", now).ok());

  EXPECT_EQ(net::ReasonOf(streams.Add(std::make_shared<Nothing>(), "c", now)), "TOO_MANY_STREAMS");
  EXPECT_TRUE(streams.AddWorker(std::make_shared<Nothing>()).ok());
  EXPECT_EQ(streams.count(), 3);
  streams.Remove(first);
  EXPECT_TRUE(streams.Add(std::make_shared<Nothing>(), "c", now).ok());
}

TEST(OpenStreamsTest, AHostIsAPeerWithoutItsPort) {
  EXPECT_EQ(HostOfPeer("ipv4:10.0.0.7:4711"), "10.0.0.7");
  EXPECT_EQ(HostOfPeer("ipv6:%5B::1%5D:4711"), "%5B::1%5D");
  EXPECT_EQ(HostOfPeer("unix:/run/g2ll.sock"), "/run/g2ll.sock");
  EXPECT_EQ(HostOfPeer("odd"), "odd");
}

}  // namespace
}  // namespace g2ll::api
