#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <thread>

#include "client/cli/cli.h"
#include "client/cli/exit_code.h"

extern char** environ;

namespace g2ll::cli {
namespace {

std::map<std::string, std::string> ReadVariables() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return variables;
}

bool ShowsUnicode(const Environment& env) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = env.Variable(name);
    if (value.empty()) continue;
    return value.find("UTF-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

int TerminalWidth() {
  winsize size{};
  const bool known =
      ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
  return known && size.ws_col > 0 ? size.ws_col : 80;
}

// Turns Ctrl-C into a request to stop. SIGINT is blocked in every thread, so this
// one takes it; ends with the object.
class InterruptWatcher {
 public:
  InterruptWatcher() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::jthread([this](const std::stop_token& done) { Run(done); });
  }
  std::stop_token token() const { return source_.get_token(); }

 private:
  void Run(const std::stop_token& done) {
    while (!done.stop_requested()) {
      const timespec tick{0, 50'000'000};
      if (sigtimedwait(&signals_, nullptr, &tick) != SIGINT) continue;
      // A second Ctrl-C does not wait for anything.
      if (source_.stop_requested()) _exit(kInterrupted);
      source_.request_stop();
    }
  }

  sigset_t signals_;
  std::stop_source source_;
  std::jthread thread_;
};

std::vector<char*> Arguments(const std::vector<std::string>& argv) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  return arguments;
}

int Exec(const std::vector<std::string>& argv) {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const std::vector<char*> arguments = Arguments(argv);
  execv(arguments.front(), arguments.data());
  return -1;
}

// Ctrl-C reaches the program too, for it stays in this process group.
int RunToEnd(const std::vector<std::string>& argv) {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const std::vector<char*> arguments = Arguments(argv);
  const int error =
      posix_spawn(&pid, arguments.front(), nullptr, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return -1;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int Main(int argc, char** argv, const std::string& version) {
  const InterruptWatcher interrupts;
  std::error_code error;
  Environment env;
  env.in = &std::cin;
  env.out = &std::cout;
  env.err = &std::cerr;
  env.variables = ReadVariables();
  const bool is_dumb = env.Variable("TERM") == "dumb";
  env.out_is_terminal = isatty(STDOUT_FILENO) == 1 && !is_dumb;
  env.err_is_terminal = isatty(STDERR_FILENO) == 1 && !is_dumb;
  env.width = TerminalWidth();
  env.unicode = ShowsUnicode(env);
  env.program_dir = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
  env.version = version;
  env.stop = interrupts.token();
  env.exec = Exec;
  env.run = RunToEnd;
  return Run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc), env);
}

}  // namespace g2ll::cli
