// Disks that are full and disks that fail: what is acknowledged is stored, and what is not
// stored is said to be not stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/grpc_status.h"
#include "tests/fault/chain_script.h"
#include "tests/fault/counts.h"
#include "tests/fault/keeper.h"
#include "tests/fault/observer.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/fleet.h"

namespace g2ll::fault {
namespace {

using ::testing::HasSubstr;

// The data directory lies on a file system of its own of two megabytes.
class FullDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(data_dir_);
    // In a namespace of this thread and its children, so that the mount goes with them.
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", data_dir_.c_str(), "tmpfs", 0, "size=2m") != 0) {
      GTEST_SKIP() << "no small file system can be mounted here (" << std::strerror(errno)
                   << "); root can";
    }
    mounted_ = true;
    keeper_ = std::make_unique<Keeper>(Keeper::Options{.process = {.directory = folder_}});
    client_ = std::make_unique<sim::JobClient>(keeper_->address());
  }
  void TearDown() override {
    keeper_.reset();
    if (mounted_) {
      umount2(data_dir_.c_str(), MNT_DETACH);
    }
  }

  // Leaves `bytes` of room.
  void FillUpTo(uintmax_t bytes) {
    const uintmax_t available = std::filesystem::space(data_dir_).available;
    ASSERT_GT(available, bytes);
    std::ofstream(ballast_) << std::string(available - bytes, 'x');
  }
  void MakeRoom() { std::filesystem::remove(ballast_); }

  const testing::TemporaryDirectory directory_;
  const std::string folder_ = directory_.path() + "/cluster";
  const std::string data_dir_ = folder_ + "/data";
  const std::string ballast_ = data_dir_ + "/ballast";
  bool mounted_ = false;
  std::unique_ptr<Keeper> keeper_;
  std::unique_ptr<sim::JobClient> client_;
};

TEST_F(FullDiskTest, WhatIsAcknowledgedIsStoredAndWorkGoesOnWhenThereIsRoom) {
  FillUpTo(300'000);
  std::map<std::string, std::string> acknowledged;
  absl::Status refused;
  int number = 0;
  for (; refused.ok() && number < 1000; ++number) {
    const std::string name = absl::StrCat("job", number);
    const auto created = client_->Create(sim::PretrainRequest(name));
    refused = created.status();
    if (created.ok()) {
      acknowledged[name] = created->uid();
    }
  }
  EXPECT_EQ(net::ReasonOf(refused), "STORE_FAILED") << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("disk is full"));
  EXPECT_EQ(client_->ListAll()->size(), acknowledged.size());

  MakeRoom();
  const auto again = CreateSurely(*client_, sim::PretrainRequest("again"));
  ASSERT_TRUE(again.ok()) << again.status();
  acknowledged["again"] = again->uid();
  keeper_->Kill();

  const auto jobs =
      Persist<absl::StatusOr<std::vector<v1::Job>>>([&] { return client_->ListAll(); });
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_EQ(jobs->size(), acknowledged.size());
  int lost = 0;
  for (const auto& [name, uid] : acknowledged) {
    const auto job = client_->Get(sim::FullName(name));
    lost += job.ok() && job->uid() == uid ? 0 : 1;
  }
  EXPECT_EQ(lost, 0);
  std::cout << "disk full: acknowledged " << acknowledged.size() << ", lost " << lost
            << ", stored without an answer " << jobs->size() - acknowledged.size() << std::endl;
}

TEST_F(FullDiskTest, PointsThatFoundNoRoomAreStoredLater) {
  sim::Fleet fleet({.address = keeper_->address(),
                    .storage_root = keeper_->storage_root(),
                    .script = [](const v1::DesiredAttempt&) {
                      return sim::AttemptScript{.steps = 4000, .points_per_step = 1};
                    }});
  fleet.AddMany(1, "w", 1);
  FillUpTo(200'000);
  ASSERT_TRUE(CreateSurely(*client_, sim::PretrainRequest("job")).ok());
  // More points are made than there is room for.
  keeper_->With([&](sim::CoordinatorProcess& process) {
    double failures = 0;
    while (!(failures > 0)) {
      const auto text = process.HttpGet("/metrics");
      failures = text.ok() ? sim::MetricValue(*text, "g2ll_store_commit_failures_total") : 0;
    }
  });

  MakeRoom();

  const auto job = client_->WaitForEnd(sim::FullName("job"));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::Job::SUCCEEDED) << job->state_reason().message();
  const auto points = client_->ReadMetrics(sim::FullName("job"));
  ASSERT_TRUE(points.ok()) << points.status();
  EXPECT_EQ(points->size(), 4000U);
  EXPECT_EQ(sim::CountGaps(*points), 0);
}

