#ifndef SERVER_API_STREAM_DRIVER_H_
#define SERVER_API_STREAM_DRIVER_H_

#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "server/api/open_streams.h"
#include "server/telemetry/io_pool.h"

namespace g2ll::api {

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
    // Nothing yet, but there is more to look at: Next is called again when others have
    // had their turn.
    kAgain,
    // The stream ends with `status`.
    kEnd,
  };

  // Runs on a pool thread, never twice at once; may wait for the disk.
  virtual Step Next(Response* response, absl::Status* status) = 0;
  // Where a reader of all messages so far goes on, as metadata of the error that ends
  // the stream early. Never called during Next. MUST return at once.
  virtual std::map<std::string, std::string> Position() const { return {}; }
  // Once nothing was sent for so long, OnQuiet is called and then Next. OnQuiet may be
  // called during Next.
  virtual absl::Duration longest_quiet() const { return absl::InfiniteDuration(); }
  virtual void OnQuiet() {}
  // The stream has ended; Next is not called any more. MUST return at once.
  virtual void Stopped() {}
};

// Drives one server stream from its source: the next message is made only after the
// last one was taken by the transport, so that a slow reader costs one message. One that
// does not take it at all is ended after a while. Kept alive by its reactor and by
// whoever wakes it. Thread safe; gRPC is never called with the lock held, except to
// cancel.
template <typename Response>
class StreamDriver final : public OpenStream,
                           public std::enable_shared_from_this<StreamDriver<Response>> {
 public:
  // Makes the reactor that gRPC owns. `registry` and `pool` outlive the stream. If there
  // are too many streams already, the reactor is about to end with that error.
  static std::pair<std::shared_ptr<StreamDriver>, grpc::ServerWriteReactor<Response>*> Make(
      grpc::CallbackServerContext* call, telemetry::IoPool* pool, OpenStreams* registry) {
    auto driver = std::shared_ptr<StreamDriver>(new StreamDriver(call, pool, registry));
    auto* reactor = new Reactor(driver);
    {
      absl::MutexLock lock(&driver->mutex_);
      driver->reactor_ = reactor;
    }
    const absl::Status added = registry->Add(driver, HostOfPeer(call->peer()), absl::Now());
    if (!added.ok()) {
      driver->End(added);
    }
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
    Change([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { woken_ = true; });
  }

  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mutex_) {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { EndWith(status); });
  }

  void OnTime(absl::Time now, const StreamLimits& limits) override ABSL_LOCKS_EXCLUDED(mutex_) {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      if (writing_ && now - write_time_ >= limits.longest_stall) {
        Stall(now, limits);
      } else if (source_ != nullptr && !writing_ && now - write_time_ >= source_->longest_quiet()) {
        source_->OnQuiet();
        woken_ = true;
      }
    });
  }

 private:
  // Forwards what gRPC says. Deletes itself at the end, as gRPC wants.
  class Reactor final : public grpc::ServerWriteReactor<Response> {
   public:
    explicit Reactor(std::shared_ptr<StreamDriver> driver) : driver_(std::move(driver)) {}
    void OnWriteDone(bool ok) override { driver_->Written(ok); }
    void OnCancel() override { driver_->Gone(); }
    void OnDone() override {
      driver_->Done();
      delete this;
    }

   private:
    const std::shared_ptr<StreamDriver> driver_;
  };

  // What gRPC is to be told once the lock is released.
  struct Action {
    Reactor* reactor = nullptr;
    // Number of the write; 0 is to finish.
    int64_t write = 0;
    grpc::Status finish;
  };

  StreamDriver(grpc::CallbackServerContext* call, telemetry::IoPool* pool, OpenStreams* registry)
      : call_(call), pool_(pool), registry_(registry) {}

  // Makes a change and does what follows from it.
  template <typename Function>
  void Change(const Function& change) ABSL_LOCKS_EXCLUDED(mutex_) {
    // The reactor, and with it the last owner, may go while gRPC is being called.
    const auto self = this->shared_from_this();
    Action action;
    {
      absl::MutexLock lock(&mutex_);
      change();
      action = Decide();
    }
    if (action.reactor == nullptr) {
      return;
    }
    if (action.write > 0) {
      action.reactor->StartWrite(&in_flight_);
      absl::MutexLock lock(&mutex_);
      handed_over_ = std::max(handed_over_, action.write);
    } else {
      action.reactor->Finish(action.finish);
    }
  }

  Action Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (reactor_ == nullptr || finished_) {
      return {};
    }
    if (ready_ && !gone_) {
      ready_ = false;
      writing_ = true;
      write_time_ = absl::Now();
      return {reactor_, ++writes_, grpc::Status::OK};
    }
    if (end_.has_value()) {
      if (running_ || (writing_ && !stalled_)) {
        return {};
      }
      finished_ = true;
      return {reactor_, 0, FinalStatus()};
    }
    if (source_ != nullptr && !running_ && !writing_ && woken_) {
      running_ = true;
      woken_ = false;
      pool_->Submit([self = this->shared_from_this()] { self->Run(); });
    }
    return {};
  }

  void Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    using Step = typename StreamSource<Response>::Step;
    Response response;
    absl::Status status;
    const Step step = source_->Next(&response, &status);
    G2LL_FAILPOINT("api.stream.write");
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      running_ = false;
      switch (step) {
        case Step::kSend:
          // Sent also if the stream is to end: the source counts it as sent.
          in_flight_ = std::move(response);
          ready_ = true;
          break;
        case Step::kAgain:
          woken_ = true;
          break;
        case Step::kWait:
          break;
        case Step::kEnd:
          if (!end_.has_value()) {
            end_ = status;
            has_position_ = false;
          }
          break;
      }
    });
  }

  void EndWith(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!end_.has_value()) {
      end_ = status;
      has_position_ = true;
    }
  }

  // The reader takes nothing. The message on its way is the last one; a reader that does
  // not take even that one is cut off.
  void Stall(absl::Time now, const StreamLimits& limits) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (handed_over_ < writes_) {
      return;
    }
    if (finished_) {
      if (reactor_ != nullptr && now - write_time_ >= 2 * limits.longest_stall) {
        call_->TryCancel();
      }
      return;
    }
    stalled_ = true;
    registry_->Count("slow_reader");
    EndWith(net::WithReason(absl::ResourceExhaustedError(absl::StrCat(
                                "nothing was read for ", absl::FormatDuration(limits.longest_stall),
                                ": read faster, or go on with a new stream where this one ended")),
                            "SLOW_READER"));
  }

  grpc::Status FinalStatus() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::string reason = net::ReasonOf(*end_);
    if (!has_position_ || source_ == nullptr || reason.empty()) {
      return net::ToGrpcStatus(*end_);
    }
    std::map<std::string, std::string> metadata = net::MetadataOf(*end_);
    metadata.merge(source_->Position());
    return net::ToGrpcStatus(net::WithReason(*end_, reason, metadata));
  }

  void Written(bool ok) ABSL_LOCKS_EXCLUDED(mutex_) {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      writing_ = false;
      woken_ = true;
      if (!ok) {
        gone_ = true;
        EndWith(absl::CancelledError("the client went away"));
      }
    });
  }

  void Gone() ABSL_LOCKS_EXCLUDED(mutex_) {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      gone_ = true;
      EndWith(absl::CancelledError("the client went away"));
    });
  }

  void Done() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::unique_ptr<StreamSource<Response>> source;
    {
      absl::MutexLock lock(&mutex_);
      reactor_ = nullptr;
      source = std::move(source_);
    }
    if (source != nullptr) {
      source->Stopped();
    }
    registry_->Remove(this->shared_from_this());
  }

  grpc::CallbackServerContext* const call_;  // lives as long as the reactor
  telemetry::IoPool* const pool_;
  OpenStreams* const registry_;
  absl::Mutex mutex_;
  // Null once gRPC is done with it.
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Replaced only while Run is not running.
  std::unique_ptr<StreamSource<Response>> source_;
  // Changed only while nothing is being written.
  Response in_flight_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  // `in_flight_` waits to be written; gRPC has it.
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // Writes begun, and those for which StartWrite has returned.
  int64_t writes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t handed_over_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time write_time_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  // The client takes nothing any more, or too slowly.
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool stalled_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  // The end came from outside, so its status says where to go on.
  bool has_position_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace g2ll::api

#endif  // SERVER_API_STREAM_DRIVER_H_
