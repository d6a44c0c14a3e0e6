// The client is killed around the moment at which its job is stored; another try with the
// same request id finds the job or makes it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/fault/counts.h"
#include "tests/fault/keeper.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/job_client.h"

namespace g2ll::fault {
namespace {

// Jobs by which the usual time of a submission is found.
constexpr int kWarmUps = 3;

class ClientKillTest : public ::testing::Test {
 protected:
  std::string WriteJob(const std::string& name) {
    const std::string path = absl::StrCat(directory_.path(), "/", name, ".yaml");
    std::ofstream(path) << "apiVersion: g2ll/v1\nkind: PretrainJob\nmetadata: { name: " << name
                        << " }\nspec: { recipe: smoke, data: { source: \"synthetic:dermoscopy"
                           "?count=8&seed=1\" } }\n";
    return path;
  }

  // `g2ll submit` with its output in a file.
  pid_t StartSubmit(const std::string& job_file, const std::string& request_id) {
    const std::string output = directory_.path() + "/output";
    const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const pid_t pid = fork();
    if (pid == 0) {
      // Only calls that are safe after a fork of a program with threads.
      dup2(file, STDOUT_FILENO);
      dup2(file, STDERR_FILENO);
      execl(G2LL_CLIENT_PROGRAM, "g2ll", "--server", keeper_.address().c_str(), "submit", "-f",
            job_file.c_str(), "--request-id", request_id.c_str(), nullptr);
      _exit(127);
    }
    close(file);
    return pid;
  }

  int Wait(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string Output() const {
    std::ifstream file(directory_.path() + "/output");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const testing::TemporaryDirectory directory_;
  Keeper keeper_{{.process = {.directory = directory_.path() + "/cluster"}}};
  sim::JobClient client_{keeper_.address()};
};

TEST_F(ClientKillTest, ARetryWithTheSameRequestIdLeavesExactlyOneJob) {
  const uint64_t seed = Seed();
  std::mt19937_64 random(seed);
  const int runs = Count(50, 1000);
  absl::Duration usual = absl::InfiniteDuration();
  for (int i = 0; i < kWarmUps; ++i) {
    const absl::Time start = absl::Now();
    const std::string name = absl::StrCat("warm-up", i);
    ASSERT_EQ(Wait(StartSubmit(WriteJob(name), name)), 0) << Output();
    usual = std::min(usual, absl::Now() - start);
  }
  int stored_before = 0;
  int killed = 0;
  for (int i = 0; i < runs; ++i) {
    const std::string name = absl::StrCat("job", i);
    const std::string file = WriteJob(name);
    const pid_t pid = StartSubmit(file, "request-" + name);
    // Around the call: the program starts, connects, sends, waits and prints.
    absl::SleepFor(usual * (0.05 + 0.65 * static_cast<double>(random() % 1000) / 1000));
    kill(pid, SIGKILL);
    killed += Wait(pid) == 128 + SIGKILL ? 1 : 0;
    const auto before = client_.Get(sim::FullName(name));
    stored_before += before.ok() ? 1 : 0;

    ASSERT_EQ(Wait(StartSubmit(file, "request-" + name)), 0) << Output();

    const auto after = client_.Get(sim::FullName(name));
    ASSERT_TRUE(after.ok()) << after.status();
    EXPECT_TRUE(!before.ok() || before->uid() == after->uid()) << name << " was made twice";
    // A project may have only so many jobs that wait.
    ASSERT_TRUE(client_.Cancel(sim::FullName(name)).ok());
  }

  const auto jobs = client_.ListAll();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_EQ(jobs->size(), static_cast<size_t>(runs + kWarmUps));
  std::cout << "client kills " << runs << " (G2LL_SEED=" << seed << "), killed in time " << killed
            << ", stored before the kill " << stored_before << ", jobs " << jobs->size() - kWarmUps
            << ", lost 0, duplicated 0" << std::endl;
}

}  // namespace
}  // namespace g2ll::fault
