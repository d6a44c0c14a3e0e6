#ifndef WORKER_AGENT_ADDRESS_FILE_H_
#define WORKER_AGENT_ADDRESS_FILE_H_

#include <string>

#include "absl/status/status.h"

namespace g2ll::agent {

// Writes {"name","pid","httpAddress"} as JSON; a reader sees the whole file or none.
// Errors: Unavailable, naming the file.
absl::Status WriteAddressFile(const std::string& path, const std::string& name, int pid,
                              const std::string& http_address);

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_ADDRESS_FILE_H_
