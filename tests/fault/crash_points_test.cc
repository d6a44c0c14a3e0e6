// The coordinator is killed at every named point, started again, and the work finished.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/failpoint_names.h"
#include "tests/fault/chain_script.h"
#include "tests/fault/counts.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::fault {
namespace {

// One crash, and what it came to.
struct Crash {
  std::string point;
  int64_t hit = 1;
  // Armed at the start after the crash; empty: nothing.
  std::string second = {};
  ScriptRun run = {};

  std::string Name() const {
    return absl::StrCat(point, ":", hit, second.empty() ? "" : " then " + second);
  }
};

// Hits of each point in a run without a crash, by the trace that the run wrote.
std::map<std::string, int64_t> ReadTrace(const std::string& path) {
  std::map<std::string, int64_t> hits;
  std::ifstream file(path);
  std::string name;
  int64_t hit = 0;
  while (file >> name >> hit) {
    hits[name] = std::max(hits[name], hit);
  }
  return hits;
}

// Runs all crashes, two at a time, and compares each with the undisturbed run.
void RunAll(const Outcome& undisturbed, std::vector<Crash>* crashes) {
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < crashes->size(); i = next++) {
      Crash& crash = (*crashes)[i];
      const testing::TemporaryDirectory directory;
      crash.run = RunChainScript(
          directory.path(), {absl::StrCat(crash.point, ":", crash.hit, "=crash"), crash.second});
      Compare(undisturbed, crash.run.outcome, &crash.run.faults);
    }
  };
  std::jthread other(work);
  work();
}

class CrashPointsTest : public ::testing::Test {
 protected:
  // Runs the script without a crash.
  void SetUp() override {
    const testing::TemporaryDirectory directory;
    const std::string trace = directory.path() + "/trace";
    const ScriptRun run = RunChainScript(directory.path() + "/run", {"*=trace=" + trace});
    ASSERT_EQ(absl::StrJoin(run.faults, "\n"), "");
    ASSERT_EQ(run.restarts, 0);
    undisturbed_ = run.outcome;
    hits_ = ReadTrace(trace);
  }

  // Runs all and prints the figures.
  void RunAndReport(const std::string& what, std::vector<Crash> crashes) {
    RunAll(undisturbed_, &crashes);
    int crashed = 0;
    int lost = 0;
    int duplicated = 0;
    int bad = 0;
    for (const Crash& crash : crashes) {
      crashed += crash.run.restarts > 0 ? 1 : 0;
      bad += crash.run.faults.empty() ? 0 : 1;
      lost += CountFaults(crash.run.faults, "is lost");
      duplicated += CountFaults(crash.run.faults, "twice");
      EXPECT_EQ(absl::StrJoin(crash.run.faults, "\n"), "") << "after a crash at " << crash.Name();
    }
    std::cout << what << ", runs " << crashes.size() << ", crashed " << crashed << ", lost " << lost
              << ", duplicated " << duplicated << ", otherwise wrong " << bad << std::endl;
  }

  Outcome undisturbed_;
  std::map<std::string, int64_t> hits_;
};

TEST_F(CrashPointsTest, EveryPointIsHitByTheScript) {
  // These have tests of their own (store_crash_test.cc), with another program or settings.
  const auto is_elsewhere = [](std::string_view name) {
    return name.starts_with("store.restore.") || name == "core.retention.cut";
  };
  std::vector<std::string> missed;
  for (const std::string_view name : failpoint::kNames) {
    if (!is_elsewhere(name) && !hits_.contains(std::string(name))) {
      missed.emplace_back(name);
    }
  }
  EXPECT_EQ(absl::StrJoin(missed, " "), "");
}

TEST_F(CrashPointsTest, ACrashAtAnyPointLosesNothing) {
  std::vector<Crash> crashes;
  for (const auto& [name, count] : hits_) {
    crashes.push_back({.point = name});
  }
  RunAndReport(absl::StrCat("crash points ", hits_.size()), std::move(crashes));
}

// Hits of a point that is hit very often are taken evenly from all of them.
TEST_F(CrashPointsTest, NightlyACrashAtAnyHitLosesNothing) {
  if (!IsNightly()) {
    GTEST_SKIP() << "runs under the label nightly";
  }
  constexpr int64_t kMostHits = 20;
  std::vector<Crash> crashes;
  for (const auto& [name, count] : hits_) {
    const int64_t runs = std::min(count, kMostHits);
    for (int64_t i = 0; i < runs; ++i) {
      crashes.push_back({.point = name, .hit = 1 + i * count / runs});
    }
  }
  RunAndReport(absl::StrCat("crash points ", hits_.size(), " with their hits"), std::move(crashes));
}

// The second crash strikes while the coordinator recovers from the first.
TEST_F(CrashPointsTest, ACrashDuringTheRecoveryFromACrashLosesNothing) {
  const uint64_t seed = Seed();
  std::mt19937_64 random(seed);
  std::vector<std::string> names;
  for (const auto& [name, count] : hits_) {
    names.push_back(name);
  }
  const auto any = [&] { return names[random() % names.size()]; };
  std::vector<Crash> crashes;
  for (int i = 0; i < Count(20, 400); ++i) {
    Crash crash{.point = any()};
    crash.hit = 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(hits_[crash.point]));
    crash.second = absl::StrCat(any(), ":", 1 + random() % 3, "=crash");
    crashes.push_back(std::move(crash));
  }
  RunAndReport(absl::StrCat("double crashes (G2LL_SEED=", seed, ")"), std::move(crashes));
}

}  // namespace
}  // namespace g2ll::fault
