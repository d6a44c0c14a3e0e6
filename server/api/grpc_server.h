#ifndef SERVER_API_GRPC_SERVER_H_
#define SERVER_API_GRPC_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/common/address.h"
#include "server/api/services.h"

namespace grpc {
class Server;
}  // namespace grpc

namespace g2ll::api {

// The gRPC server with all services, health and reflection.
class GrpcServer {
 public:
  // Error: FailedPrecondition that names the address and why it cannot be used.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const net::HostPort& address,
                                                           const ServiceContext& context);
  ~GrpcServer();

  // Where it listens; the port is a real one.
  const net::HostPort& address() const { return address_; }

  // Stops being healthy, ends all streams politely with Unavailable, lets calls
  // finish, and after `grace` ends what is left.
  void Shutdown(absl::Duration grace);

 private:
  GrpcServer(OpenStreams* streams);

  net::HostPort address_;
  OpenStreams* const streams_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace g2ll::api

#endif  // SERVER_API_GRPC_SERVER_H_
