#ifndef CLIENT_API_STREAM_READER_H_
#define CLIENT_API_STREAM_READER_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/api/client.h"
#include "proto/common/grpc_status.h"

namespace g2ll::client {

// A stream that lasted so long was open, whether or not a message came.
inline constexpr absl::Duration kQuietButOpen = absl::Seconds(5);

// What a reader wants after one message.
enum class Next {
  kGoOn,
  kDone,  // this was the last message that matters
};

// Waits; returns early, with true, when a stop is asked for.
inline bool SleepUnlessStopped(absl::Duration duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  woken.wait_for(lock, stop, absl::ToChronoNanoseconds(duration), [] { return false; });
  return stop.stop_requested();
}

// Reads one server stream to its end. The status is OK if `on_message` was done,
// also where the server had not ended the stream; `is_done` tells that apart from
// a stream that just stopped.
template <typename Message>
absl::Status ReadOnce(
    const std::function<std::unique_ptr<grpc::ClientReader<Message>>(grpc::ClientContext*)>& open,
    const std::function<Next(const Message&)>& on_message, const StreamControl& control,
    bool* is_done) {
  grpc::ClientContext context;
  if (control.deadline != absl::InfiniteFuture()) {
    context.set_deadline(absl::ToChronoTime(control.deadline));
  }
  const std::stop_callback cancel(control.stop, [&context] { context.TryCancel(); });
  const std::unique_ptr<grpc::ClientReader<Message>> reader = open(&context);
  Message message;
  while (!*is_done && reader->Read(&message)) {
    *is_done = on_message(message) == Next::kDone;
  }
  if (*is_done) context.TryCancel();
  const grpc::Status status = reader->Finish();
  return *is_done ? absl::OkStatus() : net::FromGrpcStatus(status);
}

// Reads a server stream until `on_message` is done, and opens it again whenever
// the connection is lost. `open` is asked anew each time, so that it can begin
// where the last stream stopped. A stream that ends in good order before
// `on_message` is done counts as lost too: the server is being restarted.
template <typename Message>
absl::Status ReadStream(
    const std::function<std::unique_ptr<grpc::ClientReader<Message>>(grpc::ClientContext*)>& open,
    const std::function<Next(const Message&)>& on_message, const StreamControl& control,
    const ClientOptions& options) {
  bool is_done = false;
  bool heard = false;  // any message ever
  bool heard_now = false;
  absl::Time lost_since = absl::Now();
  absl::Duration backoff = options.first_backoff;
  const std::function<Next(const Message&)> note = [&](const Message& message) {
    heard = heard_now = true;
    return on_message(message);
  };
  for (int attempt = 1;; ++attempt) {
    const absl::Time opened = absl::Now();
    heard_now = false;
    absl::Status status = ReadOnce<Message>(open, note, control, &is_done);
    if (is_done) return absl::OkStatus();
    if (control.stop.stop_requested()) return absl::CancelledError("stopped");
    if (status.ok()) status = absl::UnavailableError("the server ended the stream");
    if (!absl::IsUnavailable(status)) return status;
    // A stream that stood for a while without a message was a good one too.
    if (heard_now || absl::Now() - opened > kQuietButOpen) {
      heard = true;
      lost_since = absl::Now();
      backoff = options.first_backoff;
    }
    const bool give_up =
        heard ? absl::Now() - lost_since >= options.stream_patience : attempt >= options.attempts;
    if (give_up) return status;
    const bool is_news = heard && lost_since >= opened;
    if (is_news && control.on_reconnect) control.on_reconnect(status);
    if (SleepUnlessStopped(backoff, control.stop)) return absl::CancelledError("stopped");
    if (absl::Now() > control.deadline) return absl::DeadlineExceededError("time ran out");
    backoff = std::min(backoff * 2, options.max_backoff);
  }
}

}  // namespace g2ll::client

#endif  // CLIENT_API_STREAM_READER_H_
