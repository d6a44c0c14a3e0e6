#ifndef SERVER_API_STREAM_DRIVER_H_
#define SERVER_API_STREAM_DRIVER_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "server/telemetry/io_pool.h"

namespace g2ll::api {

// Something that can be ended from outside, for a polite stop.
class OpenStream {
 public:
  virtual ~OpenStream() = default;
  virtual void End(const absl::Status& status) = 0;
};

// All open streams of the server. Thread safe.
class OpenStreams {
 public:
  // False once EndAll was called; the stream has been ended then.
  bool Add(const std::shared_ptr<OpenStream>& stream) {
    absl::Status ended;
    {
      absl::MutexLock lock(&mutex_);
      if (end_.ok()) {
        streams_.insert(stream);
        return true;
      }
      ended = end_;
    }
    stream->End(ended);
    return false;
  }
  void Remove(const std::shared_ptr<OpenStream>& stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  }
  void EndAll(const absl::Status& status) {
    std::set<std::shared_ptr<OpenStream>> streams;
    {
      absl::MutexLock lock(&mutex_);
      end_ = status;
      streams.swap(streams_);
    }
    for (const auto& stream : streams) {
      stream->End(status);
    }
  }

 private:
  absl::Mutex mutex_;
  std::set<std::shared_ptr<OpenStream>> streams_ ABSL_GUARDED_BY(mutex_);
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

// What a server stream sends, one message at a time.
template <typename Response>
class StreamSource {
 public:
  virtual ~StreamSource() = default;

  enum class Step {
    // `response` is to be sent; Next is called again afterwards.
    kSend,
    // Nothing now: Next is called again after a wake.
    kWait,
    // The stream ends with `status`.
    kEnd,
  };

  // Runs on a pool thread, never twice at once; may wait for the disk.
  virtual Step Next(Response* response, absl::Status* status) = 0;
  // The stream has ended; Next is not called any more. MUST return at once.
  virtual void Stopped() {}
};

// Drives one server stream from its source: the next message is made only after
// the last one was taken by the transport, so that a slow reader costs one message.
// Kept alive by its reactor and by whoever wakes it. Thread safe.
template <typename Response>
class StreamDriver final : public OpenStream,
                           public std::enable_shared_from_this<StreamDriver<Response>> {
 public:
  // Makes the reactor that gRPC owns. `registry` and `pool` outlive the stream.
  static std::pair<std::shared_ptr<StreamDriver>, grpc::ServerWriteReactor<Response>*> Make(
      telemetry::IoPool* pool, OpenStreams* registry) {
    auto driver = std::shared_ptr<StreamDriver>(new StreamDriver(pool, registry));
    auto* reactor = new Reactor(driver);
    {
      absl::MutexLock lock(&driver->mutex_);
      driver->reactor_ = reactor;
    }
    registry->Add(driver);
    return {driver, reactor};
  }

  // Begins to send what `source` has.
  void Start(std::unique_ptr<StreamSource<Response>> source) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (reactor_ != nullptr) {
        source_ = std::move(source);
      }
    }
    if (source != nullptr) {
      source->Stopped();  // The client was gone before there was anything to send.
      return;
    }
    Wake();
  }

  // The source may have more.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    woken_ = true;
    Schedule();
  }

  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) {
      end_ = net::ToGrpcStatus(status);
    }
    FinishIfIdle();
  }

 private:
  // Forwards what gRPC says. Deletes itself at the end, as gRPC wants.
  class Reactor final : public grpc::ServerWriteReactor<Response> {
   public:
    explicit Reactor(std::shared_ptr<StreamDriver> driver) : driver_(std::move(driver)) {}
    void OnWriteDone(bool ok) override { driver_->Written(ok); }
    void OnCancel() override { driver_->End(absl::CancelledError("the client went away")); }
    void OnDone() override {
      driver_->Done();
      delete this;
    }

   private:
    const std::shared_ptr<StreamDriver> driver_;
  };

  StreamDriver(telemetry::IoPool* pool, OpenStreams* registry) : pool_(pool), registry_(registry) {}

  void Schedule() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (source_ == nullptr || running_ || writing_ || !woken_ || end_.has_value()) {
      return;
    }
    running_ = true;
    woken_ = false;
    pool_->Submit([self = this->shared_from_this()] { self->Run(); });
  }

  void Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    using Step = typename StreamSource<Response>::Step;
    Response response;
    absl::Status status;
    const Step step = source_->Next(&response, &status);
    G2LL_FAILPOINT("api.stream.write");
    absl::MutexLock lock(&mutex_);
    running_ = false;
    if (end_.has_value()) {
      FinishIfIdle();
      return;
    }
    switch (step) {
      case Step::kSend:
        writing_ = true;
        in_flight_ = std::move(response);
        reactor_->StartWrite(&in_flight_);
        break;
      case Step::kWait:
        Schedule();
        break;
      case Step::kEnd:
        end_ = net::ToGrpcStatus(status);
        FinishIfIdle();
        break;
    }
  }

  void Written(bool ok) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && !end_.has_value()) {
      end_ = grpc::Status(grpc::StatusCode::CANCELLED, "the client went away");
    }
    FinishIfIdle();
    woken_ = true;
    Schedule();
  }

  void FinishIfIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (end_.has_value() && !running_ && !writing_ && !finished_ && reactor_ != nullptr) {
      finished_ = true;
      reactor_->Finish(*end_);
    }
  }

  void Done() ABSL_LOCKS_EXCLUDED(mutex_) {
    registry_->Remove(this->shared_from_this());
    std::unique_ptr<StreamSource<Response>> source;
    {
      absl::MutexLock lock(&mutex_);
      reactor_ = nullptr;
      source = std::move(source_);
    }
    if (source != nullptr) {
      source->Stopped();
    }
  }

  telemetry::IoPool* const pool_;
  OpenStreams* const registry_;
  absl::Mutex mutex_;
  grpc::ServerWriteReactor<Response>* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Replaced only while Run is not running.
  std::unique_ptr<StreamSource<Response>> source_;
  Response in_flight_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace g2ll::api

#endif  // SERVER_API_STREAM_DRIVER_H_
