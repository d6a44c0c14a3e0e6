// Somebody sets the host's clock while an agent runs: nothing may notice. A program of
// its own, because its clock_gettime stands before the C library's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "tests/agent/fake_coordinator.h"
#include "worker/agent/agent.h"
#include "worker/agent/coordinator_channel.h"

namespace {

std::atomic<int64_t> wall_clock_ahead_by = 0;  // seconds

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += wall_clock_ahead_by;
  return result;
}

namespace g2ll::agent {
namespace {

class WallClockTest : public testing::TestWithParam<absl::Duration> {
 protected:
  WallClockTest() {
    char folder[] = "/tmp/g2ll_wall_clock_test_XXXXXX";
    root_ = ::mkdtemp(folder);
    std::ofstream(root_ + "/.g2ll-storage-token") << "token\n";
    settings_.coordinator = coordinator_.address();
    settings_.name = "w0";
    settings_.slots = 1;
    settings_.cpus = 1;
    settings_.device = "cpu";
    settings_.work_dir = settings_.storage_root = root_;
    settings_.trainer = G2LL_FAKE_TRAINER;
    settings_.advertise_host = "127.0.0.1";
    settings_.min_free_bytes = 0;
    settings_.stop_grace = settings_.term_grace = absl::Milliseconds(100);
    settings_.orphan_timeout = absl::Minutes(30);
    stub_ = ConnectCoordinator(coordinator_.address());
    agent_ = std::make_unique<Agent>(settings_, Agent::Identity{"1.2.3", 1, "127.0.0.1:1"}, *stub_,
                                     Agent::Hooks{});
  }
  ~WallClockTest() override {
    wall_clock_ahead_by = 0;
    agent_.reset();
    std::filesystem::remove_all(root_);
  }

  void Want(v1::AttemptPhase phase, const std::string& store_address) {
    coordinator_.Want([&](v1::DesiredState& desired) {
      desired.clear_attempts();
      v1::DesiredAttempt& attempt = *desired.add_attempts();
      attempt.set_job_uid("uid");
      attempt.set_job("projects/default/jobs/stubborn");
      attempt.set_epoch(1);
      attempt.set_number(1);
      attempt.set_phase(phase);
      attempt.set_world_size(1);
      attempt.add_ranks(0);
      attempt.set_serves_store(true);
      attempt.set_store_address(store_address);
      attempt.mutable_spec()->mutable_pretrain()->mutable_data()->set_source("synthetic:x");
    });
  }

  v1::AttemptStatus Reach(v1::AttemptPhase phase) {
    const v1::SessionRequest state =
        coordinator_.WaitForState([phase](const v1::SessionRequest& seen) {
          return seen.attempts_size() == 1 && seen.attempts(0).phase() == phase;
        });
    EXPECT_EQ(state.attempts_size(), 1) << "never reached " << v1::AttemptPhase_Name(phase);
    return state.attempts_size() == 1 ? state.attempts(0) : v1::AttemptStatus();
  }

  // Waits for some heartbeats; how many were sent before.
  v1::SessionRequest Beats(int count) {
    const int64_t before =
        coordinator_.WaitForState([](const v1::SessionRequest&) { return true; }).sequence();
    return coordinator_.WaitForState([before, count](const v1::SessionRequest& seen) {
      return seen.sequence() >= before + count;
    });
  }

  FakeCoordinator coordinator_;
  std::string root_;
  AgentSettings settings_;
  std::unique_ptr<v1::WorkerService::StubInterface> stub_;
  std::unique_ptr<Agent> agent_;
};

TEST_P(WallClockTest, SettingItLeavesHeartbeatsLeaseAndAttemptsAsTheyAre) {
  const absl::Time before = absl::Now();
  Want(v1::ATTEMPT_PHASE_PREPARE, "");
  Want(v1::ATTEMPT_PHASE_RUN, Reach(v1::ATTEMPT_PHASE_PREPARED).store_address());
  const int pid = Reach(v1::ATTEMPT_PHASE_TRAINING).ranks(0).pid();

  wall_clock_ahead_by = absl::ToInt64Seconds(GetParam());

  ASSERT_GT(absl::AbsDuration(absl::Now() - before), absl::Minutes(50));
  const v1::SessionRequest state = Beats(10);
  ASSERT_EQ(state.attempts_size(), 1);
  EXPECT_EQ(state.attempts(0).phase(), v1::ATTEMPT_PHASE_TRAINING);
  EXPECT_EQ(state.attempts(0).ranks(0).pid(), pid);
  const auto age = agent_->snapshot().lease_age;
  ASSERT_TRUE(age.has_value());
  EXPECT_GE(*age, absl::ZeroDuration());
  EXPECT_LT(*age, absl::Seconds(15));
  // Its graces pass as ever.
  Want(v1::ATTEMPT_PHASE_STOP, "");
  EXPECT_EQ(Reach(v1::ATTEMPT_PHASE_ENDED).ranks(0).signal(), SIGKILL);
}

INSTANTIATE_TEST_SUITE_P(Jumps, WallClockTest,
                         testing::Values(absl::Hours(1), -absl::Hours(1), absl::Hours(24 * 3652),
                                         -absl::Hours(24 * 3652)));

}  // namespace
}  // namespace g2ll::agent
