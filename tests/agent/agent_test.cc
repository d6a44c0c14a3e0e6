#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "proto/common/grpc_status.h"
#include "tests/agent/fake_coordinator.h"
#include "worker/agent/coordinator_channel.h"
#include "worker/agent/proto_time.h"
#include "worker/run/frame_channel.h"

namespace g2ll::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The whole agent between a fake coordinator and fake trainers.
class AgentTest : public testing::Test {
 protected:
  AgentTest() {
    char folder[] = "/tmp/g2ll_agent_test_XXXXXX";
    root_ = ::mkdtemp(folder);
    std::ofstream(root_ + "/.g2ll-storage-token") << "token\n";
    settings_.coordinator = coordinator_.address();
    settings_.name = "w0";
    settings_.slots = 2;
    settings_.device = "cpu";
    settings_.cpus = 4;
    settings_.work_dir = root_;
    settings_.storage_root = root_;
    settings_.trainer = G2LL_FAKE_TRAINER;
    settings_.advertise_host = "127.0.0.1";
    settings_.min_free_bytes = 0;
    settings_.stop_grace = absl::Seconds(20);
    settings_.term_grace = absl::Milliseconds(50);
  }

  ~AgentTest() override {
    agent_.reset();
    std::filesystem::remove_all(root_);
  }

  void StartAgent() {
    stub_ = ConnectCoordinator(coordinator_.address());
    Agent::Hooks hooks;
    hooks.on_registered = [this] { registered_ = true; };
    agent_ = std::make_unique<Agent>(settings_, Agent::Identity{"1.2.3", 1, "127.0.0.1:1"}, *stub_,
                                     hooks);
  }

  // Wants one attempt of a job whose trainers do what `mode` says.
  void Prepare(const std::string& mode, int world_size = 1,
               const std::string& source = "synthetic:dermoscopy") {
    coordinator_.Want([&](v1::DesiredState& desired) {
      v1::DesiredAttempt& attempt = *desired.add_attempts();
      attempt.set_job_uid("uid");
      attempt.set_job("projects/default/jobs/" + mode);
      attempt.set_epoch(1);
      attempt.set_number(1);
      attempt.set_phase(v1::ATTEMPT_PHASE_PREPARE);
      attempt.set_world_size(world_size);
      for (int rank = 0; rank < world_size; ++rank) attempt.add_ranks(rank);
      attempt.set_serves_store(true);
      attempt.mutable_spec()->mutable_pretrain()->mutable_data()->set_source(source);
      attempt.mutable_spec()->mutable_pretrain()->mutable_data()->set_split("train");
    });
  }

  void SetPhase(v1::AttemptPhase phase, const std::string& store_address = "") {
    coordinator_.Want([&](v1::DesiredState& desired) {
      desired.mutable_attempts(0)->set_phase(phase);
      desired.mutable_attempts(0)->set_store_address(store_address);
    });
  }

  void Drain(absl::Duration time_left) {
    coordinator_.Want([&](v1::DesiredState& desired) {
      desired.mutable_attempts(0)->set_phase(v1::ATTEMPT_PHASE_DRAIN);
      *desired.mutable_attempts(0)->mutable_drain_time() = ToProto(time_left);
    });
  }

  // The attempt once it is in the phase.
  v1::AttemptStatus WaitForPhase(v1::AttemptPhase phase) {
    const v1::SessionRequest state =
        coordinator_.WaitForState([phase](const v1::SessionRequest& seen) {
          return seen.attempts_size() == 1 && seen.attempts(0).phase() == phase;
        });
    EXPECT_EQ(state.attempts_size(), 1) << "never reached " << v1::AttemptPhase_Name(phase);
    return state.attempts_size() == 1 ? state.attempts(0) : v1::AttemptStatus();
  }

  // Prepares and starts the job; returns what it was prepared as.
  v1::AttemptStatus Run(const std::string& mode, int world_size = 1) {
    StartAgent();
    Prepare(mode, world_size);
    const v1::AttemptStatus prepared = WaitForPhase(v1::ATTEMPT_PHASE_PREPARED);
    SetPhase(v1::ATTEMPT_PHASE_RUN, prepared.store_address());
    return prepared;
  }

  std::vector<std::string> LogOf(int rank) {
    std::vector<std::string> lines;
    for (const auto& item : coordinator_.Telemetry({"uid", 1, rank})) {
      if (item.has_log()) lines.push_back(item.log().message());
    }
    return lines;
  }

