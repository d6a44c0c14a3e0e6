#include "tests/fault/session_shuffler.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace g2ll::fault {
namespace {

// One direction of a session: messages leave in the order of times drawn for them.
template <typename Message>
class ShuffledPipe {
 public:
  using Write = std::function<bool(const Message&)>;

  ShuffledPipe(const Shuffling& shuffling, uint64_t seed, ShuffleCounts* counts, Write write)
      : shuffling_(shuffling),
        random_(seed),
        counts_(counts),
        write_(std::move(write)),
        thread_([this] { Send(); }) {}
  // Sends what is left at once.
  ~ShuffledPipe() {
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    thread_.join();
  }

  void Push(const Message& message) {
    absl::MutexLock lock(&mutex_);
    const int64_t number = ++pushed_;
    ++counts_->messages;
    waiting_.emplace(Due(), std::pair(number, message));
    if (std::bernoulli_distribution(shuffling_.repeat)(random_)) {
      ++counts_->repeated;
      waiting_.emplace(Due(), std::pair(number, message));
    }
  }

 private:
  absl::Time Due() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return absl::Now() +
           std::uniform_real_distribution<double>(0, 1)(random_) * shuffling_.most_delay;
  }

  void Send() {
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return ended_ || (!waiting_.empty() && waiting_.begin()->first <= absl::Now());
    };
    while (true) {
      Message message;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.AwaitWithTimeout(absl::Condition(&ready), absl::Milliseconds(1));
        if (!ready()) {
          continue;
        }
        if (waiting_.empty()) {
          return;
        }
        auto& [number, first] = waiting_.begin()->second;
        counts_->overtaken += number < newest_ ? 1 : 0;
        newest_ = std::max(newest_, number);
        message = std::move(first);
        waiting_.erase(waiting_.begin());
      }
      if (!write_(message)) {
        return;
      }
    }
  }

  const Shuffling shuffling_;
  std::mt19937_64 random_;
  ShuffleCounts* const counts_;
  const Write write_;
  absl::Mutex mutex_;
  std::multimap<absl::Time, std::pair<int64_t, Message>> waiting_ ABSL_GUARDED_BY(mutex_);
  int64_t pushed_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t newest_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

class ShufflingService final : public v1::WorkerService::Service {
 public:
  ShufflingService(const std::string& coordinator, const Shuffling& shuffling,
                   ShuffleCounts* counts)
      : shuffling_(shuffling), counts_(counts), next_seed_(shuffling.seed) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    stub_ = v1::WorkerService::NewStub(
        grpc::CreateCustomChannel(coordinator, grpc::InsecureChannelCredentials(), arguments));
  }

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::DesiredState, v1::SessionRequest>* worker) override {
    const auto call = grpc::ClientContext::FromServerContext(*context);
    const auto coordinator = stub_->Session(call.get());
    {
      ShuffledPipe<v1::SessionRequest> up(
          shuffling_, next_seed_++, counts_,
          [&](const v1::SessionRequest& state) { return coordinator->Write(state); });
      ShuffledPipe<v1::DesiredState> down(
          shuffling_, next_seed_++, counts_,
          [&](const v1::DesiredState& desired) { return worker->Write(desired); });
      std::jthread reader([&] {
        v1::DesiredState desired;
        while (coordinator->Read(&desired)) {
          down.Push(desired);
        }
        context->TryCancel();  // The worker's end hears that the coordinator's is gone.
      });
      v1::SessionRequest state;
      while (worker->Read(&state)) {
        up.Push(state);
      }
      call->TryCancel();
    }
    coordinator->Finish();
    return {grpc::StatusCode::UNAVAILABLE, "the coordinator's end is gone"};
  }

  grpc::Status PushTelemetry(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::TelemetryAck, v1::PushTelemetryRequest>* worker) override {
    const auto call = grpc::ClientContext::FromServerContext(*context);
    const auto coordinator = stub_->PushTelemetry(call.get());
    {
      std::jthread reader([&] {
        v1::TelemetryAck ack;
        while (coordinator->Read(&ack)) {
          worker->Write(ack);
        }
        context->TryCancel();
      });
      v1::PushTelemetryRequest batch;
      while (worker->Read(&batch) && coordinator->Write(batch)) {
      }
      call->TryCancel();
    }
    coordinator->Finish();
    return {grpc::StatusCode::UNAVAILABLE, "the coordinator's end is gone"};
  }

  grpc::Status BeginCheckpoint(grpc::ServerContext* context,
                               const v1::BeginCheckpointRequest* request,
                               v1::BeginCheckpointResponse* response) override {
    const auto call = grpc::ClientContext::FromServerContext(*context);
    return stub_->BeginCheckpoint(call.get(), *request, response);
  }

  grpc::Status CommitCheckpoint(grpc::ServerContext* context,
                                const v1::CommitCheckpointRequest* request,
                                v1::Checkpoint* response) override {
    const auto call = grpc::ClientContext::FromServerContext(*context);
    return stub_->CommitCheckpoint(call.get(), *request, response);
  }

 private:
  const Shuffling shuffling_;
  ShuffleCounts* const counts_;
  std::atomic<uint64_t> next_seed_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
};

}  // namespace

SessionShuffler::SessionShuffler(const std::string& coordinator, const Shuffling& shuffling)
    : service_(std::make_unique<ShufflingService>(coordinator, shuffling, &counts_)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

SessionShuffler::~SessionShuffler() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

}  // namespace g2ll::fault
