#include "worker/agent/settings.h"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <system_error>

#include <yaml-cpp/yaml.h>

#include "proto/common/address.h"
#include "proto/common/log.h"

namespace g2ll::agent {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxName = 63;
constexpr int kMaxSlots = 1024;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

std::string Quoted(const std::string& text) { return "\"" + log::EscapeControl(text) + "\""; }

std::string HostName() {
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) != 0) return "worker";
  return buffer.data();
}

int UsableCpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

// GPUs of the host as the driver shows them; the agent itself never loads CUDA.
int CountGpus() {
  int count = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/dev", error)) {
    const std::string name = entry.path().filename();
    constexpr std::string_view kPrefix = "nvidia";
    if (name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
        std::all_of(name.begin() + kPrefix.size(), name.end(),
                    [](char c) { return c >= '0' && c <= '9'; })) {
      ++count;
    }
  }
  return count;
}

std::string DefaultWorkDir() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return std::string(state) + "/g2ll/worker";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "/var/lib") + "/.local/state/g2ll/worker";
}

std::string OwnFolder() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

void CheckFolder(const std::string& flag, const std::string& path, bool create,
                 std::vector<std::string>& faults) {
  std::error_code error;
  if (create) fs::create_directories(path, error);
  if (error) {
    faults.push_back("--" + flag + " " + Quoted(path) + ": cannot be made: " + error.message());
  } else if (!fs::is_directory(path, error)) {
    faults.push_back("--" + flag + " " + Quoted(path) + ": is no folder");
  } else if (create && ::access(path.c_str(), W_OK) != 0) {
    faults.push_back("--" + flag + " " + Quoted(path) + ": cannot be written to");
  }
}

void CompleteName(AgentSettings& settings, std::vector<std::string>& faults) {
  if (settings.name.empty()) settings.name = WorkerNameFromHost(HostName());
  if (settings.name.size() > kMaxName ||
      !std::all_of(settings.name.begin(), settings.name.end(), IsNameCharacter)) {
    faults.push_back("--name " + Quoted(settings.name) +
                     ": allowed are 1 to 63 characters of a-z, 0-9, '.' and '-'");
  }
}

void CompleteDevice(AgentSettings& settings, std::vector<std::string>& faults) {
  const int cores = UsableCpus();
  if (settings.cpus == 0) settings.cpus = cores;
  if (settings.cpus < 1 || settings.cpus > cores) {
    faults.push_back("--cpus " + std::to_string(settings.cpus) + ": allowed are 1 to " +
                     std::to_string(cores) + ", the cores that this process may use");
  }
  const int gpus = CountGpus();
  if (settings.device == "auto") {
    settings.device = gpus > 0 ? "cuda" : "cpu";
  } else if (settings.device != "cpu" && settings.device != "cuda") {
    faults.push_back("--device " + Quoted(settings.device) + ": allowed are auto, cpu and cuda");
  } else if (settings.device == "cuda" && gpus == 0) {
    faults.emplace_back("--device cuda: no GPU was found on this host (no /dev/nvidia0)");
  }
  const bool cuda = settings.device == "cuda";
  const int most = cuda ? gpus : kMaxSlots;
  if (settings.slots == 0) settings.slots = cuda ? std::max(1, gpus) : 1;
  if (settings.slots < 1 || (most > 0 && settings.slots > most)) {
    faults.push_back("--slots " + std::to_string(settings.slots) + ": allowed are 1 to " +
                     std::to_string(most) + (cuda ? ", the number of GPUs" : ""));
  }
}

void CompleteAddresses(AgentSettings& settings, std::vector<std::string>& faults) {
  const auto coordinator = net::ParseHostPort(settings.coordinator);
  if (!coordinator.ok()) {
    faults.push_back("--coordinator " + std::string(coordinator.status().message()));
  } else if (coordinator->port == 0) {
    faults.push_back("--coordinator " + Quoted(settings.coordinator) + ": the port must not be 0");
  }
  if (const auto http = net::ParseHostPort(settings.http_listen); !http.ok()) {
    faults.push_back("--http-listen " + std::string(http.status().message()));
  }
  if (settings.advertise_host.empty()) {
    // A local cluster stays on loopback, whatever the host is called outside.
    const bool local = coordinator.ok() && net::IsLoopback(coordinator->host);
    settings.advertise_host = local ? "127.0.0.1" : HostName();
  }
}

void CompleteFolders(AgentSettings& settings, std::vector<std::string>& faults) {
  if (settings.work_dir.empty()) settings.work_dir = DefaultWorkDir();
  CheckFolder("work-dir", settings.work_dir, true, faults);
  settings.work_dir = fs::absolute(settings.work_dir);
  if (settings.storage_root.empty()) {
    faults.emplace_back(
        "--storage-root is missing: name the folder that the coordinator uses as its own");
  } else {
    CheckFolder("storage-root", settings.storage_root, true, faults);
    settings.storage_root = fs::absolute(settings.storage_root);
  }
  for (const std::string& root : settings.data_roots) CheckFolder("data-root", root, false, faults);
  if (settings.trainer.empty()) settings.trainer = OwnFolder() + "/g2ll-trainer";
  settings.trainer = fs::absolute(settings.trainer);
  if (::access(settings.trainer.c_str(), X_OK) != 0) {
    faults.push_back("--trainer " + Quoted(settings.trainer) +
                     ": no such program; it is built beside g2ll-worker");
  }
}

