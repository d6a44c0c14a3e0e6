#ifndef CLIENT_API_STREAM_READER_H_
#define CLIENT_API_STREAM_READER_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/api/options.h"
#include "client/api/unary_call.h"

namespace g2ll::client {

// What a reader wants after one message.
enum class Next {
  kGoOn,
  kDone,  // this was the last message that matters
};

// How one stream is opened and read, over as many connections as it takes.
template <typename Message>
struct StreamPlan {
  // Asked anew for each connection, so that it can begin where the last one stopped.
  std::function<std::unique_ptr<grpc::ClientReader<Message>>(grpc::ClientContext*)> open;
  std::function<Next(const Message&)> on_message;
  // Told why a connection ended; takes from it where to go on. True: the stream is worth
  // opening again though the server was reached. May be null.
  std::function<bool(const absl::Status&)> on_end;
};

// Decides when a stream is opened again and tells when its connection is lost and back.
// Used by the one thread that reads; what it tells may come from a thread of its own.
class Reconnector {
 public:
  // The references outlive it.
  Reconnector(const ClientOptions& options, const StreamControl& control, grpc::Channel& channel);

  void OnOpen();
  void OnMessage();
  // After a connection ended with UNAVAILABLE: waits and returns OK when it is time to
  // open again, else how the whole stream ends: CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE.
  absl::Status WaitForNextTry(const absl::Status& ended);

 private:
  void TellLost(const absl::Status& ended);
  void TellBack();

  const ClientOptions& options_;
  const StreamControl& control_;
  grpc::Channel& channel_;
  bool heard_ = false;      // any message ever
  bool heard_now_ = false;  // any message of this connection
  int attempt_ = 0;
  absl::Time opened_;
  absl::Time lost_since_;
  std::mutex mutex_;
  bool told_lost_ = false;  // guarded by mutex_
  std::jthread quiet_;      // tells that a connection without messages is back
};

// Reads one server stream to its end. The status is OK if `on_message` was done,
// also where the server had not ended the stream; `is_done` tells that apart from
// a stream that just stopped.
template <typename Message>
absl::Status ReadOnce(const StreamPlan<Message>& plan, const StreamControl& control,
                      bool wait_for_ready, bool* is_done) {
  CallContext context(control.deadline, control.stop, wait_for_ready);
  const std::unique_ptr<grpc::ClientReader<Message>> reader = plan.open(context.get());
  Message message;
  while (!*is_done && reader->Read(&message)) {
    *is_done = plan.on_message(message) == Next::kDone;
  }
  if (*is_done) context.get()->TryCancel();
  const grpc::Status status = reader->Finish();
  if (*is_done) return absl::OkStatus();
  return control.stop.stop_requested() ? absl::CancelledError("stopped") : FromAnswer(status);
}

// Reads a server stream until `on_message` is done, and opens it again whenever
// the connection is lost. A stream that ends in good order before `on_message` is
// done counts as lost too: the server is being restarted.
template <typename Message>
absl::Status ReadStream(const StreamPlan<Message>& plan, const StreamControl& control,
                        const ClientOptions& options, grpc::Channel& channel) {
  Reconnector connection(options, control, channel);
  const StreamPlan<Message> noting{plan.open,
                                   [&](const Message& message) {
                                     connection.OnMessage();
                                     return plan.on_message(message);
                                   },
                                   nullptr};
  bool is_done = false;
  while (true) {
    connection.OnOpen();
    absl::Status status = ReadOnce<Message>(noting, control, false, &is_done);
    if (is_done) return absl::OkStatus();
    if (control.stop.stop_requested()) return absl::CancelledError("stopped");
    if (status.ok()) status = absl::UnavailableError("the server ended the stream");
    const bool is_worth_it = plan.on_end && plan.on_end(status);
    if (is_worth_it && !absl::IsUnavailable(status)) continue;
    if (!absl::IsUnavailable(status)) return status;
    const absl::Status wait = connection.WaitForNextTry(status);
    if (!wait.ok()) return wait;
  }
}

}  // namespace g2ll::client

#endif  // CLIENT_API_STREAM_READER_H_
