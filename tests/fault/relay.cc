#include "tests/fault/relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace g2ll::fault {
namespace {

// More than this is not taken from a socket before it could be passed on.
constexpr size_t kMostWaiting = size_t{1} << 20;

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::abort();
}

sockaddr_in Parse(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  sockaddr_in parsed = {};
  parsed.sin_family = AF_INET;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &parsed.sin_addr) != 1) {
    std::fprintf(stderr, "%s is no IPv4 address with a port\n", address.c_str());
    std::abort();
  }
  parsed.sin_port = htons(static_cast<uint16_t>(port));
  return parsed;
}

int NewSocket() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    Fail("socket");
  }
  return descriptor;
}

void Prepare(int descriptor) {
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

// Closes with a reset, as a broken path shows it to both ends.
void Reset(int descriptor) {
  const linger at_once = {1, 0};
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(descriptor);
}

}  // namespace

Relay::Relay(const std::string& target) : target_(target) {
  listener_ = NewSocket();
  sockaddr_in any = Parse("127.0.0.1:0");
  socklen_t size = sizeof(any);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&any), size) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&any), &size) != 0 ||
      pipe2(wake_, O_CLOEXEC | O_NONBLOCK) != 0) {
    Fail("relay");
  }
  address_ = absl::StrCat("127.0.0.1:", ntohs(any.sin_port));
  thread_ = std::jthread([this] { Serve(); });
}

Relay::~Relay() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  Wake();
  thread_.join();
  close(listener_);
  close(wake_[0]);
  close(wake_[1]);
}

void Relay::Wake() const {
  // A full pipe wakes the thread too.
  if (write(wake_[1], "x", 1) < 0) {
    return;
  }
}

void Relay::SetMode(Mode mode, absl::Duration delay) {
  {
    absl::MutexLock lock(&mutex_);
    mode_ = mode;
    delay_ = delay;
  }
  Wake();
}

void Relay::CutAll() {
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& connection : connections_) {
      connection->broken = true;
    }
  }
  Wake();
}

void Relay::HalfCloseAll() {
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& connection : connections_) {
      connection->up.pieces.clear();
      connection->up.size = 0;
      connection->up.source_ended = true;
    }
  }
  Wake();
}

int64_t Relay::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

int64_t Relay::connections() const {
  absl::MutexLock lock(&mutex_);
  return made_;
}

void Relay::Accept() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) {
    return;
  }
  const int server = NewSocket();
  const sockaddr_in target = Parse(target_);
  if (connect(server, reinterpret_cast<const sockaddr*>(&target), sizeof(target)) != 0) {
    // The target is away: the client sees the same.
    close(server);
    Reset(client);
    return;
  }
  Prepare(client);
  Prepare(server);
  auto& connection = connections_.emplace_back(std::make_unique<Connection>());
  connection->client = client;
  connection->server = server;
  ++made_;
}

void Relay::Take(int source, Connection& connection, Direction& direction) {
  std::array<char, 16384> buffer;
  const ssize_t size = read(source, buffer.data(), buffer.size());
  if (size > 0) {
    const absl::Duration delay = mode_ == Mode::kDelay ? delay_ : absl::ZeroDuration();
    direction.pieces.push_back({absl::Now() + delay, {buffer.data(), static_cast<size_t>(size)}});
    direction.size += static_cast<size_t>(size);
  } else if (size == 0) {
    direction.source_ended = true;
  } else if (errno != EAGAIN && errno != EINTR) {
    connection.broken = true;
  }
}

void Relay::Pass(int sink, Connection& connection, Direction& direction, absl::Time now) {
  while (mode_ != Mode::kStall && !direction.pieces.empty() &&
         direction.pieces.front().due <= now) {
    std::string& bytes = direction.pieces.front().bytes;
    const ssize_t size = send(sink, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) {
      connection.broken |= errno != EAGAIN && errno != EINTR;
      return;
    }
    bytes_ += size;
    direction.size -= static_cast<size_t>(size);
    bytes.erase(0, static_cast<size_t>(size));
    if (bytes.empty()) {
      direction.pieces.pop_front();
    }
  }
  if (direction.source_ended && direction.pieces.empty() && !direction.sink_ended) {
    shutdown(sink, SHUT_WR);
    direction.sink_ended = true;
  }
}

void Relay::Drop(Connection& connection) {
  Reset(connection.client);
  Reset(connection.server);
}

void Relay::Serve() {
  while (true) {
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    int wait_ms = -1;
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time now = absl::Now();
      for (const auto& connection : connections_) {
        const auto events = [&](const Direction& from, const Direction& to) {
          const bool due =
              mode_ != Mode::kStall && !to.pieces.empty() && to.pieces.front().due <= now;
          const bool reads = !from.source_ended && from.size < kMostWaiting;
          return static_cast<short>((reads ? POLLIN : 0) | (due ? POLLOUT : 0));
        };
        polled.push_back({connection->client, events(connection->up, connection->down), 0});
        polled.push_back({connection->server, events(connection->down, connection->up), 0});
        for (const Direction* direction : {&connection->up, &connection->down}) {
          if (mode_ != Mode::kStall && !direction->pieces.empty() &&
              direction->pieces.front().due > now) {
            wait_ms = 1;
          }
        }
      }
    }
    poll(polled.data(), polled.size(), wait_ms);
    absl::MutexLock lock(&mutex_);
    std::array<char, 64> drained;
    while (read(wake_[0], drained.data(), drained.size()) > 0) {
    }
    const absl::Time now = absl::Now();
    // Connections are only added and removed here, so they are still those of `polled`.
    for (size_t i = 0; i < connections_.size() && !ended_; ++i) {
      Connection& connection = *connections_[i];
      const pollfd& client = polled[2 + 2 * i];
      const pollfd& server = polled[3 + 2 * i];
      if ((client.revents & POLLIN) != 0) Take(client.fd, connection, connection.up);
      if ((server.revents & POLLIN) != 0) Take(server.fd, connection, connection.down);
      connection.broken |= ((client.revents | server.revents) & (POLLERR | POLLNVAL)) != 0;
      Pass(server.fd, connection, connection.up, now);
      Pass(client.fd, connection, connection.down, now);
      connection.broken |= connection.up.sink_ended && connection.down.sink_ended;
    }
    std::erase_if(connections_, [&](const std::unique_ptr<Connection>& connection) {
      const bool gone = connection->broken || ended_;
      if (gone) {
        Drop(*connection);
      }
      return gone;
    });
    if (ended_) {
      return;
    }
    if ((polled[0].revents & POLLIN) != 0) {
      Accept();
    }
  }
}

}  // namespace g2ll::fault
