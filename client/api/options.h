#ifndef CLIENT_API_OPTIONS_H_
#define CLIENT_API_OPTIONS_H_

#include <functional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace g2ll::client {

// How a client deals with time and with a server that goes away. Every call has a
// deadline; only streams that follow something or fetch files may have none: pings of the
// connection end them where the server no longer answers.
struct ClientOptions {
  absl::Duration read_timeout = absl::Seconds(5);     // of one try of a short call
  absl::Duration create_timeout = absl::Seconds(30);  // the server looks at the data set meanwhile
  absl::Duration verify_timeout = absl::Minutes(10);  // the server reads a whole checkpoint
  absl::Time deadline = absl::InfiniteFuture();       // of every call and stream, with its retries
  int attempts = 4;                                   // of a call that does not reach the server
  absl::Duration first_backoff = absl::Milliseconds(200);
  absl::Duration max_backoff = absl::Seconds(2);
  // A stream that was open is opened again for so long without any message.
  absl::Duration stream_patience = absl::Minutes(5);
  // Calls wait, within their deadline, for a server that is not there yet.
  bool wait_for_ready = false;
  // Servers and proxies cap the streams of a connection: more streams get more connections.
  int streams_per_channel = 50;
  std::stop_token stop;  // a stop ends every call with CANCELLED
};

// Where a stream ends early without an error, and who hears of its connection. The
// functions may be called from another thread than the one that reads.
struct StreamControl {
  std::stop_token stop;                          // a stop ends the call with CANCELLED
  absl::Time deadline = absl::InfiniteFuture();  // DEADLINE_EXCEEDED
  // Told once for every time that the connection is lost.
  std::function<void(const absl::Status&)> on_lost;
  // Told once for every time that a lost connection is back.
  std::function<void()> on_back;
};

}  // namespace g2ll::client

#endif  // CLIENT_API_OPTIONS_H_
