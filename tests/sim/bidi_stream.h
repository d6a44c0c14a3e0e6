#ifndef TESTS_SIM_BIDI_STREAM_H_
#define TESTS_SIM_BIDI_STREAM_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "proto/common/grpc_status.h"
#include "tests/sim/event_loop.h"

namespace g2ll::sim {

// The client's end of a bidirectional stream, used from one event loop: at most one
// read and one write at a time, each started by the owner. All methods and all
// events are of the loop's thread.
template <typename Out, typename In>
class BidiStream final : public grpc::ClientBidiReactor<Out, In>,
                         public std::enable_shared_from_this<BidiStream<Out, In>> {
 public:
  struct Events {
    // A message came; the next one comes after Read.
    std::function<void(In)> on_read;
    std::function<void()> on_written;
    // The last event.
    std::function<void(const absl::Status&)> on_closed;
  };

  // `start` begins the call, for example stub->async()->Session(context, reactor).
  // The loop outlives the call. The first read is on its way.
  static std::shared_ptr<BidiStream> Open(
      EventLoop* loop, Events events,
      const std::function<void(grpc::ClientContext*, grpc::ClientBidiReactor<Out, In>*)>& start) {
    auto stream = std::shared_ptr<BidiStream>(new BidiStream(loop, std::move(events)));
    stream->self_ = stream;
    loop->CallOpened();
    start(&stream->context_, stream.get());
    // Reads and writes are started outside of gRPC's own calls.
    stream->AddHold();
    stream->reading_ = true;
    stream->StartRead(&stream->in_);
    stream->StartCall();
    return stream;
  }

  bool can_write() const { return held_ && !writing_; }
  void Write(Out message) {
    out_ = std::move(message);
    writing_ = true;
    this->StartWrite(&out_);
  }
  void Read() {
    if (held_ && !reading_) {
      reading_ = true;
      this->StartRead(&in_);
    }
  }
  // Breaks the stream; only on_closed comes after it.
  void Cancel() {
    cancelled_ = true;
    context_.TryCancel();
    ReleaseIfIdle();
  }

  void OnReadDone(bool ok) override {
    loop_->Post([self = this->shared_from_this(), ok] { self->ReadDone(ok); });
  }
  void OnWriteDone(bool ok) override {
    loop_->Post([self = this->shared_from_this(), ok] { self->WriteDone(ok); });
  }
  void OnDone(const grpc::Status& status) override {
    // The last use of the stream, and with it of its channel, must not be on a thread of
    // gRPC: ending a channel waits for those.
    loop_->Post([self = std::move(self_), status] {
      self->events_.on_closed(net::FromGrpcStatus(status));
      self->loop_->CallEnded();
    });
  }

 private:
  BidiStream(EventLoop* loop, Events events) : loop_(loop), events_(std::move(events)) {}

  void ReadDone(bool ok) {
    reading_ = false;
    broken_ |= !ok;
    ReleaseIfIdle();
    if (ok && !cancelled_) {
      events_.on_read(std::move(in_));
    }
  }
  void WriteDone(bool ok) {
    writing_ = false;
    broken_ |= !ok;
    ReleaseIfIdle();
    if (ok && !cancelled_) {
      events_.on_written();
    }
  }
  void ReleaseIfIdle() {
    if (held_ && (broken_ || cancelled_) && !reading_) {
      held_ = false;
      this->RemoveHold();
    }
  }

  EventLoop* const loop_;
  const Events events_;
  grpc::ClientContext context_;
  In in_;
  Out out_;
  bool reading_ = false;
  bool writing_ = false;
  bool held_ = true;
  bool broken_ = false;
  bool cancelled_ = false;
  // gRPC uses the object until OnDone.
  std::shared_ptr<BidiStream> self_;
};

}  // namespace g2ll::sim

#endif  // TESTS_SIM_BIDI_STREAM_H_
