#include "tests/sim/coordinator_process.h"

#include <fcntl.h>
#include <httplib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "proto/common/address.h"
#include "proto/common/status_macros.h"

namespace g2ll::sim {
namespace {

constexpr absl::Duration kStartLimit = absl::Minutes(1);
constexpr absl::Duration kPoll = absl::Milliseconds(1);

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string EndOf(const std::string& path) {
  const std::string text = ReadFile(path);
  return text.substr(text.size() - std::min<size_t>(text.size(), 2000));
}

int CodeOf(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

// `VmRSS` and the like of /proc/PID/status, in the file's unit.
int64_t StatusField(const std::string& status, const std::string& key) {
  const size_t found = status.find("\n" + key + ":");
  return found == std::string::npos ? 0 : std::atoll(status.c_str() + found + key.size() + 2);
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> MakeEnvironment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!added.contains(text.substr(0, text.find('=')))) {
      environment.push_back(text);
    }
  }
  for (const auto& [name, value] : added) {
    environment.push_back(absl::StrCat(name, "=", value));
  }
  return environment;
}

// Buckets of a histogram as (upper bound, cumulative count).
std::vector<std::pair<double, double>> Buckets(const std::string& text, const std::string& name) {
  const std::string prefix = absl::StrCat(name, "_bucket{le=\"");
  std::vector<std::pair<double, double>> buckets;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.substr(0, prefix.size()) != prefix) {
      continue;
    }
    const absl::string_view rest = line.substr(prefix.size());
    const std::string bound(rest.substr(0, rest.find('"')));
    double count = 0;
    if (absl::SimpleAtod(rest.substr(rest.rfind(' ') + 1), &count)) {
      buckets.emplace_back(
          bound == "+Inf" ? std::numeric_limits<double>::infinity() : std::stod(bound), count);
    }
  }
  return buckets;
}

}  // namespace

CoordinatorProcess::CoordinatorProcess(Options options) : options_(std::move(options)) {
  if (options_.program.empty()) {
    options_.program = G2LL_COORDINATOR_PROGRAM;
  }
}

CoordinatorProcess::~CoordinatorProcess() { Kill(); }

absl::StatusOr<std::unique_ptr<CoordinatorProcess>> CoordinatorProcess::Start(Options options) {
  std::unique_ptr<CoordinatorProcess> process(new CoordinatorProcess(std::move(options)));
  G2LL_RETURN_IF_ERROR(process->Restart());
  return process;
}

std::vector<std::string> CoordinatorProcess::MakeArguments() const {
  const std::string any = "127.0.0.1:0";
  return {options_.program,
          "--config",
          options_.directory + "/coordinator.yaml",
          "--listen",
          address_.empty() ? any : address_,
          "--http-listen",
          http_address_.empty() ? any : http_address_,
          "--data-dir",
          data_dir(),
          "--storage-root",
          storage_root(),
          "--address-file",
          options_.directory + "/address.json"};
}

absl::Status CoordinatorProcess::Restart(
    const std::optional<std::map<std::string, std::string>>& environment) {
  if (environment.has_value()) {
    options_.environment = *environment;
  }
  std::error_code error;
  std::filesystem::create_directories(options_.directory, error);
  std::ofstream settings(options_.directory + "/coordinator.yaml", std::ios::trunc);
  for (const auto& [key, value] : options_.settings) {
    settings << key << ": " << value << "\n";
  }
  settings.close();
  std::filesystem::remove(options_.directory + "/address.json", error);
  G2LL_RETURN_IF_ERROR(Spawn());
  return WaitUntilListening();
}

