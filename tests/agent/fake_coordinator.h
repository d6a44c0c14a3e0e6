#ifndef TESTS_AGENT_FAKE_COORDINATOR_H_
#define TESTS_AGENT_FAKE_COORDINATOR_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "proto/common/steady_time.h"

namespace g2ll::agent {

// A coordinator in the test's own process, on any free port of loopback: it sends
// the state that the test wants, keeps what the agent sends, and can misbehave.
class FakeCoordinator final : public v1::WorkerService::Service {
 public:
  using StreamKey = std::tuple<std::string, int64_t, int>;

  FakeCoordinator() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
    desired_.set_coordinator_term(1);
    desired_.mutable_lease()->set_seconds(15);
    desired_.mutable_heartbeat_interval()->set_nanos(100'000'000);
  }

  ~FakeCoordinator() override {
    {
      absl::MutexLock lock(&mutex_);
      closing_ = true;
      changed_.NotifyAll();
      for (grpc::ServerContext* context : open_) context->TryCancel();
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  const std::string& address() const { return address_; }

  // Changes what is wanted and sends it.
  void Want(const std::function<void(v1::DesiredState&)>& change) {
    absl::MutexLock lock(&mutex_);
    change(desired_);
    ++version_;
    changed_.NotifyAll();
  }

  // Waits for a state of the agent with the property; an empty state after 60 s.
  v1::SessionRequest WaitForState(const std::function<bool(const v1::SessionRequest&)>& property) {
    absl::MutexLock lock(&mutex_);
    if (!Await([&] { return property(state_); })) return {};
    return state_;
  }

  // Sends `late` as it is, as if it had been on its way for a while, and returns once
  // it is sent.
  void SendLate(const v1::DesiredState& late) {
    absl::MutexLock lock(&mutex_);
    late_ = late;
    changed_.NotifyAll();
    const auto sent = [&] { return !late_.has_value(); };
    mutex_.Await(absl::Condition(&sent));
  }

  // Breaks every open stream.
  void DropStreams() {
    absl::MutexLock lock(&mutex_);
    for (grpc::ServerContext* context : open_) context->TryCancel();
  }

  // From now on there is no coordinator as far as the agent can tell.
  void GoAway() {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    changed_.NotifyAll();
    for (grpc::ServerContext* context : open_) context->TryCancel();
  }

  // Telemetry is kept but not acknowledged while held.
  void HoldAcks(bool hold) {
    absl::MutexLock lock(&mutex_);
    hold_acks_ = hold;
  }

  // Answers of the next commits; OK when none is left.
  void AnswerCommits(std::vector<grpc::Status> answers) {
    absl::MutexLock lock(&mutex_);
    commit_answers_ = std::move(answers);
  }

  std::vector<v1::TelemetryItem> Telemetry(const StreamKey& key) {
    absl::MutexLock lock(&mutex_);
    return telemetry_[key];
  }

  // The newest term that each commit named.
  std::vector<int64_t> terms_at_commit() {
    absl::MutexLock lock(&mutex_);
    return terms_at_commit_;
  }

  // Items stored, per commit, of the committing job's rank 0.
  std::vector<size_t> stored_at_commit() {
    absl::MutexLock lock(&mutex_);
    return stored_at_commit_;
  }

  // Streams of both kinds that were opened so far.
  int streams() {
    absl::MutexLock lock(&mutex_);
    return streams_;
  }

  // The newest state, and that `count` streams were opened: for a state that came
  // over a new one.
  v1::SessionRequest WaitForStreams(int count) {
    absl::MutexLock lock(&mutex_);
    if (!Await([&] { return streams_ >= count; })) return {};
    const int64_t states = states_;
    if (!Await([&] { return states_ > states; })) return {};
    return state_;
  }

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::DesiredState, v1::SessionRequest>* stream) override {
    Opened(context);
    bool ended = false;
    std::jthread writer([&] {
      int64_t sent = -1;
      while (true) {
        v1::DesiredState desired;
        {
          absl::MutexLock lock(&mutex_);
          changed_.AwaitFor(mutex_, absl::Milliseconds(50),
                            [&] { return ended || closing_ || late_ || version_ != sent; });
          if (ended || closing_) return;
          if (late_) {
            desired = *std::exchange(late_, std::nullopt);
          } else {
            sent = version_;
            desired = desired_;
            desired.set_sequence(++sequence_);
            desired.set_heard_sequence(state_.sequence());
          }
        }
        if (!stream->Write(desired)) return;
      }
    });
    v1::SessionRequest state;
    while (stream->Read(&state)) {
      absl::MutexLock lock(&mutex_);
      state_ = state;
      ++states_;
      changed_.NotifyAll();
    }
    {
      absl::MutexLock lock(&mutex_);
      ended = true;
      changed_.NotifyAll();
    }
    writer.join();
    Closed(context);
    return context->IsCancelled() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "dropped")
                                  : grpc::Status::OK;
  }

