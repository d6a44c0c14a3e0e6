// Crashes while a backup takes the place of a store, and while old rows are removed.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "proto/common/failpoint_names.h"
#include "proto/common/grpc_status.h"
#include "tests/fault/keeper.h"
#include "tests/fault/observer.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/fleet.h"

namespace g2ll::fault {
namespace {

using sim::CoordinatorProcess;

constexpr int kKilled = 128 + 9;

class RestoreCrashTest : public ::testing::Test {
 protected:
  // Makes a store with the jobs `a` and `b`, and a backup of the time when only `a` was
  // there.
  void SetUp() override {
    auto coordinator = CoordinatorProcess::Start({.directory = old_});
    ASSERT_TRUE(coordinator.ok()) << coordinator.status();
    const sim::JobClient client((*coordinator)->address());
    ASSERT_TRUE(client.Create(sim::PretrainRequest("a")).ok());
    TakeBackup((*coordinator)->address());
    ASSERT_TRUE(client.Create(sim::PretrainRequest("b")).ok());
    ASSERT_EQ((*coordinator)->Stop(absl::Seconds(30)).value_or(-1), 0);
  }

  void TakeBackup(const std::string& address) {
    const auto stub =
        v1::AdminService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    grpc::ClientContext call;
    const auto reader = stub->StreamBackup(&call, {});
    std::ofstream file(backup_, std::ios::binary);
    v1::FileChunk chunk;
    while (reader->Read(&chunk)) {
      file << chunk.data();
    }
    const absl::Status status = net::FromGrpcStatus(reader->Finish());
    ASSERT_TRUE(status.ok()) << status;
  }

  // Runs `g2ll-coordinator restore` and returns its exit code.
  int Restore(const std::string& directory, const std::string& failpoints) {
    const std::string data = directory + "/data";
    const std::string log = directory + "/restore.log";
    const pid_t pid = fork();
    if (pid == 0) {
      setenv("G2LL_FAILPOINTS", failpoints.c_str(), 1);
      const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      dup2(file, STDOUT_FILENO);
      dup2(file, STDERR_FILENO);
      execl(G2LL_COORDINATOR_PROGRAM, "g2ll-coordinator", "restore", "--from", backup_.c_str(),
            "--data-dir", data.c_str(), nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  // Jobs that a coordinator finds; `none` if it does not start.
  std::string JobsIn(const std::string& directory) {
    auto coordinator = CoordinatorProcess::Start({.directory = directory});
    EXPECT_TRUE(coordinator.ok()) << coordinator.status();
    if (!coordinator.ok()) {
      return "none";
    }
    const auto jobs = sim::JobClient((*coordinator)->address()).ListAll();
    std::set<std::string> names;
    for (const v1::Job& job : jobs.value_or(std::vector<v1::Job>())) {
      names.insert(job.name().substr(job.name().rfind('/') + 1));
    }
    std::string text;
    for (const std::string& name : names) {
      text += name;
    }
    EXPECT_EQ((*coordinator)->Stop(absl::Seconds(30)).value_or(-1), 0);
    return text;
  }

  const testing::TemporaryDirectory directory_;
  const std::string old_ = directory_.path() + "/old";
  const std::string backup_ = directory_.path() + "/backup.db";
};

TEST_F(RestoreCrashTest, ACrashAtAnyPointLeavesTheOldStoreOrTheBackup) {
  int runs = 0;
  int neither = 0;
  for (const std::string_view name : failpoint::kNames) {
    if (!name.starts_with("store.restore.")) {
      continue;
    }
    const std::string copy = absl::StrCat(directory_.path(), "/run", ++runs);
    std::filesystem::copy(old_, copy, std::filesystem::copy_options::recursive);

    EXPECT_EQ(Restore(copy, std::string(name) + "=crash"), kKilled) << name << " was not hit";
    const std::string after = JobsIn(copy);
    EXPECT_TRUE(after == "a" || after == "ab") << after << " after a crash at " << name;
    neither += after == "a" || after == "ab" ? 0 : 1;

    EXPECT_EQ(Restore(copy, ""), 0) << name;
    EXPECT_EQ(JobsIn(copy), "a") << name;
  }
  EXPECT_GT(runs, 0);
  std::cout << "crashes while restoring " << runs << ", neither store " << neither << std::endl;
}

// A job reports more points than a job may have, so that the oldest go while it runs.
class RetentionCrashTest : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr int64_t kPoints = 1000;

  // Rows of points that the file has.
  int64_t RowsStored(const std::string& data_dir) {
    sqlite3* database = nullptr;
    int64_t rows = -1;
    if (sqlite3_open_v2((data_dir + "/g2ll.db").c_str(), &database, SQLITE_OPEN_READONLY,
                        nullptr) == SQLITE_OK) {
      sqlite3_busy_timeout(database, 5000);
      sqlite3_exec(
          database, "SELECT count(*) FROM metrics",
          [](void* target, int, char** values, char**) {
            *static_cast<int64_t*>(target) = std::atoll(values[0]);
            return 0;
          },
          &rows, nullptr);
    }
    sqlite3_close(database);
    return rows;
  }
};

TEST_P(RetentionCrashTest, WhatIsKeptHasNoGapAndWhatIsNotGoes) {
  const testing::TemporaryDirectory directory;
  Keeper keeper({.process = {.directory = directory.path(),
                             .settings = {{"retention", "{ pointsPerJob: 100 }"}}},
                 .failpoints = {GetParam() + "=crash"}});
  const sim::JobClient client(keeper.address());
  sim::Fleet fleet(
      {.address = keeper.address(),
       .storage_root = keeper.storage_root(),
       .script = [](const v1::DesiredAttempt&) { return sim::AttemptScript{.steps = kPoints}; }});
  fleet.AddMany(1, "w", 1);
  const std::string name = sim::FullName("job");
  ASSERT_TRUE(CreateSurely(client, sim::PretrainRequest("job")).ok());
  ASSERT_TRUE(client.WaitForEnd(name).ok());

  std::vector<v1::MetricPoint> points;
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  int64_t rows = -1;
  while (absl::Now() < deadline &&
         (points.size() > 100 || rows != static_cast<int64_t>(points.size()))) {
    auto read = Persist<absl::StatusOr<std::vector<v1::MetricPoint>>>(
        [&] { return client.ReadMetrics(name); });
    ASSERT_TRUE(read.ok()) << read.status();
    points = *std::move(read);
    rows = RowsStored(keeper.data_dir());
    absl::SleepFor(absl::Milliseconds(20));
  }

  EXPECT_EQ(keeper.restarts(), 1) << GetParam() << " was not hit";
  EXPECT_LE(points.size(), 100U);
  EXPECT_EQ(rows, static_cast<int64_t>(points.size()));
  ASSERT_FALSE(points.empty());
  EXPECT_EQ(points.back().seq(), kPoints);
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].seq(), points.front().seq() + static_cast<int64_t>(i));
  }
  std::cout << "crash at " << GetParam() << ": points kept " << points.size() << " of " << kPoints
            << ", rows left over " << rows - static_cast<int64_t>(points.size()) << std::endl;
}

INSTANTIATE_TEST_SUITE_P(All, RetentionCrashTest,
                         ::testing::Values("core.retention.cut", "store.purge.before",
                                           "store.purge.after"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '.');
                           return name;
                         });

}  // namespace
}  // namespace g2ll::fault
