#include "proto/common/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <optional>

#include "absl/status/status.h"
#include "proto/common/log.h"

namespace g2ll::net {
namespace {

absl::Status Bad(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError("\"" + log::EscapeControl(text.substr(0, 300)) +
                                    "\" is not an address host:port: " + std::string(why));
}

std::optional<in_addr> ParseIpv4(std::string_view host) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) != 1) return std::nullopt;
  return address;
}

std::optional<in6_addr> ParseIpv6(std::string_view host) {
  in6_addr address{};
  if (inet_pton(AF_INET6, std::string(host).c_str(), &address) != 1) return std::nullopt;
  return address;
}

bool IsHostName(std::string_view host) {
  constexpr size_t kMaxLength = 253;
  if (host.size() > kMaxLength || host.front() == '-' || host.front() == '.') return false;
  for (char c : host) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!allowed) return false;
  }
  return true;
}

}  // namespace

std::string HostPort::ToString() const {
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return Bad(text, "it holds a NUL character");
  std::string_view host;
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t end = text.find("]:");
    if (end == std::string_view::npos) return Bad(text, "expected [IPv6 address]:port");
    host = text.substr(1, end - 1);
    port = text.substr(end + 2);
    if (!ParseIpv6(host)) return Bad(text, "no IPv6 address in the brackets");
  } else {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return Bad(text, "the port is missing");
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos) {
      return Bad(text, "an IPv6 address needs brackets, as in [::1]:7460");
    }
    if (host.empty()) return Bad(text, "the host is missing");
    if (!IsHostName(host)) return Bad(text, "the host holds a character that names do not have");
  }
  HostPort result{.host = std::string(host), .port = 0};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), result.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) {
    return Bad(text, "the port must be a number from 0 to 65535");
  }
  return result;
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost") return true;
  if (const auto v4 = ParseIpv4(host)) return (ntohl(v4->s_addr) >> 24) == 127;
  if (const auto v6 = ParseIpv6(host)) return IN6_IS_ADDR_LOOPBACK(&*v6) != 0;
  return false;
}

bool IsWildcard(std::string_view host) {
  if (const auto v4 = ParseIpv4(host)) return v4->s_addr == 0;
  if (const auto v6 = ParseIpv6(host)) return IN6_IS_ADDR_UNSPECIFIED(&*v6) != 0;
  return false;
}

bool IsIpAddress(std::string_view host) {
  return ParseIpv4(host).has_value() || ParseIpv6(host).has_value();
}

}  // namespace g2ll::net
