#include "worker/agent/address_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

namespace g2ll::agent {

absl::Status WriteAddressFile(const std::string& path, const std::string& name, int pid,
                              const std::string& http_address) {
  const nlohmann::json content{{"name", name}, {"pid", pid}, {"httpAddress", http_address}};
  const std::string temporary = path + ".tmp" + std::to_string(pid);
  std::ofstream file(temporary, std::ios::trunc);
  file << content.dump() << "\n";
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const std::string reason = std::strerror(errno);
    std::remove(temporary.c_str());
    return absl::UnavailableError("cannot write the address file " + path + ": " + reason);
  }
  return absl::OkStatus();
}

}  // namespace g2ll::agent
