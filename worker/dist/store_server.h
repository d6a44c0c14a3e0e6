#ifndef WORKER_DIST_STORE_SERVER_H_
#define WORKER_DIST_STORE_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace g2ll::dist {

// The rendezvous store of one attempt: a c10d TCPStore on a port of the
// system's choice. Serves until it is destroyed.
class StoreServer {
 public:
  // Listens on `host` (address or name). Errors: Unavailable (cannot listen).
  static absl::StatusOr<std::unique_ptr<StoreServer>> Start(const std::string& host);
  virtual ~StoreServer() = default;

  virtual int port() const = 0;
};

}  // namespace g2ll::dist

#endif  // WORKER_DIST_STORE_SERVER_H_