  grpc::Status PushTelemetry(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::TelemetryAck, v1::PushTelemetryRequest>* stream) override {
    Opened(context);
    v1::PushTelemetryRequest batch;
    while (stream->Read(&batch)) {
      v1::TelemetryAck ack;
      {
        absl::MutexLock lock(&mutex_);
        auto& stored = telemetry_[{batch.job_uid(), batch.epoch(), batch.rank()}];
        for (const auto& item : batch.items()) {
          // What is stored already came again after a reconnect.
          if (item.local_seq() == static_cast<int64_t>(stored.size()) + 1) stored.push_back(item);
        }
        const auto may_ack = [&] { return !hold_acks_ || closing_; };
        mutex_.Await(absl::Condition(&may_ack));
        ack.set_local_seq(static_cast<int64_t>(stored.size()));
      }
      ack.set_job_uid(batch.job_uid());
      ack.set_epoch(batch.epoch());
      ack.set_rank(batch.rank());
      if (!stream->Write(ack)) break;
    }
    Closed(context);
    return grpc::Status::OK;
  }

  grpc::Status CommitCheckpoint(grpc::ServerContext*, const v1::CommitCheckpointRequest* request,
                                v1::Checkpoint* checkpoint) override {
    absl::MutexLock lock(&mutex_);
    terms_at_commit_.push_back(request->coordinator_term());
    stored_at_commit_.push_back(telemetry_[{request->job_uid(), request->epoch(), 0}].size());
    if (!commit_answers_.empty()) {
      const grpc::Status answer = commit_answers_.front();
      commit_answers_.erase(commit_answers_.begin());
      return answer;
    }
    checkpoint->set_step(request->step());
    return grpc::Status::OK;
  }

 private:
  // Waits for a minute at most.
  template <typename Property>
  bool Await(const Property& property) {
    return changed_.AwaitFor(mutex_, absl::Seconds(60), property);
  }

  void Opened(grpc::ServerContext* context) {
    absl::MutexLock lock(&mutex_);
    ++streams_;
    changed_.NotifyAll();
    open_.insert(context);
  }
  void Closed(grpc::ServerContext* context) {
    absl::MutexLock lock(&mutex_);
    open_.erase(context);
  }

  absl::Mutex mutex_;
  steady::Condition changed_;  // of what mutex_ guards
  v1::DesiredState desired_;
  int64_t version_ = 0;
  int64_t sequence_ = 0;
  std::optional<v1::DesiredState> late_;
  v1::SessionRequest state_;
  std::map<StreamKey, std::vector<v1::TelemetryItem>> telemetry_;
  std::vector<grpc::Status> commit_answers_;
  std::vector<size_t> stored_at_commit_;
  std::vector<int64_t> terms_at_commit_;
  std::set<grpc::ServerContext*> open_;
  int streams_ = 0;
  int64_t states_ = 0;
  bool hold_acks_ = false;
  bool closing_ = false;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace g2ll::agent

#endif  // TESTS_AGENT_FAKE_COORDINATOR_H_