  FakeCoordinator coordinator_;
  std::string root_;
  AgentSettings settings_;
  std::atomic<bool> registered_ = false;
  std::unique_ptr<v1::WorkerService::StubInterface> stub_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentTest, ReportsWhoItIsAndWhatItHas) {
  StartAgent();

  const v1::SessionRequest state = coordinator_.WaitForState(
      [](const v1::SessionRequest& seen) { return !seen.worker().empty(); });

  EXPECT_EQ(state.worker(), "w0");
  EXPECT_EQ(state.incarnation().size(), 32u);
  EXPECT_EQ(state.inventory().slots(), 2);
  EXPECT_EQ(state.inventory().cpus(), 4);
  EXPECT_EQ(state.inventory().version(), "1.2.3");
  EXPECT_EQ(state.inventory().storage_token(), "token");
  EXPECT_EQ(state.inventory().storage_error(), "");
}

TEST_F(AgentTest, TellsThatTheStorageRootIsNotTheCoordinators) {
  coordinator_.Want([](v1::DesiredState& desired) { desired.set_storage_token("other"); });
  StartAgent();

  const v1::SessionRequest state = coordinator_.WaitForState(
      [](const v1::SessionRequest& seen) { return !seen.inventory().storage_error().empty(); });

  EXPECT_THAT(state.inventory().storage_error(), HasSubstr(root_));
  EXPECT_TRUE(registered_);
}

TEST_F(AgentTest, RunsAnAttemptFromPrepareToItsEnd) {
  const v1::AttemptStatus prepared = Run("train", 2);
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(prepared.store_address(), "127.0.0.1:12345");
  EXPECT_GT(prepared.store_pid(), 0);
  EXPECT_EQ(prepared.data_digest(), "abc");
  ASSERT_EQ(ended.ranks_size(), 2);
  for (const auto& rank : ended.ranks()) {
    EXPECT_TRUE(rank.joined() && rank.exited());
    EXPECT_EQ(rank.exit_code(), 0);
  }
  EXPECT_FALSE(ended.has_failure());
  EXPECT_EQ(ended.report_path(), "reports/uid/e1");
  EXPECT_EQ(ended.progress().step(), 5);
  EXPECT_THAT(LogOf(0),
              ElementsAre("step 1", "step 2", "step 3", "step 4", "step 5", "committed: yes"));
}

// Five metrics and five lines came before the checkpoint.
TEST_F(AgentTest, CommitsACheckpointAfterAllThatCameBeforeItIsStored) {
  coordinator_.AnswerCommits({grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy")});
  Run("train");
  WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_THAT(coordinator_.stored_at_commit(), ElementsAre(10u, 10u));
}

// A coordinator that was started again has not heard of this worker yet.
TEST_F(AgentTest, CommitIsTriedAgainAfterItsTermWasStale) {
  coordinator_.Want([](v1::DesiredState& desired) { desired.set_coordinator_term(5); });
  coordinator_.AnswerCommits(
      {net::ToGrpcStatus(net::WithReason(absl::AbortedError("old term"), "STALE_TERM"))});
  Run("train");
  WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_THAT(coordinator_.terms_at_commit(), ElementsAre(5, 5));
  EXPECT_EQ(LogOf(0).back(), "committed: yes");
}

TEST_F(AgentTest, FencedCheckpointEndsTheTrainerWithoutAFailure) {
  coordinator_.AnswerCommits({grpc::Status(grpc::StatusCode::ABORTED, "a newer attempt exists")});
  Run("train");
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.ranks(0).exit_code(), 76);
  EXPECT_FALSE(ended.has_failure());
}

TEST_F(AgentTest, RefusedCheckpointLetsTheTrainerGoOn) {
  coordinator_.AnswerCommits({grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "too old")});
  Run("train");
  WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(LogOf(0).back(), "committed: no");
}

TEST_F(AgentTest, BadDataIsAFailureBeforeAnyTrainerStarts) {
  StartAgent();
  Prepare("train", 1, "synthetic:bad");
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.failure().class_(), v1::Failure::DATA);
  EXPECT_EQ(ended.failure().message(), "no images in the folder");
  EXPECT_EQ(ended.ranks_size(), 0);
}

// A check that could not run says nothing about the data.
TEST_F(AgentTest, BrokenDataCheckIsNoFaultOfTheData) {
  StartAgent();
  Prepare("train", 1, "synthetic:broken");
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.failure().class_(), v1::Failure::UNKNOWN);
  EXPECT_THAT(ended.failure().message(), HasSubstr("something broke"));
}

