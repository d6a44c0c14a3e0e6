#include "worker/agent/process_spawner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/synchronization/notification.h"
#include "proto/common/status_macros.h"
#include "proto/common/steady_time.h"

extern char** environ;

namespace g2ll::agent {
namespace {

using run::UniqueFd;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Everything that the child needs between fork and exec, made before the fork:
// after it only async-signal-safe calls are allowed, so no memory is taken there.
struct ChildPlan {
  std::vector<char*> argv;
  std::vector<char*> environment;
  pid_t parent = 0;
  int input = -1;
  int output = -1;
  int error = -1;
  int channel = -1;
  int exec_error = -1;
};

// Numbers in the child; the error pipe closes itself with a successful exec.
constexpr int kExecErrorFd = kChannelFd + 1;
// Sources are moved above this first, so that no dup2 overwrites the next source.
constexpr int kScratchFd = 16;

[[noreturn]] void FailInChild(int error_fd) {
  const int error = errno;
  // Nothing can be done if even this fails; the parent sees the exit.
  [[maybe_unused]] const ssize_t ignored = ::write(error_fd, &error, sizeof(error));
  ::_exit(127);
}

bool MoveTo(int source, int target) { return source < 0 || ::dup2(source, target) == target; }

[[noreturn]] void RunChild(const ChildPlan& plan) {
  if (::setsid() < 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) FailInChild(plan.exec_error);
  // The agent may have died before prctl; then no signal will come.
  if (::getppid() != plan.parent) ::_exit(127);

  const auto lift = [](int fd) { return fd < 0 ? -1 : ::fcntl(fd, F_DUPFD, kScratchFd); };
  const int exec_error = lift(plan.exec_error);
  const int input = lift(plan.input);
  const int output = lift(plan.output);
  const int error = lift(plan.error);
  const int channel = lift(plan.channel);
  if (exec_error < 0) FailInChild(plan.exec_error);
  if (!MoveTo(input, STDIN_FILENO) || !MoveTo(output, STDOUT_FILENO) ||
      !MoveTo(error, STDERR_FILENO) || !MoveTo(channel, kChannelFd) ||
      ::dup3(exec_error, kExecErrorFd, O_CLOEXEC) < 0) {
    FailInChild(exec_error);
  }
  if (channel < 0) ::close(kChannelFd);
  if (::close_range(kExecErrorFd + 1, ~0U, 0) != 0) FailInChild(kExecErrorFd);

  // The agent blocks and ignores signals that the child must see.
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal : {SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::signal(signal, SIG_DFL);

  ::execve(plan.argv[0], plan.argv.data(), plan.environment.data());
  FailInChild(kExecErrorFd);
}

std::vector<std::string> BuildEnvironment(
    const std::vector<std::pair<std::string, std::string>>& overrides) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    const bool overridden = std::any_of(overrides.begin(), overrides.end(),
                                        [&](const auto& item) { return item.first == name; });
    if (!overridden) result.emplace_back(text);
  }
  for (const auto& [name, value] : overrides) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::Status ExecFailure(const std::string& program, int error) {
  const std::string text = "cannot start " + program + ": " + std::strerror(error);
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == EACCES || error == EPERM || error == ENOEXEC) {
    return absl::PermissionDeniedError(text);
  }
  return absl::ResourceExhaustedError(text);
}

// Waits for the exec: end of file is success, an int is the errno of the failure.
int ReadExecError(int fd) {
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(fd, &error, sizeof(error));
  } while (count < 0 && errno == EINTR);
  return count == sizeof(error) ? error : 0;
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ForkAndExec(SpawnRequest request) {
  if (request.argv.empty()) return absl::InvalidArgumentError("no program to start");
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return ExecFailure("/dev/null", errno);
  Pipe output;
  Pipe error;
  if (request.pipe_output) {
    G2LL_ASSIGN_OR_RETURN(output, MakePipe());
  }
  if (request.pipe_error) {
    G2LL_ASSIGN_OR_RETURN(error, MakePipe());
  }
  G2LL_ASSIGN_OR_RETURN(Pipe exec_error, MakePipe());

  std::vector<std::string> environment = BuildEnvironment(request.environment);
  ChildPlan plan;
  plan.argv = Pointers(request.argv);
  plan.environment = Pointers(environment);
  plan.parent = ::getpid();
  plan.input = null.get();
  plan.output = output.write.valid() ? output.write.get() : null.get();
  plan.error = request.join_error_to_output ? plan.output : error.write.get();
  plan.channel = request.channel.get();
  plan.exec_error = exec_error.write.get();

  const pid_t pid = ::fork();
  if (pid == 0) RunChild(plan);
  if (pid < 0) return ExecFailure(request.argv[0], errno);

  // pidfd_open cannot fail for a child that is not reaped, short of no descriptors.
  // By number: the header of glibc 2.36 declares pidfd_open without extern "C".
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  exec_error.write.Reset();
  int failure = pidfd.valid() ? ReadExecError(exec_error.read.get()) : errno;
  if (failure != 0) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return ExecFailure(request.argv[0], failure);
  }
  return std::make_unique<ChildProcess>(pid, std::move(pidfd), std::move(output.read),
                                        std::move(error.read));
}

}  // namespace

