// Control messages that come twice, late and in another order, and connections that are
// slow, stall and break: the work ends as over a good network.
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/fault/counts.h"
#include "tests/fault/observer.h"
#include "tests/fault/relay.h"
#include "tests/fault/session_shuffler.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/coordinator_process.h"
#include "tests/sim/fleet.h"
#include "tests/sim/job_client.h"

namespace g2ll::fault {
namespace {

constexpr int64_t kSteps = 20;

class NetworkTest : public ::testing::Test {
 protected:
  NetworkTest() : seed_(Seed()) {}

  void SetUp() override {
    auto started = sim::CoordinatorProcess::Start({.directory = directory_.path()});
    ASSERT_TRUE(started.ok()) << started.status();
    coordinator_ = *std::move(started);
  }

  // Two workers that reach the coordinator at `address`.
  void StartFleet(const std::string& address) {
    fleet_ = std::make_unique<sim::Fleet>(
        sim::Fleet::Options{.address = address,
                            .storage_root = coordinator_->storage_root(),
                            .script = [](const v1::DesiredAttempt&) {
                              return sim::AttemptScript{.steps = kSteps,
                                                        .step_time = absl::Milliseconds(1),
                                                        .points_per_step = 2,
                                                        .lines_per_step = 1,
                                                        .checkpoint_every = 10};
                            }});
    fleet_->AddMany(2, "w", 1);
    ASSERT_TRUE(
        fleet_->WaitFor([](const sim::FleetCounts& counts) { return counts.connected == 2; }));
  }

  // Runs a pre-training on both workers and a fine-tuning of it, `runs` times, over
  // `client`. Compares each with what it is over a good network.
  void RunChains(const sim::JobClient& client, int runs) {
    for (int i = 0; i < runs; ++i) {
      const std::string parent = absl::StrCat("a", i);
      const std::string child = absl::StrCat("b", i);
      ASSERT_TRUE(CreateSurely(client, sim::PretrainRequest(parent, 2)).ok());
      ASSERT_TRUE(CreateSurely(client, sim::FinetuneRequest(child, parent)).ok());
      const auto ended = client.WaitForEnd(sim::FullName(child), absl::Minutes(2));
      ASSERT_TRUE(ended.ok()) << ended.status() << " in run " << i;
    }
    // Over the good network, so that only the runs are judged.
    const sim::JobClient direct(coordinator_->address());
    std::vector<std::string> faults;
    const Outcome seen = Observe(direct, coordinator_->storage_root(), &faults);
    Compare(Expected(runs), seen, &faults);
    EXPECT_EQ(absl::StrJoin(faults, "\n"), "") << "G2LL_SEED=" << seed_;
  }

  static Outcome Expected(int runs) {
    Outcome expected;
    for (int i = 0; i < runs; ++i) {
      for (const std::string name : {absl::StrCat("a", i), absl::StrCat("b", i)}) {
        expected.jobs[name] = absl::StrCat("SUCCEEDED, attempts 1, step ", kSteps,
                                           ", labels 0, checkpoints ", kSteps, " 10");
        for (int64_t step = 1; step <= kSteps; ++step) {
          for (int32_t point = 0; point < 2; ++point) {
            expected.points[name].push_back(absl::StrCat("1 ", step, " ", sim::PointName(point),
                                                         " ", sim::PointValue(point, step)));
          }
          expected.lines[name].push_back(absl::StrCat("line 0 of step ", step));
        }
      }
    }
    return expected;
  }

  const uint64_t seed_;
  const testing::TemporaryDirectory directory_;
  std::unique_ptr<sim::CoordinatorProcess> coordinator_;
  std::unique_ptr<sim::Fleet> fleet_;
};

TEST_F(NetworkTest, RepeatedLateAndReorderedControlMessagesChangeNothing) {
  const SessionShuffler shuffler(
      coordinator_->address(),
      {.seed = seed_, .repeat = 0.5, .most_delay = absl::Milliseconds(20)});
  StartFleet(shuffler.address());
  const int runs = Count(25, 500);

  RunChains(sim::JobClient(coordinator_->address()), runs);

  const ShuffleCounts& counts = shuffler.counts();
  EXPECT_GT(counts.repeated.load(), 0);
  EXPECT_GT(counts.overtaken.load(), 0);
  std::cout << "control messages: runs " << runs << " (G2LL_SEED=" << seed_ << "), messages "
            << counts.messages << ", repeated " << counts.repeated << ", overtaken "
            << counts.overtaken << ", runs with another end " << (HasFailure() ? "some" : "0")
            << std::endl;
  fleet_.reset();
}

// Spoils the path at random until told to stop.
void Spoil(const std::stop_token& stop, Relay* relay, uint64_t seed, int* cuts) {
  std::mt19937_64 random(seed);
  while (!stop.stop_requested()) {
    switch (random() % 4) {
      case 0:
        relay->SetMode(Relay::Mode::kDelay, absl::Milliseconds(random() % 10));
        break;
      case 1:
        relay->SetMode(Relay::Mode::kStall);
        break;
      case 2:
        relay->HalfCloseAll();
        ++*cuts;
        break;
      default:
        relay->CutAll();
        ++*cuts;
    }
    absl::SleepFor(absl::Milliseconds(random() % 100));
    relay->SetMode(Relay::Mode::kPass);
    // Long enough for work to go on in between.
    absl::SleepFor(absl::Milliseconds(50 + random() % 100));
  }
}

TEST_F(NetworkTest, ConnectionsThatAreSlowStallAndBreakChangeNothing) {
  Relay relay(coordinator_->address());
  StartFleet(relay.address());
  const int runs = Count(25, 500);
  int cuts = 0;
  {
    const std::jthread spoiler(
        [&](const std::stop_token& stop) { Spoil(stop, &relay, seed_, &cuts); });
    RunChains(sim::JobClient(relay.address()), runs);
  }

  EXPECT_GT(cuts, 0);
  std::cout << "relay: runs " << runs << " (G2LL_SEED=" << seed_ << "), connections "
            << relay.connections() << ", broken " << cuts << " times, bytes " << relay.bytes()
            << ", runs with another end " << (HasFailure() ? "some" : "0") << std::endl;
  fleet_.reset();
}

}  // namespace
}  // namespace g2ll::fault