TEST_F(AgentTest, FailedMessageCountsBeforeTheExitCode) {
  Run("fail-data");
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.failure().class_(), v1::Failure::DATA);
  EXPECT_EQ(ended.failure().message(), "image a.jpg: cannot decode");
  EXPECT_EQ(ended.failure().exit_code(), 78);
  EXPECT_EQ(ended.failure().worker(), "w0");
}

TEST_F(AgentTest, CrashKeepsTheLastLinesAsEvidence) {
  Run("crash");
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.failure().class_(), v1::Failure::UNKNOWN);
  EXPECT_THAT(ended.failure().message(), HasSubstr("exit code 1"));
  EXPECT_THAT(ended.failure().message(), HasSubstr("about to crash"));
}

// Rank 0 says that a peer went away, before or after the agent sees rank 1 die.
TEST_F(AgentTest, RankThatWasKilledIsTheCauseAndNotItsEcho) {
  Run("peer-killed", 2);
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.failure().class_(), v1::Failure::KILLED);
  EXPECT_EQ(ended.failure().rank(), 1);
  EXPECT_EQ(ended.failure().signal(), SIGKILL);
}

TEST_F(AgentTest, TrainerThatBreaksTheProtocolIsKilled) {
  Run("garbage");
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.failure().class_(), v1::Failure::UNKNOWN);
  EXPECT_THAT(ended.failure().message(), HasSubstr("above the limit"));
}

TEST_F(AgentTest, StopIsToldToTheTrainers) {
  Run("wait", 2);
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);

  SetPhase(v1::ATTEMPT_PHASE_STOP);
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.ranks(0).exit_code(), 75);
  EXPECT_EQ(ended.ranks(1).exit_code(), 75);
  EXPECT_FALSE(ended.has_failure());
}

// It is told how long it may take; that it ends with code 75 is what was asked for.
TEST_F(AgentTest, DrainAsksForACheckpointAndItsEndIsNoFailure) {
  Run("say-stop", 2);
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);

  Drain(absl::Minutes(2));
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.ranks(0).exit_code(), 75);
  EXPECT_EQ(ended.ranks(1).exit_code(), 75);
  EXPECT_FALSE(ended.has_failure());
  EXPECT_THAT(LogOf(0), ElementsAre("checkpoint: yes, time left: yes"));
}

TEST_F(AgentTest, StopAsksForNoCheckpoint) {
  Run("say-stop");
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);

  SetPhase(v1::ATTEMPT_PHASE_STOP);
  WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_THAT(LogOf(0), ElementsAre("checkpoint: no, time left: no"));
}

// The stop grace is long: after its time a drain goes on with SIGTERM.
TEST_F(AgentTest, DrainThatIsIgnoredEndsWithTheDeadlineAndIsNoFailure) {
  settings_.stop_grace = absl::Hours(1);
  Run("stubborn");
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);

  Drain(absl::Milliseconds(20));
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.ranks(0).signal(), SIGKILL);
  EXPECT_FALSE(ended.has_failure());
}

TEST_F(AgentTest, StopCutsADrainShort) {
  settings_.stop_grace = absl::Hours(1);
  Run("stubborn");
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);
  Drain(absl::Hours(1));
  WaitForPhase(v1::ATTEMPT_PHASE_STOP);

  SetPhase(v1::ATTEMPT_PHASE_STOP);

  EXPECT_EQ(WaitForPhase(v1::ATTEMPT_PHASE_ENDED).ranks(0).signal(), SIGKILL);
}

TEST_F(AgentTest, KillWaitsForNoGrace) {
  settings_.stop_grace = absl::Hours(1);
  settings_.term_grace = absl::Hours(1);
  Run("stubborn", 2);
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);
  SetPhase(v1::ATTEMPT_PHASE_STOP);
  WaitForPhase(v1::ATTEMPT_PHASE_STOP);

  SetPhase(v1::ATTEMPT_PHASE_KILL);
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_EQ(ended.ranks(0).signal(), SIGKILL);
  EXPECT_EQ(ended.ranks(1).signal(), SIGKILL);
  EXPECT_FALSE(ended.has_failure());
}

TEST_F(AgentTest, DrainBeforeRunEndsTheAttempt) {
  StartAgent();
  Prepare("train");
  WaitForPhase(v1::ATTEMPT_PHASE_PREPARED);

  Drain(absl::Hours(1));

  EXPECT_FALSE(WaitForPhase(v1::ATTEMPT_PHASE_ENDED).has_failure());
}

