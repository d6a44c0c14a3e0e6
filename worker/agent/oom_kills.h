#ifndef WORKER_AGENT_OOM_KILLS_H_
#define WORKER_AGENT_OOM_KILLS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace g2ll::agent {

// How many processes the kernel has ended because memory ran out: those of this
// process's control group, where trainers run too, or those of the host if no group
// counts them. Nothing if the kernel does not say. `proc` and `cgroups` are where the
// kernel's files are.
std::optional<int64_t> CountOomKills(const std::string& proc = "/proc",
                                     const std::string& cgroups = "/sys/fs/cgroup");

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_OOM_KILLS_H_