// One key of the file: how its text becomes a value.
using Setter = std::function<void(const YAML::Node&, AgentSettings&)>;

template <typename Value>
Setter Into(Value AgentSettings::*member) {
  return [member](const YAML::Node& node, AgentSettings& settings) {
    settings.*member = node.as<Value>();
  };
}

Setter Seconds(absl::Duration AgentSettings::*member) {
  return [member](const YAML::Node& node, AgentSettings& settings) {
    const double seconds = node.as<double>();
    constexpr double kLongest = 1e8;
    if (!(seconds > 0 && seconds <= kLongest)) throw YAML::RepresentationException(node.Mark(), "");
    settings.*member = absl::Seconds(seconds);
  };
}

struct Key {
  Setter set;
  std::string allowed;
};

const std::map<std::string, Key>& Keys() {
  static const auto& keys = *new std::map<std::string, Key>{
      {"coordinator", {Into(&AgentSettings::coordinator), "host:port"}},
      {"name", {Into(&AgentSettings::name), "a name"}},
      {"slots", {Into(&AgentSettings::slots), "a number"}},
      {"cpus", {Into(&AgentSettings::cpus), "a number"}},
      {"device", {Into(&AgentSettings::device), "auto, cpu or cuda"}},
      {"httpListen", {Into(&AgentSettings::http_listen), "host:port"}},
      {"workDir", {Into(&AgentSettings::work_dir), "a folder"}},
      {"storageRoot", {Into(&AgentSettings::storage_root), "a folder"}},
      {"dataRoots", {Into(&AgentSettings::data_roots), "a list of folders"}},
      {"trainer", {Into(&AgentSettings::trainer), "a program"}},
      {"addressFile", {Into(&AgentSettings::address_file), "a file"}},
      {"advertiseHost", {Into(&AgentSettings::advertise_host), "a host name or address"}},
      {"logFormat", {Into(&AgentSettings::log_format), "text or json"}},
      {"collectiveTimeoutSeconds", {Seconds(&AgentSettings::collective_timeout), "seconds > 0"}},
      {"stopGraceSeconds", {Seconds(&AgentSettings::stop_grace), "seconds > 0"}},
      {"termGraceSeconds", {Seconds(&AgentSettings::term_grace), "seconds > 0"}},
      {"storeTimeoutSeconds", {Seconds(&AgentSettings::store_timeout), "seconds > 0"}},
      {"orphanTimeoutSeconds", {Seconds(&AgentSettings::orphan_timeout), "seconds > 0"}},
      {"minFreeBytes", {Into(&AgentSettings::min_free_bytes), "a number of bytes"}},
  };
  return keys;
}

std::string At(const std::string& path, const YAML::Mark& mark) {
  return path + ":" + std::to_string(mark.line + 1) + ": ";
}

}  // namespace

std::vector<std::string> ReadSettingsFile(const std::string& path, AgentSettings& settings) {
  constexpr uintmax_t kMaxBytes = 1 << 20;
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) return {"--config " + Quoted(path) + ": " + error.message()};
  if (size > kMaxBytes) return {"--config " + Quoted(path) + ": is larger than 1 MiB"};
  YAML::Node file;
  try {
    file = YAML::LoadFile(path);
  } catch (const YAML::Exception& fault) {
    return {At(path, fault.mark) + fault.msg};
  }
  if (file.IsNull()) return {};
  if (!file.IsMap()) return {At(path, file.Mark()) + "expected keys and values"};

  std::vector<std::string> faults;
  for (const auto& entry : file) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    const auto key = Keys().find(name);
    if (key == Keys().end()) {
      faults.push_back(At(path, entry.first.Mark()) + "unknown key " + Quoted(name));
      continue;
    }
    try {
      key->second.set(entry.second, settings);
    } catch (const YAML::Exception&) {
      faults.push_back(At(path, entry.second.Mark()) + name + ": expected " + key->second.allowed);
    }
  }
  return faults;
}

std::vector<std::string> CompleteSettings(AgentSettings& settings) {
  std::vector<std::string> faults;
  CompleteName(settings, faults);
  CompleteDevice(settings, faults);
  CompleteAddresses(settings, faults);
  CompleteFolders(settings, faults);
  if (!log::ParseFormat(settings.log_format)) {
    faults.push_back("--log-format " + Quoted(settings.log_format) + ": allowed are text and json");
  }
  return faults;
}

std::string WorkerNameFromHost(const std::string& host) {
  std::string name;
  for (char c : host.substr(0, kMaxName)) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    name += IsNameCharacter(c) ? c : '-';
  }
  return name.empty() ? "worker" : name;
}

}  // namespace g2ll::agent
