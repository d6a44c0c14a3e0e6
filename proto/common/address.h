#ifndef PROTO_COMMON_ADDRESS_H_
#define PROTO_COMMON_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace g2ll::net {

// A host and a TCP port.
struct HostPort {
  std::string host;   // name, IPv4 or IPv6 address without brackets
  uint16_t port = 0;  // 0: any free one (listeners only)

  // `host:port`, an IPv6 address in brackets.
  std::string ToString() const;
};

// Parses `host:port` or `[ipv6]:port`. Errors: InvalidArgument with one line that
// names the text and what is wrong with it.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

// The host can be reached from this machine only: `localhost`, 127.0.0.0/8, ::1.
// Decided from the text; names are not looked up.
bool IsLoopback(std::string_view host);

// The host means every interface: `0.0.0.0` or `::`.
bool IsWildcard(std::string_view host);

// The host is an IPv4 or IPv6 address and not a name.
bool IsIpAddress(std::string_view host);

}  // namespace g2ll::net

#endif  // PROTO_COMMON_ADDRESS_H_
