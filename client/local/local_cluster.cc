#include "client/local/local_cluster.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/status_macros.h"

namespace g2ll::local {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr absl::Duration kStartLimit = absl::Seconds(60);
constexpr absl::Duration kStopGrace = absl::Seconds(20);
constexpr absl::Duration kPoll = absl::Milliseconds(30);
constexpr char kAnyPort[] = "127.0.0.1:0";

// Holds D/local.lock for as long as it lives.
class DirLock {
 public:
  static absl::StatusOr<DirLock> Take(const std::string& dir) {
    const std::string path = dir + "/local.lock";
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      close(fd);
      return absl::AlreadyExistsError(
          absl::StrCat("another `g2ll local` command works on ", dir, "; wait for it to end"));
    }
    return DirLock(fd);
  }
  DirLock(DirLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirLock& operator=(DirLock&&) = delete;
  ~DirLock() {
    if (fd_ >= 0) close(fd_);
  }

 private:
  explicit DirLock(int fd) : fd_(fd) {}
  int fd_;
};

ordered_json ToJson(const ProcessId& process) {
  return {{"pid", process.pid}, {"startTicks", process.start_ticks}};
}

ProcessId ProcessFrom(const ordered_json& json) {
  return {json.value("pid", 0), json.value("startTicks", uint64_t{0})};
}

// Replaces a file as a whole, so that a reader never sees half of it.
absl::Status WriteFile(const std::string& path, const std::string& content) {
  const std::string temporary = absl::StrCat(path, ".", getpid());
  std::ofstream(temporary, std::ios::binary | std::ios::trunc) << content;
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error)
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", error.message()));
  return absl::OkStatus();
}

absl::Status Save(const ClusterState& state) {
  ordered_json json = {{"address", state.address},
                       {"httpAddress", state.http_address},
                       {"coordinator", ToJson(state.coordinator)},
                       {"workers", ordered_json::array()}};
  for (const WorkerProcess& worker : state.workers) {
    ordered_json entry = ToJson(worker.process);
    entry["name"] = worker.name;
    entry["httpAddress"] = worker.http_address;
    json["workers"].push_back(entry);
  }
  return WriteFile(state.dir + "/local.json", json.dump(2) + "\n");
}

absl::StatusOr<ClusterState> Load(const std::string& dir) {
  ClusterState state;
  state.dir = dir;
  const std::string path = dir + "/local.json";
  std::ifstream file(path);
  if (!file) return state;
  const ordered_json json = ordered_json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("coordinator") || !json.contains("workers")) {
    return absl::DataLossError(
        absl::StrCat(path, " cannot be understood; stop its processes by hand and remove it"));
  }
  state.address = json.value("address", "");
  state.http_address = json.value("httpAddress", "");
  state.coordinator = ProcessFrom(json["coordinator"]);
  for (const ordered_json& entry : json["workers"]) {
    state.workers.push_back(
        {entry.value("name", ""), entry.value("httpAddress", ""), ProcessFrom(entry)});
  }
  return state;
}

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

// Starts a program and waits for the address file that it writes when it is ready.
class Starter {
 public:
  explicit Starter(const UpOptions& options) : options_(options) {}

  absl::StatusOr<ordered_json> Start(const std::string& label, std::vector<std::string> argv,
                                     ProcessId* process) {
    const std::string address_file = absl::StrCat(options_.dir, "/", label, ".json");
    const std::string log = absl::StrCat(options_.dir, "/logs/", label, ".log");
    std::error_code ignored;
    fs::remove(address_file, ignored);
    argv.insert(argv.end(), {"--address-file", address_file});
    const std::string program = argv.front();
    argv.front() = absl::StrCat(options_.program_dir, "/", program);
    G2LL_ASSIGN_OR_RETURN(*process, SpawnDetached(argv, log));
    started_.push_back(*process);
    const absl::Time deadline = absl::Now() + kStartLimit;
    while (absl::Now() < deadline) {
      std::ifstream file(address_file);
      const ordered_json json = file ? ordered_json::parse(file, nullptr, false) : ordered_json();
      if (json.is_object()) return json;
      if (options_.stop.stop_requested()) return absl::CancelledError("stopped");
      if (!IsRunning(*process)) {
        return absl::UnavailableError(absl::StrCat(program, " ended while it started; ", log,
                                                   " ends with:\n", LastLines(log, 3)));
      }
      absl::SleepFor(kPoll);
    }
    return absl::UnavailableError(absl::StrCat(program, " did not get ready within ",
                                               absl::FormatDuration(kStartLimit), "; ", log,
                                               " ends with:\n", LastLines(log, 3)));
  }

  void StopStarted() { StopAll(started_, kStopGrace); }

 private:
  const UpOptions& options_;
  std::vector<ProcessId> started_;
};

absl::Status StartCoordinator(const UpOptions& options, Starter& starter, ClusterState& state) {
  std::string listen = options.listen;
  if (listen.empty()) listen = state.address.empty() ? kAnyPort : state.address;
  const std::string http = state.http_address.empty() ? kAnyPort : state.http_address;
  G2LL_ASSIGN_OR_RETURN(
      const ordered_json json,
      starter.Start("coordinator",
                    {"g2ll-coordinator", "--listen", listen, "--http-listen", http, "--data-dir",
                     options.dir + "/data", "--storage-root", options.dir + "/storage"},
                    &state.coordinator));
  state.address = json.value("address", "");
  state.http_address = json.value("httpAddress", "");
  return Save(state);
}

