#include "tests/train/gang.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <torch/torch.h>
#include <unistd.h>

#include <csignal>
#include <exception>

#include "worker/dist/c10d_collective.h"
#include "worker/dist/store_server.h"

namespace g2ll::test {
namespace {

struct Child {
  pid_t pid = 0;
  int output = -1;  // read end of what it writes
};

Child Fork(const std::function<int(int fd)>& run) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t pid = fork();
  if (pid < 0) std::abort();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);  // as the trainer does
    close(ends[0]);
    at::set_num_threads(1);
    const int code = run(ends[1]);
    _exit(code);
  }
  close(ends[1]);
  return {pid, ends[0]};
}

void WriteAll(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return text;
}

int RunRank(int fd, const std::function<std::string()>& body) {
  try {
    WriteAll(fd, body());
    return 0;
  } catch (const dist::CollectiveError& e) {
    WriteAll(fd, std::string("CollectiveError: ") + e.what());
    return 81;
  } catch (const std::exception& e) {
    WriteAll(fd, std::string("exception: ") + e.what());
    return 1;
  }
}

}  // namespace

std::vector<RankResult> RunProcesses(int world_size,
                                     const std::function<std::string(int rank, int port)>& body) {
  // The store too lives in a process of its own, so that no thread is around
  // when the ranks are forked.
  const Child store = Fork([](int fd) {
    auto server = dist::StoreServer::Start("127.0.0.1");
    if (!server.ok()) return 1;
    const int port = (*server)->port();
    if (write(fd, &port, sizeof(port)) != sizeof(port)) return 1;
    for (;;) pause();
  });
  int port = 0;
  if (read(store.output, &port, sizeof(port)) != sizeof(port)) port = 0;

  std::vector<Child> ranks;
  for (int rank = 0; rank < world_size; ++rank) {
    ranks.push_back(Fork([&](int fd) { return RunRank(fd, [&] { return body(rank, port); }); }));
  }
  std::vector<RankResult> results;
  for (const Child& child : ranks) {
    RankResult result;
    result.output = ReadAll(child.output);
    int status = 0;
    waitpid(child.pid, &status, 0);
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    results.push_back(std::move(result));
  }
  kill(store.pid, SIGKILL);
  waitpid(store.pid, nullptr, 0);
  close(store.output);
  return results;
}

std::vector<RankResult> RunGang(int world_size,
                                const std::function<std::string(dist::Collective&)>& body) {
  return RunProcesses(world_size, [&](int rank, int port) {
    dist::C10dOptions options;
    options.store_host = "127.0.0.1";
    options.store_port = port;
    options.store_prefix = "job/test/e1";
    options.rank = rank;
    options.world_size = world_size;
    options.timeout = absl::Seconds(30);
    options.advertise_host = "127.0.0.1";
    auto collective = dist::JoinC10dGroup(options);
    if (!collective.ok()) return std::string(collective.status().message());
    return body(**collective);
  });
}

}  // namespace g2ll::test
