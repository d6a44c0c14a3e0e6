#include "tests/bench/control_plane/submitter.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"
#include "tests/bench/control_plane/bench.h"

namespace g2ll::bench {

struct Submitter::Call {
  grpc::ClientContext context;
  v1::CreateJobRequest request;
  v1::Job response;
  int64_t number = 0;
  absl::Time due;
};

Submitter::Submitter(const std::string& address, int connections) {
  for (int i = 0; i < connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    stubs_.push_back(v1::JobService::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
  }
}

Submitter::~Submitter() { TakeResults(); }

void Submitter::Send(const v1::CreateJobRequest& request, absl::Time due, int64_t most_open) {
  auto* call = new Call;
  call->request = request;
  call->due = due;
  call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(2));
  {
    const auto has_room = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_ < most_open; };
    absl::MutexLock lock(&mutex_, absl::Condition(&has_room));
    ++open_;
    call->number = sent_++;
  }
  v1::JobService::Stub& stub = *stubs_[static_cast<size_t>(call->number) % stubs_.size()];
  stub.async()->CreateJob(&call->context, &call->request, &call->response,
                          [this, call](const grpc::Status& status) {
                            Result result{call->number, call->response.uid(),
                                          net::FromGrpcStatus(status), absl::Now() - call->due};
                            // Before the answer counts: what remains ends on the thread that waits
                            // for it.
                            delete call;
                            Answered(std::move(result));
                          });
}

void Submitter::Answered(Result result) {
  absl::MutexLock lock(&mutex_);
  results_.push_back(std::move(result));
  --open_;
}

std::vector<Submitter::Result> Submitter::TakeResults() {
  const auto none = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_ == 0; };
  absl::MutexLock lock(&mutex_, absl::Condition(&none));
  return std::exchange(results_, {});
}

std::vector<Submitter::Result> Submitter::Flood(int64_t first, int64_t count, int64_t most_open,
                                                int32_t ranks) {
  for (int64_t i = first; i < first + count; ++i) {
    Send(Request(i, ranks), absl::Now(), most_open);
  }
  return TakeResults();
}

std::vector<Submitter::Result> Submitter::Steady(int64_t first, int64_t count, double per_second,
                                                 int32_t ranks) {
  const absl::Time start = absl::Now();
  for (int64_t i = 0; i < count; ++i) {
    const absl::Time due = start + absl::Seconds(static_cast<double>(i) / per_second);
    absl::SleepFor(due - absl::Now());
    Send(Request(first + i, ranks), due, std::numeric_limits<int64_t>::max());
  }
  return TakeResults();
}

std::vector<absl::Duration> LatenciesOf(const std::vector<Submitter::Result>& results) {
  std::vector<absl::Duration> latencies;
  for (const Submitter::Result& result : results) {
    latencies.push_back(result.latency);
  }
  return latencies;
}

absl::Status FirstError(const std::vector<Submitter::Result>& results) {
  for (const Submitter::Result& result : results) {
    if (!result.status.ok()) {
      return result.status;
    }
  }
  return absl::OkStatus();
}

}  // namespace g2ll::bench