absl::Status StartWorker(const UpOptions& options, int index, Starter& starter,
                         ClusterState& state) {
  WorkerProcess& worker = state.workers[static_cast<size_t>(index)];
  worker.name = absl::StrCat("local-", index);
  const std::string http = worker.http_address.empty() ? kAnyPort : worker.http_address;
  const int cpus = std::max(1, UsableCores() / static_cast<int>(state.workers.size()));
  G2LL_ASSIGN_OR_RETURN(
      const ordered_json json,
      starter.Start(
          absl::StrCat("worker-", index),
          {"g2ll-worker", "--coordinator", state.address, "--name", worker.name, "--slots",
           absl::StrCat(options.slots), "--cpus", absl::StrCat(cpus), "--http-listen", http,
           "--work-dir", absl::StrCat(options.dir, "/worker-", index), "--storage-root",
           options.dir + "/storage", "--data-root", "/"},
          &worker.process));
  worker.http_address = json.value("httpAddress", "");
  return Save(state);
}

absl::Status WaitUntilReady(const ClusterState& state, const ListReadyWorkers& list_ready,
                            const std::stop_token& stop) {
  const absl::Time deadline = absl::Now() + kStartLimit;
  std::string last = "no answer yet";
  while (absl::Now() < deadline) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    const absl::StatusOr<std::vector<std::string>> ready = list_ready(state.address);
    size_t num_ready = 0;
    if (ready.ok()) {
      for (const WorkerProcess& worker : state.workers) {
        num_ready += static_cast<size_t>(std::count(ready->begin(), ready->end(), worker.name));
      }
      if (num_ready == state.workers.size()) return absl::OkStatus();
      last = absl::StrCat(num_ready, " of ", state.workers.size(), " workers are ready");
    } else {
      last = std::string(ready.status().message());
    }
    for (const WorkerProcess& worker : state.workers) {
      if (!IsRunning(worker.process)) {
        return absl::UnavailableError(
            absl::StrCat("worker ", worker.name, " ended; see ", state.dir, "/logs"));
      }
    }
    absl::SleepFor(kPoll);
  }
  return absl::UnavailableError(absl::StrCat("the workers did not get ready within ",
                                             absl::FormatDuration(kStartLimit), ": ", last,
                                             "; see ", state.dir, "/logs"));
}

absl::Status StartMissing(const UpOptions& options, const ListReadyWorkers& list_ready,
                          Starter& starter, ClusterState& state) {
  if (!IsRunning(state.coordinator)) {
    G2LL_RETURN_IF_ERROR(StartCoordinator(options, starter, state));
  }
  if (static_cast<int>(state.workers.size()) < options.num_workers) {
    state.workers.resize(static_cast<size_t>(options.num_workers));
  }
  for (int i = 0; i < static_cast<int>(state.workers.size()); ++i) {
    if (IsRunning(state.workers[static_cast<size_t>(i)].process)) continue;
    G2LL_RETURN_IF_ERROR(StartWorker(options, i, starter, state));
  }
  return WaitUntilReady(state, list_ready, options.stop);
}

absl::Status MakeFolders(const std::string& dir) {
  std::error_code error;
  for (const char* name : {"", "/logs", "/data", "/storage"}) {
    fs::create_directories(dir + name, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat("cannot make ", dir, name, ": ", error.message()));
    }
  }
  fs::permissions(dir, fs::perms::owner_all, error);
  return absl::OkStatus();
}

}  // namespace

std::string DefaultDir() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return absl::StrCat(state, "/g2ll/local");
  }
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr ? home : "", "/.local/state/g2ll/local");
}

absl::StatusOr<ClusterState> Up(const UpOptions& options, const ListReadyWorkers& list_ready) {
  if (options.num_workers < 1 || options.slots < 1) {
    return absl::InvalidArgumentError("--workers and --slots must be at least 1");
  }
  G2LL_RETURN_IF_ERROR(MakeFolders(options.dir));
  G2LL_ASSIGN_OR_RETURN(const DirLock lock, DirLock::Take(options.dir));
  G2LL_ASSIGN_OR_RETURN(ClusterState state, Load(options.dir));
  if (!options.listen.empty() && IsRunning(state.coordinator) && options.listen != state.address &&
      options.listen != kAnyPort) {
    return absl::InvalidArgumentError(absl::StrCat("a coordinator of ", options.dir,
                                                   " already listens on ", state.address,
                                                   "; `g2ll local down` first"));
  }
  Starter starter(options);
  const absl::Status status = StartMissing(options, list_ready, starter, state);
  if (!status.ok()) {
    starter.StopStarted();
    return status;
  }
  return state;
}

absl::Status Down(const std::string& dir) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) return absl::OkStatus();
  G2LL_ASSIGN_OR_RETURN(const DirLock lock, DirLock::Take(dir));
  G2LL_ASSIGN_OR_RETURN(ClusterState state, Load(dir));
  std::vector<ProcessId> workers;
  for (const WorkerProcess& worker : state.workers) workers.push_back(worker.process);
  // Workers first: they tell the coordinator how their ranks ended.
  StopAll(workers, kStopGrace);
  state.workers.clear();
  StopAll({std::exchange(state.coordinator, {})}, kStopGrace);
  return state.address.empty() ? absl::OkStatus() : Save(state);
}

absl::StatusOr<ClusterState> Status(const std::string& dir) {
  G2LL_ASSIGN_OR_RETURN(ClusterState state, Load(dir));
  if (!IsRunning(state.coordinator)) state.coordinator = {};
  for (WorkerProcess& worker : state.workers) {
    if (!IsRunning(worker.process)) worker.process = {};
  }
  return state;
}

}  // namespace g2ll::local
