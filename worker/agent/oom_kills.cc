#include "worker/agent/oom_kills.h"

#include <fstream>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace g2ll::agent {
namespace {

// The number behind `oom_kill` in a file of lines `key value`.
std::optional<int64_t> ReadCount(const std::string& path) {
  std::ifstream file(path);
  std::string key;
  std::string value;
  while (file >> key >> value) {
    int64_t count = 0;
    if (key == "oom_kill" && absl::SimpleAtoi(value, &count)) return count;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> CountOomKills(const std::string& proc, const std::string& cgroups) {
  std::ifstream groups(proc + "/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    // `0::/path` is version 2, `9:memory:/path` version 1.
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const bool version_2 = parts[0] == "0" && parts[1].empty();
    if (!version_2 && parts[1] != "memory") continue;
    const std::string root = version_2 ? cgroups : cgroups + "/memory";
    const std::string file = version_2 ? "/memory.events" : "/memory.oom_control";
    // A container may see its own group as the root.
    for (const std::string& folder : {root + parts[2], root}) {
      if (const auto count = ReadCount(folder + file)) return count;
    }
  }
  return ReadCount(proc + "/vmstat");
}

}  // namespace g2ll::agent
