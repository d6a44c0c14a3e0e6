#include "worker/agent/http_server.h"

#include <httplib.h>
#include <prometheus/gauge.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "proto/common/address.h"
#include "proto/common/status_macros.h"

namespace g2ll::agent {
namespace {

constexpr size_t kThreads = 2;
constexpr int kTimeoutSeconds = 5;
constexpr size_t kMaxRequestBytes = size_t{64} << 10;

prometheus::MetricFamily Family(const std::string& name, const std::string& help, double value,
                                prometheus::MetricType type = prometheus::MetricType::Gauge) {
  prometheus::MetricFamily family;
  family.name = "g2ll_worker_" + name;
  family.help = help;
  family.type = type;
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.gauge.value = value;
  metric.counter.value = value;
  return family;
}

}  // namespace

std::string MetricsText(const Agent::Snapshot& snapshot, const std::string& version) {
  constexpr auto kCounter = prometheus::MetricType::Counter;
  std::vector<prometheus::MetricFamily> families;
  families.push_back(Family("slots", "Ranks that this worker can hold.", snapshot.slots));
  families.push_back(
      Family("ranks_running", "Trainer processes that run now.", snapshot.ranks_running));
  families.push_back(Family("telemetry_items_acked_total",
                            "Metrics and log lines that the coordinator has stored.",
                            static_cast<double>(snapshot.telemetry.acked_items), kCounter));
  families.push_back(Family("telemetry_items_pending",
                            "Metrics and log lines that are not stored yet.",
                            static_cast<double>(snapshot.telemetry.pending_items)));
  families.push_back(
      Family("connected", "1 while the session with the coordinator is open.", snapshot.connected));
  if (snapshot.lease_age) {
    families.push_back(Family("lease_age_seconds", "Time since the lease was last renewed.",
                              absl::ToDoubleSeconds(*snapshot.lease_age)));
  }
  prometheus::MetricFamily build = Family("build_info", "Version of the program; always 1.", 1);
  build.metric[0].label.push_back({"version", version});
  families.push_back(std::move(build));
  return prometheus::TextSerializer().Serialize(families);
}

struct HttpServer::Impl {
  httplib::Server server;
  std::string address;
  std::string version;
  std::jthread thread;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Bind(const std::string& address,
                                                             const std::string& version) {
  G2LL_ASSIGN_OR_RETURN(net::HostPort parsed, net::ParseHostPort(address));
  auto impl = std::make_unique<Impl>();
  httplib::Server& server = impl->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_read_timeout(kTimeoutSeconds);
  server.set_write_timeout(kTimeoutSeconds);
  server.set_payload_max_length(kMaxRequestBytes);
  // The default shares the port (SO_REUSEPORT), which would hide that it is taken.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  errno = 0;
  if (parsed.port == 0) {
    const int port = server.bind_to_any_port(parsed.host);
    if (port > 0) parsed.port = static_cast<uint16_t>(port);
  } else if (!server.bind_to_port(parsed.host, parsed.port)) {
    return absl::UnavailableError("cannot listen on " + address + ": " + std::strerror(errno) +
                                  "; choose another --http-listen");
  }
  if (parsed.port == 0) {
    return absl::UnavailableError("cannot listen on " + address + "; choose another --http-listen");
  }
  impl->address = parsed.ToString();
  impl->version = version;
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { impl_->server.stop(); }

const std::string& HttpServer::address() const { return impl_->address; }

void HttpServer::Serve(SnapshotSource source) {
  httplib::Server& server = impl_->server;
  server.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("ok\n", "text/plain");
  });
  server.Get("/readyz", [source](const httplib::Request&, httplib::Response& response) {
    const bool ready = source().connected;
    response.status = ready ? 200 : 503;
    response.set_content(ready ? "ok\n" : "not connected to the coordinator\n", "text/plain");
  });
  server.Get("/metrics", [source, version = impl_->version](const httplib::Request&,
                                                            httplib::Response& response) {
    response.set_content(MetricsText(source(), version), "text/plain; version=0.0.4");
  });
  impl_->thread = std::jthread([&server] { server.listen_after_bind(); });
  // stop() before the loop runs would be lost.
  while (!server.is_running()) std::this_thread::yield();
}

}  // namespace g2ll::agent
