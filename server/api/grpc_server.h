#ifndef SERVER_API_GRPC_SERVER_H_
#define SERVER_API_GRPC_SERVER_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/common/address.h"
#include "server/api/services.h"

namespace grpc {
class Server;
}  // namespace grpc

namespace g2ll::api {

// Name under which health says whether waiting jobs are placed. The name "" says whether
// calls are answered.
inline constexpr char kCoordinatorHealth[] = "g2ll.v1.Coordinator";

// Limits of the transport.
struct GrpcOptions {
  // A connection takes no new calls after this time, so that clients resolve names and
  // prove who they are anew. What runs on it may end within `stream age + a minute`.
  absl::Duration connection_age = absl::Minutes(30);
  // A connection without calls is closed after this time.
  absl::Duration connection_idle = absl::Minutes(15);
};

// The gRPC server with all services, health and reflection.
class GrpcServer {
 public:
  // Error: FailedPrecondition that names the address and why it cannot be used.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const net::HostPort& address,
                                                           const ServiceContext& context,
                                                           const GrpcOptions& options = {});
  ~GrpcServer();

  // Where it listens; the port is a real one.
  const net::HostPort& address() const { return address_; }

  // Stops being healthy, ends all streams politely with Unavailable (STOPPING), lets calls
  // finish, and after `grace` ends what is left.
  void Shutdown(absl::Duration grace);

 private:
  explicit GrpcServer(const ServiceContext& context);

  // Once a second: ends what is too old, and looks whether jobs are placed yet.
  void Watch(std::stop_token stop);
  void CheckHealth();

  net::HostPort address_;
  const ServiceContext context_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  // Set by the coordinator, which may outlive this server.
  const std::shared_ptr<std::atomic<bool>> places_jobs_;
  std::jthread watch_;
};

}  // namespace g2ll::api

#endif  // SERVER_API_GRPC_SERVER_H_
