#include "server/http/http_server.h"

#include <httplib.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/net/probe.h"

namespace g2ll::http {
namespace {

constexpr int kThreads = 2;
constexpr int kTimeoutSeconds = 5;
constexpr size_t kLargestRequest = 64 * 1024;

// The library shares ports between programs unless it is told not to.
void KeepPortToOurselves(socket_t file) {
  const int yes = 1;
  setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

}  // namespace

struct HttpServer::Server {
  httplib::Server http;
  Pages pages;
  std::jthread thread;
};

HttpServer::HttpServer(std::unique_ptr<Server> server, net::HostPort address)
    : server_(std::move(server)), address_(std::move(address)) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const net::HostPort& address,
                                                              Pages pages) {
  auto server = std::make_unique<Server>();
  server->pages = std::move(pages);
  httplib::Server& http = server->http;
  http.set_socket_options(KeepPortToOurselves);
  http.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  http.set_read_timeout(kTimeoutSeconds, 0);
  http.set_write_timeout(kTimeoutSeconds, 0);
  http.set_keep_alive_max_count(1);
  http.set_payload_max_length(kLargestRequest);
  const Pages* shown = &server->pages;
  http.Get("/metrics", [shown](const httplib::Request&, httplib::Response& response) {
    response.set_content(shown->metrics(), "text/plain; version=0.0.4; charset=utf-8");
  });
  http.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("ok\n", "text/plain");
  });
  http.Get("/readyz", [shown](const httplib::Request&, httplib::Response& response) {
    const bool ready = shown->is_ready();
    response.status = ready ? 200 : 503;
    const std::string note = shown->note == nullptr ? "" : shown->note();
    response.set_content(absl::StrCat(ready ? "ready\n" : "not ready\n", note), "text/plain");
  });

  int port = address.port;
  if (port == 0) {
    port = http.bind_to_any_port(address.host);
  } else if (!http.bind_to_port(address.host, port)) {
    port = -1;
  }
  if (port <= 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--http-listen ", address.ToString(), ": ", net::WhyNotListen(address)));
  }
  server->thread = std::jthread([&http] { http.listen_after_bind(); });
  return std::unique_ptr<HttpServer>(
      new HttpServer(std::move(server), {address.host, static_cast<uint16_t>(port)}));
}

HttpServer::~HttpServer() {
  // Stopping before the thread listens would be forgotten.
  while (!server_->http.is_running()) {
    std::this_thread::yield();
  }
  server_->http.stop();
  server_->thread.join();
}

}  // namespace g2ll::http
