#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/local/local_cluster.h"
#include "client/local/process.h"

namespace g2ll::local {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LocalTest : public ::testing::Test {
 protected:
  LocalTest() {
    std::string pattern = ::testing::TempDir() + "/local-XXXXXX";
    dir_ = mkdtemp(pattern.data());
  }
  ~LocalTest() override {
    Down(dir_).IgnoreError();
    fs::remove_all(dir_);
  }

  // A program of the cluster that writes its address file and then sleeps.
  void WriteProgram(const std::string& name, const std::string& body) {
    fs::create_directories(dir_ + "/bin");
    const std::string path = dir_ + "/bin/" + name;
    std::ofstream(path) << "#!/bin/sh\n"
                        << "while [ $# -gt 0 ]; do case $1 in --address-file) file=$2;; --name) "
                           "name=$2;; esac; shift; done\n"
                        << body;
    chmod(path.c_str(), 0755);
  }
  void WriteGoodPrograms() {
    WriteProgram("g2ll-coordinator",
                 "echo '{\"address\":\"127.0.0.1:1\",\"httpAddress\":\"127.0.0.1:2\"}' > $file.x; "
                 "mv $file.x $file; exec sleep 1000\n");
    WriteProgram("g2ll-worker",
                 "echo '{\"httpAddress\":\"127.0.0.1:3\"}' > $file.x; mv $file.x $file; "
                 "exec sleep 1000\n");
  }
  UpOptions Options(int num_workers) {
    UpOptions options;
    options.dir = dir_ + "/cluster";
    options.program_dir = dir_ + "/bin";
    options.num_workers = num_workers;
    return options;
  }
  static absl::StatusOr<std::vector<std::string>> AllReady(const std::string&) {
    return std::vector<std::string>{"local-0", "local-1", "local-2"};
  }

  std::string dir_;
};

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST_F(LocalTest, AChildHoldsNothingOfItsCaller) {
  const int leaked = open("/dev/null", O_RDONLY);  // without O_CLOEXEC
  const std::string log = dir_ + "/log";
  const auto process = SpawnDetached({"/bin/ls", "/proc/self/fd"}, log);
  ASSERT_TRUE(process.ok()) << process.status();
  while (IsRunning(*process)) usleep(1000);

  // 3 is ls's own look at the folder.
  EXPECT_EQ(ReadAll(log), "0\n1\n2\n3\n");
  close(leaked);
}

TEST_F(LocalTest, AProgramThatIsMissingIsNamed) {
  const auto process = SpawnDetached({dir_ + "/none"}, dir_ + "/log");
  EXPECT_EQ(process.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(process.status().message()), HasSubstr("/none"));
}

// A pid that was given to another process must never be signalled.
TEST_F(LocalTest, APidWithAnotherStartTimeIsNotThatProcess) {
  const auto process = SpawnDetached({"/bin/sleep", "1000"}, dir_ + "/log");
  ASSERT_TRUE(process.ok());
  ProcessId later = *process;
  later.start_ticks += 1;

  EXPECT_FALSE(IsRunning(later));
  StopAll({later}, absl::ZeroDuration());
  EXPECT_TRUE(IsRunning(*process));
  StopAll({*process}, absl::Seconds(10));
  EXPECT_FALSE(IsRunning(*process));
}

TEST_F(LocalTest, WhatIgnoresTermIsKilled) {
  WriteProgram("stubborn", "trap '' TERM; echo up; while :; do sleep 1000; done\n");
  const auto process = SpawnDetached({dir_ + "/bin/stubborn"}, dir_ + "/log");
  ASSERT_TRUE(process.ok());
  while (ReadAll(dir_ + "/log").empty()) usleep(1000);
  StopAll({*process}, absl::ZeroDuration());
  EXPECT_FALSE(IsRunning(*process));
}

TEST_F(LocalTest, UpStartsAllAndDownLeavesNothing) {
  WriteGoodPrograms();
  const auto state = Up(Options(2), AllReady);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->address, "127.0.0.1:1");
  ASSERT_EQ(state->workers.size(), 2u);
  EXPECT_TRUE(IsRunning(state->coordinator));
  EXPECT_TRUE(IsRunning(state->workers[1].process));

  EXPECT_TRUE(Down(state->dir).ok());
  EXPECT_FALSE(IsRunning(state->coordinator));
  EXPECT_FALSE(IsRunning(state->workers[0].process));
  EXPECT_FALSE(IsRunning(state->workers[1].process));
}

TEST_F(LocalTest, UpAgainStartsOnlyWhatHasDied) {
  WriteGoodPrograms();
  const auto first = Up(Options(2), AllReady);
  ASSERT_TRUE(first.ok()) << first.status();
  kill(first->workers[1].process.pid, SIGKILL);
  while (IsRunning(first->workers[1].process)) usleep(1000);

  const auto second = Up(Options(2), AllReady);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->coordinator.pid, first->coordinator.pid);
  EXPECT_EQ(second->workers[0].process.pid, first->workers[0].process.pid);
  EXPECT_NE(second->workers[1].process.pid, first->workers[1].process.pid);
}

TEST_F(LocalTest, AFailedStartShowsTheLogAndStopsTheRest) {
  WriteGoodPrograms();
  WriteProgram("g2ll-worker", "echo 'cannot do this' >&2; exit 1\n");
  const auto state = Up(Options(1), AllReady);
  EXPECT_EQ(state.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(state.status().message()), HasSubstr("cannot do this"));

  const auto left = Status(dir_ + "/cluster");
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(left->coordinator.pid, 0);
}

TEST_F(LocalTest, ASecondCallOnTheFolderIsRefusedMeanwhile) {
  WriteGoodPrograms();
  absl::Status inner;
  const auto state = Up(Options(1), [&](const std::string& address) {
    inner = Down(dir_ + "/cluster");
    return AllReady(address);
  });
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(inner.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Down(state->dir).ok());
}

TEST_F(LocalTest, AStateFileThatMakesNoSenseIsRefused) {
  fs::create_directories(dir_ + "/cluster");
  std::ofstream(dir_ + "/cluster/local.json") << "{";
  EXPECT_EQ(Status(dir_ + "/cluster").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(LocalTest, LastLinesGivesTheEndOfAFile) {
  std::ofstream(dir_ + "/log") << "one\ntwo\nthree\n";
  EXPECT_EQ(LastLines(dir_ + "/log", 2), "two\nthree\n");
  EXPECT_EQ(LastLines(dir_ + "/none", 2), "");
}

}  // namespace
}  // namespace g2ll::local