// Neither an older message of this coordinator nor one of the coordinator before it
// takes the attempt away.
TEST_F(AgentTest, LateMessagesHaveNoEffect) {
  coordinator_.Want([](v1::DesiredState& desired) { desired.set_coordinator_term(5); });
  Run("wait");
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);
  v1::DesiredState late;
  late.set_coordinator_term(5);
  late.set_sequence(1);
  coordinator_.SendLate(late);
  late.set_coordinator_term(4);
  late.set_sequence(1'000'000);
  coordinator_.SendLate(late);

  SetPhase(v1::ATTEMPT_PHASE_STOP);

  EXPECT_EQ(WaitForPhase(v1::ATTEMPT_PHASE_ENDED).ranks(0).exit_code(), 75);
}

TEST_F(AgentTest, WithoutACoordinatorRanksEndAfterTheOrphanTimeout) {
  settings_.orphan_timeout = absl::Milliseconds(300);
  Run("stubborn");
  const int pid = WaitForPhase(v1::ATTEMPT_PHASE_TRAINING).ranks(0).pid();
  const run::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));

  coordinator_.GoAway();

  pollfd entry{.fd = process.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 60'000), 1);
}

TEST_F(AgentTest, StatesAreNumberedAlsoOverStreams) {
  StartAgent();
  const v1::SessionRequest before = coordinator_.WaitForState(
      [](const v1::SessionRequest& seen) { return seen.sequence() >= 3; });
  const int streams = coordinator_.streams();

  coordinator_.DropStreams();

  EXPECT_GT(coordinator_.WaitForStreams(streams + 2).sequence(), before.sequence());
}

// A gang whose rank 0 is elsewhere shows here too that it still trains.
TEST_F(AgentTest, ReportsProgressOfAnyRank) {
  Run("progress-of-1", 2);

  const v1::SessionRequest state = coordinator_.WaitForState([](const v1::SessionRequest& seen) {
    return seen.attempts_size() == 1 && seen.attempts(0).progress().step() == 3;
  });

  EXPECT_EQ(state.attempts_size(), 1);
}

TEST_F(AgentTest, TrainerThatIgnoresStopIsKilledWithoutAFailure) {
  settings_.stop_grace = absl::Milliseconds(10);
  Run("stubborn");
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);

  SetPhase(v1::ATTEMPT_PHASE_STOP);
  const v1::AttemptStatus ended = WaitForPhase(v1::ATTEMPT_PHASE_ENDED);

  EXPECT_NE(ended.ranks(0).signal(), 0);
  EXPECT_FALSE(ended.has_failure());
}

TEST_F(AgentTest, StopBeforeRunEndsTheAttempt) {
  StartAgent();
  Prepare("train");
  WaitForPhase(v1::ATTEMPT_PHASE_PREPARED);

  SetPhase(v1::ATTEMPT_PHASE_STOP);

  EXPECT_FALSE(WaitForPhase(v1::ATTEMPT_PHASE_ENDED).has_failure());
}

TEST_F(AgentTest, AttemptThatIsNotWantedIsKilledAndForgotten) {
  Run("stubborn");
  const int pid = WaitForPhase(v1::ATTEMPT_PHASE_TRAINING).ranks(0).pid();

  coordinator_.Want([](v1::DesiredState& desired) { desired.clear_attempts(); });
  const v1::SessionRequest state = coordinator_.WaitForState(
      [](const v1::SessionRequest& seen) { return seen.attempts_size() == 0; });

  EXPECT_EQ(state.worker(), "w0");
  agent_.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(AgentTest, LosingTheStreamKillsNothing) {
  Run("wait");
  const v1::AttemptStatus before = WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);
  const int streams = coordinator_.streams();

  coordinator_.DropStreams();
  const v1::SessionRequest after = coordinator_.WaitForStreams(streams + 2);

  ASSERT_EQ(after.attempts_size(), 1);
  EXPECT_EQ(after.attempts(0).ranks(0).pid(), before.ranks(0).pid());
  EXPECT_FALSE(after.attempts(0).ranks(0).exited());
}

TEST_F(AgentTest, EndIsToldOnlyAfterEverythingIsAcknowledged) {
  coordinator_.HoldAcks(true);
  Run("crash");
  // The trainer has ended, and the state stays short of ENDED while acks are held.
  const v1::SessionRequest held = coordinator_.WaitForState([](const v1::SessionRequest& seen) {
    return seen.attempts_size() == 1 && seen.attempts(0).ranks_size() == 1 &&
           seen.attempts(0).ranks(0).exited();
  });
  coordinator_.HoldAcks(false);

  ASSERT_EQ(held.attempts_size(), 1);
  EXPECT_NE(held.attempts(0).phase(), v1::ATTEMPT_PHASE_ENDED);
  WaitForPhase(v1::ATTEMPT_PHASE_ENDED);
  EXPECT_THAT(LogOf(0), ElementsAre("about to crash"));
}

