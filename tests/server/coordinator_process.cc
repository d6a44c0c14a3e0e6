#include "tests/server/coordinator_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace g2ll::testing {

CoordinatorProcess::CoordinatorProcess(const std::string& directory) {
  std::vector<std::string> words = {G2LL_COORDINATOR,
                                    "--listen",
                                    "127.0.0.1:0",
                                    "--http-listen",
                                    "127.0.0.1:0",
                                    "--data-dir",
                                    directory + "/data",
                                    "--storage-root",
                                    directory + "/storage",
                                    "--log-format",
                                    "json"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<int, 2> pipe{};
  if (pipe2(pipe.data(), O_CLOEXEC) != 0) return;
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(pipe[1], STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(pipe[1]);
  reader_ = std::jthread([this, file = pipe[0]] { Read(file); });

  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ended_ || !address_.empty(); });
}

CoordinatorProcess::~CoordinatorProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

int CoordinatorProcess::Stop() {
  kill(pid_, SIGTERM);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  reader_.join();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::vector<std::string> CoordinatorProcess::lines() const {
  const std::scoped_lock lock(mutex_);
  return lines_;
}

void CoordinatorProcess::ForgetPeak() const {
  std::ofstream("/proc/" + std::to_string(pid_) + "/clear_refs") << "5";
}

void CoordinatorProcess::Read(int file) {
  std::string text;
  std::array<char, 4096> buffer{};
  ssize_t count = 0;
  while ((count = read(file, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<size_t>(count));
    const std::scoped_lock lock(mutex_);
    size_t end = 0;
    while ((end = text.find('\n')) != std::string::npos) {
      lines_.push_back(text.substr(0, end));
      text.erase(0, end + 1);
      const auto json = nlohmann::json::parse(lines_.back(), nullptr, /*allow_exceptions=*/false);
      if (json.is_object() && json.contains("http_address")) {
        http_address_ = json["http_address"];
        address_ = json["address"];
      }
    }
    changed_.notify_all();
  }
  close(file);
  const std::scoped_lock lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

int64_t CoordinatorProcess::StatusBytes(const std::string& key) const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (!line.starts_with(key)) continue;
    int64_t kilobytes = 0;
    std::istringstream(line.substr(key.size())) >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

}  // namespace g2ll::testing
