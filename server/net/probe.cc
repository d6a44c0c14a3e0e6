#include "server/net/probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace g2ll::net {

std::string WhyNotListen(const HostPort& address) {
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
  if (error != 0) {
    return absl::StrCat("the host cannot be resolved (", gai_strerror(error), ")");
  }
  std::string why = "the address cannot be listened on";
  const int file = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(file, found->ai_addr, found->ai_addrlen) != 0 || listen(file, 1) != 0) {
    why = errno == EADDRINUSE
              ? "the address is in use: stop the program that holds it, or choose another port"
              : std::strerror(errno);
  }
  close(file);
  freeaddrinfo(found);
  return why;
}

}  // namespace g2ll::net
