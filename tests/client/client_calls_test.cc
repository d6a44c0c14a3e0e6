// Every call of the client library: its deadline, its retries, its connections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include "client/api/client.h"
#include "client/api/unary_call.h"
#include "google/protobuf/descriptor.h"
#include "proto/common/grpc_status.h"
#include "tests/client/fake_server.h"

namespace g2ll::client {
namespace {

using ::testing::Contains;
using ::testing::SizeIs;

ClientOptions Quick() {
  ClientOptions options;
  options.first_backoff = absl::Milliseconds(1);
  options.max_backoff = absl::Milliseconds(2);
  return options;
}

constexpr char kJob[] = "projects/default/jobs/a";

// One call of the client, and whether it may arrive twice.
struct Case {
  const char* method;
  std::function<void(Client&)> call;
  bool may_retry = true;
};

std::vector<Case> AllCalls() {
  v1::UpdateJobRequest with_etag;
  with_etag.mutable_job()->set_etag("e");
  return {
      {"CreateJob", [](Client& c) { c.CreateJob({}).status().IgnoreError(); }},
      {"GetJob", [](Client& c) { c.GetJob(kJob).status().IgnoreError(); }},
      {"ListJobs", [](Client& c) { c.ListJobs({}).status().IgnoreError(); }},
      {"UpdateJob", [](Client& c) { c.UpdateJob({}).status().IgnoreError(); }},
      {"UpdateJob", [=](Client& c) { c.UpdateJob(with_etag).status().IgnoreError(); }, false},
      {"CancelJob", [](Client& c) { c.CancelJob(kJob).status().IgnoreError(); }},
      {"CancelJob",
       [](Client& c) {
         c.CancelJob(kJob, {"", "e"}).status().IgnoreError();
       },
       false},
      {"KillJob", [](Client& c) { c.KillJob(kJob).status().IgnoreError(); }},
      {"PauseJob", [](Client& c) { c.PauseJob(kJob).status().IgnoreError(); }},
      {"ResumeJob", [](Client& c) { c.ResumeJob(kJob).status().IgnoreError(); }},
      {"RequeueJob", [](Client& c) { c.RequeueJob(kJob).status().IgnoreError(); }},
      {"DeleteJob", [](Client& c) { c.DeleteJob(kJob).IgnoreError(); }},
      {"ExplainJob", [](Client& c) { c.ExplainJob(kJob).status().IgnoreError(); }},
      {"QueryMetrics", [](Client& c) { c.QueryMetrics({}).status().IgnoreError(); }},
      {"ListCheckpoints", [](Client& c) { c.ListCheckpoints(kJob).status().IgnoreError(); }},
      {"GetCheckpoint", [](Client& c) { c.GetCheckpoint("c").status().IgnoreError(); }},
      {"PinCheckpoint", [](Client& c) { c.PinCheckpoint("c", true).status().IgnoreError(); }},
      {"VerifyCheckpoint", [](Client& c) { c.VerifyCheckpoint("c").status().IgnoreError(); }},
      {"DeleteCheckpoint", [](Client& c) { c.DeleteCheckpoint("c").IgnoreError(); }},
      {"CreateQueue", [](Client& c) { c.CreateQueue({}).status().IgnoreError(); }, false},
      {"GetQueue", [](Client& c) { c.GetQueue("q").status().IgnoreError(); }},
      {"ListQueues", [](Client& c) { c.ListQueues("p").status().IgnoreError(); }},
      {"UpdateQueue", [](Client& c) { c.UpdateQueue({}).status().IgnoreError(); }},
      {"DeleteQueue", [](Client& c) { c.DeleteQueue("q").IgnoreError(); }},
      {"ListWaitingJobs", [](Client& c) { c.ListWaitingJobs("p").status().IgnoreError(); }},
      {"GetProject", [](Client& c) { c.GetProject("p").status().IgnoreError(); }},
      {"ListProjects", [](Client& c) { c.ListProjects().status().IgnoreError(); }},
      {"UpdateProject", [](Client& c) { c.UpdateProject({}).status().IgnoreError(); }},
      {"ListWorkers", [](Client& c) { c.ListWorkers().status().IgnoreError(); }},
      {"GetWorker", [](Client& c) { c.GetWorker("w").status().IgnoreError(); }},
      {"CordonWorker", [](Client& c) { c.CordonWorker("w", "").status().IgnoreError(); }},
      {"UncordonWorker", [](Client& c) { c.UncordonWorker("w").status().IgnoreError(); }},
      {"DrainWorker", [](Client& c) { c.DrainWorker("w", "").status().IgnoreError(); }},
      {"GetServerInfo", [](Client& c) { c.GetServerInfo().status().IgnoreError(); }},
  };
}

// Names of the calls with one answer that the client-facing services have.
std::set<std::string> UnaryMethods() {
  std::set<std::string> names;
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const char* service :
       {"JobService", "TelemetryService", "CheckpointService", "QueueService", "AdminService"}) {
    const auto* type = pool->FindServiceByName(std::string("g2ll.v1.") + service);
    for (int i = 0; i < type->method_count(); ++i) {
      if (!type->method(i)->server_streaming()) names.insert(type->method(i)->name());
    }
  }
  return names;
}

TEST(ClientCallsTest, EveryCallOfTheServiceIsThereAndHasItsDeadline) {
  testing::FakeServer server;
  Client client(server.address(), Quick());
  std::set<std::string> called;

  for (const Case& test : AllCalls()) {
    test.call(client);
    called.insert(test.method);
    const absl::Duration limit = std::string(test.method) == "CreateJob" ? absl::Seconds(30)
                                 : std::string(test.method) == "VerifyCheckpoint"
                                     ? absl::Minutes(10)
                                     : absl::Seconds(5);
    ASSERT_TRUE(server.time_left.contains(test.method)) << test.method;
    // The wire rounds up.
    EXPECT_LE(server.time_left[test.method], limit * 1.01) << test.method;
  }
  EXPECT_EQ(called, UnaryMethods());
}

TEST(ClientCallsTest, OnlyWhatMayArriveTwiceIsSentAgain) {
  testing::FakeServer server;
  Client client(server.address(), Quick());

  for (const Case& test : AllCalls()) {
    server.num_calls[test.method] = 0;
    server.failures[test.method] = {absl::UnavailableError("try again")};
    test.call(client);
    EXPECT_EQ(server.num_calls[test.method], test.may_retry ? 2 : 1) << test.method;
  }
}

TEST(ClientCallsTest, NothingButUnavailableIsSentAgain) {
  testing::FakeServer server;
  Client client(server.address(), Quick());

  for (const absl::Status& status :
       {absl::InternalError(""), absl::DeadlineExceededError(""), absl::AbortedError(""),
        absl::ResourceExhaustedError(""), absl::UnknownError("")}) {
    server.num_calls["GetJob"] = 0;
    server.failures["GetJob"] = {status};
    EXPECT_EQ(client.GetJob(kJob).status().code(), status.code());
    EXPECT_EQ(server.num_calls["GetJob"], 1);
  }
}

TEST(ClientCallsTest, AServerThatCancelsIsGoingAway) {
  testing::FakeServer server;
  server.jobs[kJob].set_name(kJob);
  server.failures["GetJob"] = {absl::CancelledError("all calls are cancelled")};
  server.failures["WatchJob"] = {absl::CancelledError("all calls are cancelled"),
                                 absl::PermissionDeniedError("enough")};
  Client client(server.address(), Quick());

  EXPECT_TRUE(client.GetJob(kJob).ok());
  EXPECT_EQ(server.num_calls["GetJob"], 2);
  EXPECT_TRUE(absl::IsPermissionDenied(client.WatchJob(kJob, [](const v1::Job&) { return true; })));
}

TEST(ClientCallsTest, GivesUpAfterFourTries) {
  testing::FakeServer server;
  server.failures["GetJob"].assign(9, absl::UnavailableError("not now"));
  Client client(server.address(), Quick());

  EXPECT_TRUE(absl::IsUnavailable(client.GetJob(kJob).status()));
  EXPECT_EQ(server.num_calls["GetJob"], 4);
}

TEST(ClientCallsTest, ARemovalWhoseAnswerWasLostIsDone) {
  testing::FakeServer server;
  server.failures["DeleteJob"] = {absl::UnavailableError("lost on the way back"),
                                  absl::NotFoundError("gone")};
  Client client(server.address(), Quick());

  EXPECT_TRUE(client.DeleteJob(kJob).ok());
  // The first answer counts as it is.
  EXPECT_TRUE(absl::IsNotFound(client.DeleteJob(kJob)));
}

TEST(ClientCallsTest, ARequeueCarriesOneRequestIdThroughItsRetries) {
  testing::FakeServer server;
  server.jobs[kJob].set_name(kJob);
  Client client(server.address(), Quick());
  server.failures["RequeueJob"] = {absl::UnavailableError("")};

  ASSERT_TRUE(client.RequeueJob(kJob).ok());
  EXPECT_THAT(server.requests["RequeueJob"], ::testing::HasSubstr("request_id: \""));
}

TEST(ClientCallsTest, AStopEndsAWaitBetweenTries) {
  testing::FakeServer server;
  server.failures["GetJob"].assign(9, absl::UnavailableError("not now"));
  std::stop_source stop;
  ClientOptions options;
  options.first_backoff = options.max_backoff = absl::Hours(1);
  options.stop = stop.get_token();
  Client client(server.address(), options);
  stop.request_stop();

  EXPECT_TRUE(absl::IsCancelled(client.GetJob(kJob).status()));
}

TEST(ClientCallsTest, WaitsForAServerThatIsNotThereYet) {
  testing::FakeServer server;
  server.jobs[kJob].set_name(kJob);
  server.Stop();
  ClientOptions options = Quick();
  options.wait_for_ready = true;
  Client client(server.address(), options);
  std::thread starter([&server] { server.Start(); });

  EXPECT_TRUE(client.GetJob(kJob).ok());
  starter.join();
}

TEST(ClientCallsTest, AServerThatNeverComesIsUnavailableAlsoAfterWaiting) {
  testing::FakeServer server;
  server.Stop();
  ClientOptions options = Quick();
  options.wait_for_ready = true;
  options.attempts = 1;
  options.read_timeout = absl::Milliseconds(50);
  Client client(server.address(), options);

  EXPECT_TRUE(absl::IsUnavailable(client.GetJob(kJob).status()));
  // The limit of the user is a limit of time.
  options.deadline = absl::Now() + absl::Milliseconds(20);
  Client hurried(server.address(), options);
  EXPECT_TRUE(absl::IsDeadlineExceeded(hurried.GetJob(kJob).status()));
  server.Start();
}

TEST(ClientCallsTest, StreamsAreSpreadOverConnections) {
  testing::FakeServer server;
  server.jobs[kJob].set_name(kJob);
  server.watch_stays_open = true;
  ClientOptions options = Quick();
  options.streams_per_channel = 3;
  Client client(server.address(), options);
  std::stop_source stop;
  StreamControl control;
  control.stop = stop.get_token();

  std::vector<std::thread> watchers;
  for (int i = 0; i < 7; ++i) {
    watchers.emplace_back([&] {
      client
          .WatchJob(
              kJob, [](const v1::Job&) { return true; }, control)
          .IgnoreError();
    });
  }
  server.WaitForOpenStreams(7);
  stop.request_stop();
  for (std::thread& watcher : watchers) watcher.join();

  EXPECT_THAT(server.stream_peers, SizeIs(3));
}

TEST(ChannelPoolTest, APlaceThatIsFreeIsTakenAgain) {
  int num_made = 0;
  ChannelPool pool([&num_made] { return ++num_made, std::shared_ptr<grpc::Channel>(); }, 2);

  auto a = pool.TakePlace();
  auto b = pool.TakePlace();
  EXPECT_EQ(num_made, 1);
  auto c = pool.TakePlace();
  EXPECT_EQ(num_made, 2);
  a.reset();
  auto d = pool.TakePlace();
  EXPECT_EQ(num_made, 2);
}

TEST(BackoffTest, DoublesUpToTheLongestAndIsSpread) {
  ClientOptions options;
  options.first_backoff = absl::Milliseconds(200);
  options.max_backoff = absl::Seconds(2);

  EXPECT_EQ(Backoff(1, 0.5, options), absl::Milliseconds(200));
  EXPECT_EQ(Backoff(2, 0.5, options), absl::Milliseconds(400));
  EXPECT_EQ(Backoff(9, 0.5, options), absl::Seconds(2));
  EXPECT_EQ(Backoff(1'000'000'000, 0.5, options), absl::Seconds(2));
  EXPECT_EQ(Backoff(1, 0, options), absl::Milliseconds(160));
  EXPECT_EQ(Backoff(1, 1, options), absl::Milliseconds(240));
}

// A context that is made elsewhere could lack its deadline.
TEST(DeadlineLintTest, OnlyCallContextMakesContextsOfCalls) {
  namespace fs = std::filesystem;
  const std::regex made(
      "grpc::ClientContext +[a-z_]+ *[;({=]|grpc::ClientContext *[({]|"
      "make_(unique|shared)<grpc::ClientContext>");
  int num_files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(G2LL_SOURCE_DIR "/client")) {
    const fs::path& path = entry.path();
    if (path.extension() != ".cc" && path.extension() != ".h") continue;
    ++num_files;
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    const bool is_the_place = path.filename() == "unary_call.h";
    EXPECT_EQ(std::regex_search(text.str(), made), is_the_place) << path;
  }
  EXPECT_GT(num_files, 40);
}

}  // namespace
}  // namespace g2ll::client
