#include "client/local/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace g2ll::local {
namespace {

struct ProcStat {
  char state = '?';
  uint64_t start_ticks = 0;
};

// Fields 3 and 22 of /proc/PID/stat. The name in field 2 may hold anything, so
// counting starts after its last parenthesis.
std::optional<ProcStat> ReadStat(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(end_of_name + 1));
  ProcStat stat;
  fields >> stat.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  fields >> stat.start_ticks;
  if (!fields) return std::nullopt;
  return stat;
}

// Runs in the child between fork and exec, where only async-signal-safe calls are
// allowed. Reports errno through `error_fd` if the program cannot be started.
[[noreturn]] void ExecDetached(char* const* argv, int log_fd, int error_fd) {
  setsid();
  const int null_fd = open("/dev/null", O_RDONLY);
  dup2(null_fd, STDIN_FILENO);
  dup2(log_fd, STDOUT_FILENO);
  dup2(log_fd, STDERR_FILENO);
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGINT, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  execv(argv[0], argv);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(error_fd, &error, sizeof(error));
  _exit(127);
}

absl::Status StartError(const std::string& program, int error) {
  const std::string text = absl::StrCat("cannot start ", program, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(text) : absl::PermissionDeniedError(text);
}

// Collects children of this program that have ended, so that they do not look
// like running ones.
void Reap(pid_t pid) { waitpid(pid, nullptr, WNOHANG); }

}  // namespace

bool IsRunning(const ProcessId& process) {
  if (process.pid <= 0) return false;
  Reap(process.pid);
  const std::optional<ProcStat> stat = ReadStat(process.pid);
  return stat && stat->start_ticks == process.start_ticks && stat->state != 'Z' &&
         stat->state != 'X';
}

absl::StatusOr<ProcessId> SpawnDetached(const std::vector<std::string>& argv,
                                        const std::string& log_path) {
  const int log_fd = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot write ", log_path, ": ", std::strerror(errno)));
  }
  int error_pipe[2];
  if (pipe2(error_pipe, O_CLOEXEC) != 0) {
    close(log_fd);
    return absl::UnavailableError(absl::StrCat("cannot make a pipe: ", std::strerror(errno)));
  }
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  const pid_t pid = fork();
  if (pid == 0) ExecDetached(arguments.data(), log_fd, error_pipe[1]);
  close(log_fd);
  close(error_pipe[1]);
  int error = pid < 0 ? errno : 0;
  // Ends at once when exec closes the child's end.
  ssize_t got = 0;
  do {
    got = pid < 0 ? 0 : read(error_pipe[0], &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  close(error_pipe[0]);
  if (error != 0) {
    if (pid > 0) waitpid(pid, nullptr, 0);
    return StartError(argv.front(), error);
  }
  const std::optional<ProcStat> stat = ReadStat(pid);
  return ProcessId{pid, stat ? stat->start_ticks : 0};
}

void StopAll(const std::vector<ProcessId>& processes, absl::Duration grace) {
  const auto any_runs = [&processes] {
    for (const ProcessId& process : processes) {
      if (IsRunning(process)) return true;
    }
    return false;
  };
  for (const ProcessId& process : processes) {
    if (IsRunning(process)) kill(process.pid, SIGTERM);
  }
  const absl::Time deadline = absl::Now() + grace;
  while (any_runs() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  for (const ProcessId& process : processes) {
    // Each leads its own group, which goes with it.
    if (IsRunning(process)) kill(-process.pid, SIGKILL);
  }
  while (any_runs()) absl::SleepFor(absl::Milliseconds(20));
}

std::string LastLines(const std::string& path, int num_lines) {
  constexpr std::streamoff kTail = 4096;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const std::streamoff size = file.tellg();
  file.seekg(size > kTail ? size - kTail : 0);
  std::ostringstream text;
  text << file.rdbuf();
  std::vector<std::string> lines = absl::StrSplit(text.str(), '\n', absl::SkipWhitespace());
  std::string tail;
  const size_t first = lines.size() > static_cast<size_t>(num_lines)
                           ? lines.size() - static_cast<size_t>(num_lines)
                           : 0;
  for (size_t i = first; i < lines.size(); ++i) absl::StrAppend(&tail, lines[i], "\n");
  return tail;
}

}  // namespace g2ll::local
