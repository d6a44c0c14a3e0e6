#include "worker/agent/socket_pair.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/status/status.h"

namespace g2ll::agent {

absl::StatusOr<SocketPair> MakeSocketPair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return absl::ResourceExhaustedError(std::string("cannot make a socket pair: ") +
                                        std::strerror(errno));
  }
  return SocketPair{run::UniqueFd(fds[0]), run::UniqueFd(fds[1])};
}

}  // namespace g2ll::agent
