#include "worker/dist/store_server.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "absl/status/status.h"

namespace g2ll::dist {
namespace {

class TcpStoreServer final : public StoreServer {
 public:
  explicit TcpStoreServer(c10::intrusive_ptr<c10d::TCPStore> store) : store_(std::move(store)) {}
  int port() const override { return store_->getPort(); }

 private:
  c10::intrusive_ptr<c10d::TCPStore> store_;
};

// TCPStore by itself listens on every address of the host. It gets a socket
// that is bound to the one address at which the peers look for it.
absl::StatusOr<int> Listen(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* addresses = nullptr;
  const int error = getaddrinfo(host.c_str(), "0", &hints, &addresses);
  if (error != 0) {
    return absl::UnavailableError("rendezvous store: cannot resolve " + host + ": " +
                                  gai_strerror(error));
  }
  int saved_errno = 0;
  for (const addrinfo* address = addresses; address != nullptr; address = address->ai_next) {
    const int fd =
        socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
    if (fd >= 0 && bind(fd, address->ai_addr, address->ai_addrlen) == 0 &&
        listen(fd, SOMAXCONN) == 0) {
      freeaddrinfo(addresses);
      return fd;
    }
    saved_errno = errno;
    if (fd >= 0) close(fd);
  }
  freeaddrinfo(addresses);
  return absl::UnavailableError("rendezvous store: cannot listen on " + host + ": " +
                                std::strerror(saved_errno));
}

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  char port[NI_MAXSERV] = "0";
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    getnameinfo(reinterpret_cast<sockaddr*>(&address), size, nullptr, 0, port, sizeof(port),
                NI_NUMERICSERV);
  }
  return std::atoi(port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreServer>> StoreServer::Start(const std::string& host) {
  absl::StatusOr<int> fd = Listen(host);
  if (!fd.ok()) return fd.status();
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(PortOf(*fd));
  options.isServer = true;
  options.waitWorkers = false;
  options.masterListenFd = *fd;
  try {
    return std::make_unique<TcpStoreServer>(c10::make_intrusive<c10d::TCPStore>(host, options));
  } catch (const std::exception& e) {
    return absl::UnavailableError("rendezvous store: cannot serve on " + host + ": " + e.what());
  }
}

}  // namespace g2ll::dist
