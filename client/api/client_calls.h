#ifndef CLIENT_API_CLIENT_CALLS_H_
#define CLIENT_API_CLIENT_CALLS_H_

// How Client makes its calls; for the sources of Client only.
#include "client/api/client.h"

namespace g2ll::client {

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(Stub& stub, Method<Stub, Request, Response> method,
                                      const Request& request, absl::Duration timeout, Retry retry) {
  Response response;
  const absl::Status status = CallWithRetries(options_, *channels_.first(), timeout, retry,
                                              [&](grpc::ClientContext* context) {
                                                response.Clear();
                                                return (stub.*method)(context, request, &response);
                                              });
  if (!status.ok()) return status;
  return response;
}

template <typename Stub, typename Request>
absl::Status Client::Remove(Stub& stub, Method<Stub, Request, google::protobuf::Empty> method,
                            const Request& request) {
  google::protobuf::Empty response;
  int num_tries = 0;
  const absl::Status status = CallWithRetries(
      options_, *channels_.first(), options_.read_timeout, Retry::kIfUnavailable,
      [&](grpc::ClientContext* context) { return (stub.*method)(context, request, &response); },
      &num_tries);
  const bool was_done_before = absl::IsNotFound(status) && num_tries > 1;
  return was_done_before ? absl::OkStatus() : status;
}

}  // namespace g2ll::client

#endif  // CLIENT_API_CLIENT_CALLS_H_
