#include "worker/agent/process_spawner.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace g2ll::agent {
namespace {

SpawnRequest Shell(const std::string& script) {
  SpawnRequest request;
  request.argv = {"/bin/sh", "-c", script};
  request.pipe_output = true;
  return request;
}

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
}

std::string ReadLine(int fd) {
  std::string line;
  char byte = 0;
  while (::read(fd, &byte, 1) == 1 && byte != '\n') line += byte;
  return line;
}

// Open descriptors of a process, sorted.
std::set<std::string> Descriptors(pid_t pid) {
  std::set<std::string> names;
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.insert(entry.path().filename());
  }
  return names;
}

TEST(ProcessSpawnerTest, ChildHasOnlyTheNamedDescriptors) {
  const run::UniqueFd leaked(::open("/dev/null", O_RDONLY));  // not close-on-exec
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  const run::UniqueFd ours(fds[0]);
  ProcessSpawner spawner;
  SpawnRequest request = Shell("echo ready; exec sleep 1000");
  request.channel = run::UniqueFd(fds[1]);

  const auto child = spawner.Spawn(std::move(request));

  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_EQ(ReadLine((*child)->output().get()), "ready");
  EXPECT_THAT(Descriptors((*child)->pid()), testing::ElementsAre("0", "1", "2", "3"));
}

TEST(ProcessSpawnerTest, WithoutAChannelTheChildHasThreeDescriptors) {
  ProcessSpawner spawner;

  const auto child = spawner.Spawn(Shell("echo ready; exec sleep 1000"));

  ASSERT_TRUE(child.ok());
  ASSERT_EQ(ReadLine((*child)->output().get()), "ready");
  EXPECT_THAT(Descriptors((*child)->pid()), testing::ElementsAre("0", "1", "2"));
}

TEST(ProcessSpawnerTest, StandardInputIsEmpty) {
  ProcessSpawner spawner;

  const auto child = spawner.Spawn(Shell("cat; echo end"));

  ASSERT_TRUE(child.ok());
  EXPECT_EQ(ReadAll((*child)->output().get()), "end\n");
}

TEST(ProcessSpawnerTest, EnvironmentIsOverridden) {
  ProcessSpawner spawner;
  SpawnRequest request = Shell("echo $HOME $G2LL_EXTRA");
  request.environment = {{"HOME", "/nowhere"}, {"G2LL_EXTRA", "1"}};

  const auto child = spawner.Spawn(std::move(request));

  ASSERT_TRUE(child.ok());
  EXPECT_EQ(ReadAll((*child)->output().get()), "/nowhere 1\n");
}

TEST(ProcessSpawnerTest, MissingProgramIsNamed) {
  ProcessSpawner spawner;
  SpawnRequest request;
  request.argv = {"/nowhere/g2ll-trainer"};

  const auto child = spawner.Spawn(std::move(request));

  EXPECT_EQ(child.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(child.status().message().find("/nowhere/g2ll-trainer"), absl::string_view::npos);
}

TEST(ProcessSpawnerTest, ReportsExitCodeAndSignal) {
  ProcessSpawner spawner;

  const auto exited = spawner.Spawn(Shell("exit 78"));
  const auto killed = spawner.Spawn(Shell("kill -9 $$"));

  ASSERT_TRUE(exited.ok() && killed.ok());
  EXPECT_EQ((*exited)->Wait(absl::InfiniteDuration())->exit_code, 78);
  EXPECT_EQ((*killed)->Wait(absl::InfiniteDuration())->signal, SIGKILL);
}

// A child of the child, in its group, holds the pipe open; its death closes it.
TEST(ProcessSpawnerTest, TerminateEndsTheWholeGroupEvenIfItIgnoresSigterm) {
  ProcessSpawner spawner;
  const auto child =
      spawner.Spawn(Shell("trap '' TERM; sh -c 'trap \"\" TERM; echo ready; sleep 1000'; wait"));
  ASSERT_TRUE(child.ok());
  const int output = (*child)->output().get();
  ASSERT_EQ(ReadLine(output), "ready");

  const ExitStatus status = (*child)->Terminate(absl::Milliseconds(10));

  EXPECT_EQ(status.signal, SIGKILL);
  EXPECT_EQ(ReadAll(output), "");
}

TEST(ProcessSpawnerTest, EndOfTheLeaderEndsItsGroup) {
  ProcessSpawner spawner;
  const auto child = spawner.Spawn(Shell("sleep 1000 & echo ready"));
  ASSERT_TRUE(child.ok());

  EXPECT_EQ((*child)->Wait(absl::InfiniteDuration())->exit_code, 0);

  EXPECT_EQ(ReadAll((*child)->output().get()), "ready\n");
}

TEST(ProcessSpawnerTest, WaitReturnsNothingWhileTheChildRuns) {
  ProcessSpawner spawner;
  const auto child = spawner.Spawn(Shell("echo ready; sleep 1000"));
  ASSERT_TRUE(child.ok());

  EXPECT_FALSE((*child)->Wait(absl::ZeroDuration()).has_value());
}

// The agent is played by a process of its own that is killed.
TEST(ProcessSpawnerTest, ChildrenDieWithTheirAgent) {
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  run::UniqueFd read_end(fds[0]);
  run::UniqueFd write_end(fds[1]);
  const pid_t agent = ::fork();
  if (agent == 0) {
    ProcessSpawner spawner;
    // The child's channel is the pipe's write end: it closes when the child is gone.
    SpawnRequest request = Shell("echo ready >&3; exec sleep 1000");
    request.channel = std::move(write_end);
    const auto child = spawner.Spawn(std::move(request));
    ::pause();
    ::_exit(0);
  }
  write_end.Reset();
  ASSERT_EQ(ReadLine(read_end.get()), "ready");

  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);

  EXPECT_EQ(ReadAll(read_end.get()), "");
}

TEST(ProcessSpawnerTest, EndOfTheSpawnerKillsItsChildren) {
  std::unique_ptr<ChildProcess> child;
  {
    ProcessSpawner spawner;
    auto spawned = spawner.Spawn(Shell("sleep 1000"));
    ASSERT_TRUE(spawned.ok());
    child = *std::move(spawned);
  }

  EXPECT_EQ(child->Wait(absl::InfiniteDuration())->signal, SIGKILL);
}

}  // namespace
}  // namespace g2ll::agent
