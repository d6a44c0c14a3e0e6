#ifndef WORKER_AGENT_SETTINGS_H_
#define WORKER_AGENT_SETTINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace g2ll::agent {

// Everything that can be set about an agent. Filled from the defaults here, then a
// file, then flags.
struct AgentSettings {
  std::string coordinator = "127.0.0.1:7460";  // host:port
  std::string name;                            // empty: from the host's name
  int slots = 0;                               // 0: one per GPU, or one on CPU
  int cpus = 0;                                // cores that its ranks share; 0: all usable
  std::string device = "auto";                 // auto, cpu or cuda
  std::string http_listen = "127.0.0.1:7462";  // port 0: any free one
  std::string work_dir;                        // empty: below the user's state folder
  std::string storage_root;                    // shared with the coordinator; required
  std::vector<std::string> data_roots;         // data sets lie below one of these
  std::string trainer;                         // empty: g2ll-trainer beside this program
  std::string address_file;                    // empty: none is written
  std::string advertise_host;                  // empty: chosen by how the coordinator is reached
  std::string log_format = "text";             // text or json

  absl::Duration collective_timeout = absl::Seconds(120);  // longest single collective
  absl::Duration stop_grace = absl::Seconds(10);           // after the Stop message, before SIGTERM
  absl::Duration term_grace = absl::Seconds(10);           // after SIGTERM, before SIGKILL
  absl::Duration store_timeout = absl::Seconds(60);        // for the rendezvous store to serve
  absl::Duration orphan_timeout = absl::Minutes(30);       // without a coordinator
  int64_t min_free_bytes = int64_t{256} << 20;             // below the storage root, before a start
};

// Reads a YAML file over `settings`; keys are the flags' names in lowerCamelCase.
// Returns one line per fault: file, line, key and what is allowed.
std::vector<std::string> ReadSettingsFile(const std::string& path, AgentSettings& settings);

// Fills what was left open and checks everything: names, addresses, folders (made or
// found, and writable where needed), the trainer program. Returns one line per fault.
std::vector<std::string> CompleteSettings(AgentSettings& settings);

// A worker's name out of a host's name: lower case, [a-z0-9.-], at most 63 long.
std::string WorkerNameFromHost(const std::string& host);

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_SETTINGS_H_