ChildProcess::ChildProcess(pid_t pid, UniqueFd pidfd, UniqueFd output, UniqueFd error)
    : pid_(pid), pidfd_(std::move(pidfd)), output_(std::move(output)), error_(std::move(error)) {}

ChildProcess::~ChildProcess() {
  SignalGroup(SIGKILL);
  Wait(absl::InfiniteDuration());
}

void ChildProcess::SignalGroup(int signal) {
  // Under the lock: once reaped, the number may belong to another process.
  absl::MutexLock lock(&mutex_);
  if (!exit_status_) ::kill(-pid_, signal);
}

std::optional<ExitStatus> ChildProcess::Wait(absl::Duration timeout) {
  const steady::Deadline deadline(timeout);
  while (true) {
    const absl::Duration left = deadline.left();
    const int milliseconds = left == absl::InfiniteDuration()
                                 ? -1
                                 : static_cast<int>(std::clamp<int64_t>(
                                       absl::ToInt64Milliseconds(left) + 1, 0, 1 << 30));
    pollfd entry{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&entry, 1, left <= absl::ZeroDuration() ? 0 : milliseconds);
    if (ready > 0) return Reap();
    if (left <= absl::ZeroDuration()) return std::nullopt;
  }
}

ExitStatus ChildProcess::Reap() {
  absl::MutexLock lock(&mutex_);
  if (exit_status_) return *exit_status_;
  // While the leader is a zombie its number cannot be used again, so what it left
  // behind in its group can be killed by that number.
  ::kill(-pid_, SIGKILL);
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 && errno == EINTR) {
  }
  ExitStatus status;
  (info.si_code == CLD_EXITED ? status.exit_code : status.signal) = info.si_status;
  exit_status_ = status;
  return status;
}

ExitStatus ChildProcess::Terminate(absl::Duration grace) {
  SignalGroup(SIGTERM);
  if (const auto status = Wait(grace)) return *status;
  SignalGroup(SIGKILL);
  return *Wait(absl::InfiniteDuration());
}

ProcessSpawner::ProcessSpawner() : thread_([this] { Loop(); }) {}

ProcessSpawner::~ProcessSpawner() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

void ProcessSpawner::Loop() {
  while (true) {
    std::vector<std::function<void()>> work;
    {
      absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !work_.empty();
      };
      mutex_.Await(absl::Condition(&has_work));
      if (work_.empty()) return;
      work.swap(work_);
    }
    for (const auto& task : work) task();
  }
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ProcessSpawner::Spawn(SpawnRequest request) {
  absl::StatusOr<std::unique_ptr<ChildProcess>> result = absl::InternalError("not started");
  absl::Notification done;
  {
    absl::MutexLock lock(&mutex_);
    work_.emplace_back([&] {
      result = ForkAndExec(std::move(request));
      done.Notify();
    });
  }
  done.WaitForNotification();
  return result;
}

}  // namespace g2ll::agent
