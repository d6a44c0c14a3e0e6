#ifndef SERVER_HTTP_HTTP_SERVER_H_
#define SERVER_HTTP_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proto/common/address.h"

namespace g2ll::http {

// Serves `/metrics` (Prometheus text), `/healthz` (the process lives) and
// `/readyz` (it serves requests).
class HttpServer {
 public:
  // What the pages show. Called on the server's threads.
  struct Pages {
    std::function<std::string()> metrics;
    std::function<bool()> is_ready;
    // A line for `/readyz` that says what is still going on; empty for none.
    std::function<std::string()> note;
  };

  // Error: FailedPrecondition that names the address and why it cannot be used.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const net::HostPort& address,
                                                           Pages pages);
  // Stops listening and waits for requests that are being answered.
  ~HttpServer();

  // Where it listens; the port is a real one.
  const net::HostPort& address() const { return address_; }

 private:
  struct Server;
  HttpServer(std::unique_ptr<Server> server, net::HostPort address);

  std::unique_ptr<Server> server_;
  net::HostPort address_;
};

}  // namespace g2ll::http

#endif  // SERVER_HTTP_HTTP_SERVER_H_
