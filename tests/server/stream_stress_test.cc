// Streams of every kind are opened and left, by all who can end one, at the same time.
// G2LL_STRESS_CYCLES says how many (2,000 if unset).
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/server/api_fixture.h"

namespace g2ll::api {
namespace {

constexpr int kClients = 8;

int Cycles() {
  int cycles = 2000;
  if (const char* text = std::getenv("G2LL_STRESS_CYCLES"); text != nullptr) {
    EXPECT_TRUE(absl::SimpleAtoi(text, &cycles));
  }
  return cycles;
}

class StreamStressTest : public ApiTest {
 protected:
  // Opens a stream, reads up to three messages, and leaves: by cancelling, by reading to
  // an end that the server makes, or by letting go of it all.
  template <typename Response, typename Open>
  void Visit(std::mt19937& random, const Open& open) {
    grpc::ClientContext call;
    const auto reader = open(&call);
    Response response;
    for (uint32_t i = random() % 4; i > 0 && reader->Read(&response); --i) {
    }
    call.TryCancel();
    if (random() % 2 == 0) {
      while (reader->Read(&response)) {
      }
    }
    reader->Finish();
  }

  void VisitAny(std::mt19937& random) {
    switch (random() % 5) {
      case 0: {
        v1::StreamMetricsRequest request;
        request.set_job(kJob);
        request.set_follow(random() % 4 != 0);
        request.set_from_seq(static_cast<int64_t>(random() % 500));
        Visit<v1::StreamMetricsResponse>(
            random, [&](auto* call) { return telemetry_->StreamMetrics(call, request); });
        break;
      }
      case 1: {
        v1::StreamLogsRequest request;
        request.set_job(random() % 8 == 0 ? "projects/default/jobs/nobody" : kJob);
        request.set_follow(true);
        Visit<v1::StreamLogsResponse>(
            random, [&](auto* call) { return telemetry_->StreamLogs(call, request); });
        break;
      }
      case 2: {
        v1::WatchJobRequest request;
        request.set_name(kJob);
        Visit<v1::Job>(random, [&](auto* call) { return jobs_->WatchJob(call, request); });
        break;
      }
      case 3: {
        v1::WatchJobsRequest request;
        request.set_filter(random() % 2 == 0 ? "" : "state = RUNNING");
        Visit<v1::WatchJobsResponse>(random,
                                     [&](auto* call) { return jobs_->WatchJobs(call, request); });
        break;
      }
      default: {
        grpc::ClientContext call;
        v1::QueryMetricsRequest request;
        request.set_job(kJob);
        v1::QueryMetricsResponse response;
        if (random() % 2 == 0) {
          call.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
        }
        telemetry_->QueryMetrics(&call, request, &response);
      }
    }
  }
};

TEST_F(StreamStressTest, StreamsThatComeAndGoLeaveNothingBehind) {
  const int cycles = Cycles();
  const v1::Job job = StartJob();
  const int64_t base = streams_->count();
  std::vector<std::jthread> clients;
  for (uint32_t i = 0; i < kClients; ++i) {
    clients.emplace_back([this, i, cycles] {
      std::mt19937 random(i);
      for (int cycle = 0; cycle < cycles / kClients; ++cycle) {
        VisitAny(random);
      }
    });
  }
  // The job goes on, and the server looks at its streams, old and new, all the while.
  std::jthread server([&](const std::stop_token& stop) {
    for (int64_t seq = 1; !stop.stop_requested(); seq += 10) {
      PushPoints(job.uid(), seq, seq + 9);
      streams_->Sweep(absl::Now() + (seq % 50 == 1 ? limits_.max_age : absl::Seconds(31)));
    }
  });
  clients.clear();
  server.request_stop();
  server.join();

  EXPECT_TRUE(streams_->WaitForAtMost(base, absl::Seconds(2)));
  std::cout << cycles << " streams opened and left, " << streams_->count() - base
            << " left behind\n";
}

}  // namespace
}  // namespace g2ll::api
