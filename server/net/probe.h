#ifndef SERVER_NET_PROBE_H_
#define SERVER_NET_PROBE_H_

#include <string>

#include "proto/common/address.h"

namespace g2ll::net {

// Why nothing can listen on `address`, in words for people with what to do. For
// after a library failed to listen without saying why.
std::string WhyNotListen(const HostPort& address);

}  // namespace g2ll::net

#endif  // SERVER_NET_PROBE_H_
