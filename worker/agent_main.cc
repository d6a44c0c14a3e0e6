// g2ll-worker: registers this host's slots with the coordinator and supervises one
// trainer process per rank.

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "proto/common/log.h"
#include "worker/agent/address_file.h"
#include "worker/agent/agent.h"
#include "worker/agent/coordinator_channel.h"
#include "worker/agent/http_server.h"
#include "worker/agent/settings.h"

namespace {

using g2ll::agent::AgentSettings;
namespace log = g2ll::log;

constexpr int kExitRefused = 1;
constexpr int kExitUsage = 2;

void AddOptions(CLI::App& app, AgentSettings& settings, std::string& config) {
  app.add_option("--config", config, "YAML file with any of these settings");
  app.add_option("--coordinator", settings.coordinator, "host:port of the coordinator");
  app.add_option("--name", settings.name, "name of this worker; default: the host's name");
  app.add_option("--slots", settings.slots, "ranks that it can hold; default: GPUs, else 1");
  app.add_option("--cpus", settings.cpus, "cores that its ranks share; default: all usable ones");
  app.add_option("--device", settings.device, "auto, cpu or cuda");
  app.add_option("--http-listen", settings.http_listen, "host:port of /metrics; port 0: any");
  app.add_option("--work-dir", settings.work_dir, "folder for caches");
  app.add_option("--storage-root", settings.storage_root,
                 "folder shared with the coordinator for checkpoints and reports");
  app.add_option("--data-root", settings.data_roots,
                 "data sets must lie below this folder; may be given again")
      ->allow_extra_args(false);
  app.add_option("--trainer", settings.trainer, "g2ll-trainer program; default: beside this one");
  app.add_option("--address-file", settings.address_file,
                 "JSON file written once the coordinator knows this worker");
  app.add_option("--advertise-host", settings.advertise_host,
                 "name or address at which other workers reach this host");
  app.add_option("--log-format", settings.log_format, "text or json");
}

// Prints one line per fault.
int Refuse(const std::vector<std::string>& faults) {
  for (const std::string& fault : faults) std::cerr << "g2ll-worker: " << fault << "\n";
  return kExitUsage;
}

// Signals that end the agent are taken by sigwait alone; blocked before any thread
// starts, because threads inherit the mask.
sigset_t BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return set;
}

int Serve(const AgentSettings& settings, const sigset_t& signals) {
  auto http = g2ll::agent::HttpServer::Bind(settings.http_listen, G2LL_VERSION);
  if (!http.ok()) return Refuse({std::string(http.status().message())});
  const std::string http_address = (*http)->address();
  const int pid = ::getpid();
  std::atomic<bool> rejected = false;
  g2ll::agent::Agent::Hooks hooks{
      .on_registered =
          [&] {
            if (settings.address_file.empty()) return;
            const auto written = g2ll::agent::WriteAddressFile(settings.address_file, settings.name,
                                                               pid, http_address);
            if (!written.ok()) log::Error(std::string(written.message()));
          },
      .on_rejected =
          [&](const absl::Status& status) {
            log::Error("the coordinator refuses this worker: " + std::string(status.message()),
                       {{"name", settings.name}});
            rejected = true;
            ::kill(pid, SIGTERM);
          }};
  log::Info("worker starts", {{"name", settings.name},
                              {"slots", settings.slots},
                              {"device", settings.device},
                              {"coordinator", settings.coordinator},
                              {"http", http_address}});
  const auto stub = g2ll::agent::ConnectCoordinator(settings.coordinator);
  g2ll::agent::Agent agent(settings, {G2LL_VERSION, pid, http_address}, *stub, std::move(hooks));
  (*http)->Serve([&agent] { return agent.snapshot(); });

  int signal = 0;
  sigwait(&signals, &signal);
  log::Info("worker stops", {{"signal", signal}});
  agent.Shutdown();
  http->reset();
  return rejected ? kExitRefused : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const sigset_t signals = BlockSignals();
  AgentSettings settings;
  std::string config;
  CLI::App app("G2LL worker agent: runs one trainer process per rank of the jobs placed here.");
  app.set_version_flag("--version", std::string("g2ll-worker ") + G2LL_VERSION);
  AddOptions(app, settings, config);
  const auto parse = [&] { app.parse(argc, argv); };
  try {
    parse();
    if (!config.empty()) {
      // The file first, then the flags over it.
      settings = AgentSettings();
      const auto faults = ReadSettingsFile(config, settings);
      if (!faults.empty()) return Refuse(faults);
      parse();
    }
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    return Refuse({std::string(error.what())});
  }
  if (const auto faults = CompleteSettings(settings); !faults.empty()) return Refuse(faults);
  log::SetFormat(*log::ParseFormat(settings.log_format));
  return Serve(settings, signals);
}