TEST_F(AgentTest, AttemptOfAnEarlierIncarnationIsReportedAsLost) {
  coordinator_.Want([](v1::DesiredState& desired) {
    v1::DesiredAttempt& attempt = *desired.add_attempts();
    attempt.set_job_uid("old");
    attempt.set_epoch(4);
    attempt.set_phase(v1::ATTEMPT_PHASE_RUN);
  });
  StartAgent();

  EXPECT_EQ(WaitForPhase(v1::ATTEMPT_PHASE_ENDED).failure().class_(), v1::Failure::WORKER_LOST);
}

TEST_F(AgentTest, AnswersDataChecks) {
  coordinator_.Want([](v1::DesiredState& desired) {
    for (const char* source :
         {"synthetic:bad", "synthetic:broken", "synthetic:dermoscopy", "/etc", "relative"}) {
      v1::DataCheck& check = *desired.add_data_checks();
      check.set_id(source);
      check.set_source(source);
      check.set_split("train");
    }
  });
  StartAgent();

  const v1::SessionRequest state = coordinator_.WaitForState(
      [](const v1::SessionRequest& seen) { return seen.data_checks_size() == 5; });

  std::map<std::string, v1::DataCheckResult> results;
  for (const auto& result : state.data_checks()) results[result.id()] = result;
  EXPECT_TRUE(results["synthetic:dermoscopy"].ok());
  EXPECT_EQ(results["synthetic:dermoscopy"].digest(), "abc");
  EXPECT_EQ(results["synthetic:dermoscopy"].images(), 8);
  EXPECT_EQ(results["synthetic:bad"].message(), "no images in the folder");
  EXPECT_THAT(results["synthetic:broken"].message(), HasSubstr("something broke"));
  EXPECT_THAT(results["/etc"].message(), HasSubstr("--data-root"));
  EXPECT_FALSE(results["relative"].ok());
}

// What decides about images and classes is looked at as a whole, before anything starts.
TEST_F(AgentTest, DataChecksLookAtAllThatTheJobSaysOfItsData) {
  coordinator_.Want([](v1::DesiredState& desired) {
    for (const char* id : {"whole", "outside"}) {
      v1::DataCheck& check = *desired.add_data_checks();
      check.set_id(id);
      check.set_source("synthetic:echo");
      check.set_split("train");
      v1::PretrainSpec& spec = *check.mutable_spec()->mutable_pretrain();
      spec.set_method(v1::PretrainSpec::SUPERVISED);
      spec.mutable_data()->set_fraction(0.1);
      spec.mutable_data()->set_max_images(5);
      spec.mutable_data()->set_subset_seed(3);
      spec.mutable_data()->add_exclude_ids("held");
      if (std::string(id) == "outside") spec.mutable_data()->add_exclude_ids("/etc#train");
    }
  });
  StartAgent();

  const v1::SessionRequest state = coordinator_.WaitForState(
      [](const v1::SessionRequest& seen) { return seen.data_checks_size() == 2; });

  std::map<std::string, v1::DataCheckResult> results;
  for (const auto& result : state.data_checks()) results[result.id()] = result;
  EXPECT_THAT(results["whole"].message(),
              HasSubstr("--fraction 0.10000000000000001 --max-images 5 --subset-seed 3 "
                        "--exclude held --classes"));
  EXPECT_FALSE(results["outside"].ok());
  EXPECT_THAT(results["outside"].message(), HasSubstr("/etc is not below a --data-root"));
}

TEST_F(AgentTest, ShutdownEndsTrainersInOrderAndSaysThatItDrains) {
  Run("wait");
  WaitForPhase(v1::ATTEMPT_PHASE_TRAINING);

  agent_->Shutdown();
  agent_.reset();

  const v1::SessionRequest last =
      coordinator_.WaitForState([](const v1::SessionRequest& seen) { return seen.draining(); });
  ASSERT_EQ(last.attempts_size(), 1);
  EXPECT_EQ(last.attempts(0).phase(), v1::ATTEMPT_PHASE_ENDED);
  EXPECT_EQ(last.attempts(0).ranks(0).exit_code(), 75);
  EXPECT_EQ(last.attempts(0).failure().class_(), v1::Failure::WORKER_LOST);
}

}  // namespace
}  // namespace g2ll::agent