// The first and the last hit of a point while the coordinator served, in a trace.
std::pair<int64_t, int64_t> HitsWhileServing(const std::string& trace, const std::string& point) {
  std::pair<int64_t, int64_t> hits;
  bool serves = false;
  std::ifstream file(trace);
  std::string name;
  int64_t hit = 0;
  while (file >> name >> hit) {
    if (name == "server.ready.after" || name == "server.stop.asked") {
      serves = name == "server.ready.after";
    } else if (serves && name == point) {
      hits.first = hits.first == 0 ? hit : hits.first;
      hits.second = hit;
    }
  }
  return hits;
}

// A fault of the disk below SQLite, by a fail point.
struct DiskFault {
  friend void PrintTo(const DiskFault& fault, std::ostream* out) { *out << fault.name; }

  std::string name;
  std::string point;
  std::string action;
  // Whether the process may end rather than go on with a file that it cannot trust.
  bool ends = false;
  // Whether some of the hits must end it: a torn write can be taken back like a refused one.
  bool must_end = true;
};

class FailingDiskTest : public ::testing::TestWithParam<DiskFault> {};

TEST_P(FailingDiskTest, TheWorkEndsAsWithoutTheFault) {
  const DiskFault& fault = GetParam();
  const testing::TemporaryDirectory directory;
  const std::string trace = directory.path() + "/trace";
  const ScriptRun undisturbed =
      RunChainScript(directory.path() + "/undisturbed", {"*=trace=" + trace});
  ASSERT_EQ(absl::StrJoin(undisturbed.faults, "\n"), "");
  int ended = 0;
  int lost = 0;
  const int runs = Count(8, 100);
  const auto [first, last] = HitsWhileServing(trace, fault.point);
  ASSERT_GT(last, first);
  for (int i = 0; i < runs; ++i) {
    const int64_t hit = first + (last - first) * i / runs;
    ScriptRun run = RunChainScript(absl::StrCat(directory.path(), "/", i),
                                   {absl::StrCat(fault.point, ":", hit, "=", fault.action)});
    Compare(undisturbed.outcome, run.outcome, &run.faults);
    if (run.restarts == 0) {
      // A fault while the store is closed leaves its log to the next start, as it must.
      std::erase_if(run.faults, [](const std::string& what) {
        return what.ends_with("g2ll.db-wal") || what.ends_with("g2ll.db-shm");
      });
    }
    EXPECT_EQ(absl::StrJoin(run.faults, "\n"), "") << "at hit " << hit;
    EXPECT_TRUE(fault.ends || run.restarts == 0) << "at hit " << hit;
    ended += run.restarts > 0 ? 1 : 0;
    lost += CountFaults(run.faults, "is lost");
  }
  EXPECT_TRUE(!fault.ends || !fault.must_end || ended > 0);
  std::cout << fault.name << ": runs " << runs << ", ended and started again " << ended << ", lost "
            << lost << std::endl;
}

INSTANTIATE_TEST_SUITE_P(
    All, FailingDiskTest,
    ::testing::Values(DiskFault{"fsync fails", "store.vfs.sync.before", "error=INTERNAL", true},
                      DiskFault{"write fails", "store.vfs.write.before", "error=INTERNAL", true},
                      DiskFault{"disk full for one write", "store.vfs.write.before",
                                "error=RESOURCE_EXHAUSTED", false},
                      DiskFault{"torn write", "store.vfs.write.during", "partial=100", true,
                                false}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::erase_if(name, [](char c) { return c == ' '; });
      return name;
    });

}  // namespace
}  // namespace g2ll::fault