absl::Status CoordinatorProcess::Spawn() {
  std::vector<std::string> arguments = MakeArguments();
  std::vector<std::string> environment = MakeEnvironment(options_.environment);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  const int log = open(log_path().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) {
    return absl::UnavailableError(
        absl::StrCat(log_path(), " cannot be written: ", std::strerror(errno)));
  }
  const pid_t pid = fork();
  if (pid == 0) {
    // Only calls that are safe after a fork of a program with threads.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(log);
  if (pid < 0) {
    return absl::UnavailableError(absl::StrCat("fork: ", std::strerror(errno)));
  }
  pid_ = pid;
  exit_code_.reset();
  return absl::OkStatus();
}

absl::Status CoordinatorProcess::EndedEarly() const {
  return absl::InternalError(absl::StrCat(options_.program, " ended with code ", *exit_code_,
                                          "; its log ends with:\n", EndOf(log_path())));
}

absl::Status CoordinatorProcess::WaitUntilListening() {
  const absl::Time deadline = absl::Now() + kStartLimit;
  const std::string path = options_.directory + "/address.json";
  while (absl::Now() < deadline) {
    // The file appears whole.
    if (std::filesystem::exists(path)) {
      const nlohmann::json addresses = nlohmann::json::parse(ReadFile(path));
      address_ = addresses.at("address").get<std::string>();
      http_address_ = addresses.at("httpAddress").get<std::string>();
      return absl::OkStatus();
    }
    if (!running()) {
      return EndedEarly();
    }
    absl::SleepFor(kPoll);
  }
  return absl::DeadlineExceededError(
      absl::StrCat(options_.program, " does not listen; its log ends with:\n", EndOf(log_path())));
}

bool CoordinatorProcess::running() {
  if (pid_ == 0 || exit_code_.has_value()) {
    return false;
  }
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_code_ = CodeOf(status);
  }
  return !exit_code_.has_value();
}

void CoordinatorProcess::Kill() {
  if (!running()) {
    return;
  }
  kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  exit_code_ = CodeOf(status);
}

void CoordinatorProcess::Signal(int signal) const {
  if (pid_ > 0 && !exit_code_.has_value()) {
    kill(pid_, signal);
  }
}

absl::StatusOr<int> CoordinatorProcess::Stop(absl::Duration limit) {
  Signal(SIGTERM);
  return WaitForExit(limit);
}

absl::StatusOr<int> CoordinatorProcess::WaitForExit(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  while (running()) {
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("the coordinator still runs after ", absl::FormatDuration(limit)));
    }
    absl::SleepFor(kPoll);
  }
  if (!exit_code_.has_value()) {
    return absl::FailedPreconditionError("the coordinator was never started");
  }
  return *exit_code_;
}

CoordinatorProcess::Usage CoordinatorProcess::usage() const {
  Usage usage;
  const std::string folder = absl::StrCat("/proc/", pid_);
  const std::string status = ReadFile(folder + "/status");
  usage.rss_bytes = StatusField(status, "VmRSS") * 1024;
  usage.peak_rss_bytes = StatusField(status, "VmHWM") * 1024;
  usage.threads = StatusField(status, "Threads");
  // Exact, where the times of /proc/PID/stat miss what is shorter than a timer's tick.
  clockid_t clock = 0;
  timespec time = {};
  if (clock_getcpuclockid(pid_, &clock) == 0 && clock_gettime(clock, &time) == 0) {
    usage.cpu_time = absl::DurationFromTimespec(time);
  }
  std::error_code error;
  for ([[maybe_unused]] const auto& file :
       std::filesystem::directory_iterator(folder + "/fd", error)) {
    ++usage.open_files;
  }
  return usage;
}

absl::StatusOr<std::string> CoordinatorProcess::HttpGet(const std::string& path) const {
  httplib::Client client("http://" + http_address_);
  client.set_read_timeout(10);
  const httplib::Result response = client.Get(path);
  if (!response) {
    return absl::UnavailableError(
        absl::StrCat(http_address_, path, ": ", httplib::to_string(response.error())));
  }
  if (response->status != 200) {
    return absl::UnavailableError(
        absl::StrCat(http_address_, path, ": HTTP status ", response->status));
  }
  return response->body;
}

double MetricValue(const std::string& text, const std::string& series) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    double value = 0;
    if (line.size() > series.size() && line.substr(0, series.size()) == series &&
        line[series.size()] == ' ' && absl::SimpleAtod(line.substr(series.size() + 1), &value)) {
      return value;
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double HistogramQuantile(const std::string& before, const std::string& after,
                         const std::string& name, double q) {
  const std::vector<std::pair<double, double>> first = Buckets(before, name);
  const std::vector<std::pair<double, double>> last = Buckets(after, name);
  const auto grown = [&](size_t i) {
    return last[i].second - (i < first.size() ? first[i].second : 0);
  };
  if (last.empty() || grown(last.size() - 1) <= 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const double wanted = std::ceil(q * grown(last.size() - 1));
  for (size_t i = 0; i < last.size(); ++i) {
    if (grown(i) >= wanted) {
      return last[i].first;
    }
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace g2ll::sim
