// Random faults against what must always hold: workers fall silent, come back as they
// were or started again, lose their trainers; the coordinator is started again; users
// pause, cancel and requeue. Zombies go on and try to commit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptPhase;
using cluster::AttemptRecord;
using cluster::JobRecord;
using cluster::JobState;
using ::testing::HasSubstr;

constexpr int32_t kSlots = 2;
constexpr int64_t kSteps = 12;

// One attempt as an agent holds it.
struct Held {
  cluster::DesiredAttempt wanted;
  AttemptPhase phase = AttemptPhase::kPrepare;
  int64_t step = 0;
  int exit_code = 0;
  bool broke = false;

  bool runs() const { return phase != AttemptPhase::kEnded; }
};

// An agent with make-believe trainers.
struct Agent {
  FakeWorker link;
  bool connected = false;
  int starts = 0;
  std::map<std::pair<std::string, int64_t>, Held> held;
};

class ChaosTest : public CoreTest, public ::testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    CoreTest::SetUp();
    random_.seed(static_cast<unsigned>(GetParam()));
    for (int i = 0; i < 3; ++i) {
      Agent& agent = agents_.emplace_back();
      agent.link.report.worker = absl::StrCat("w", i + 1);
      agent.link.report.inventory.slots = kSlots;
      agent.link.report.inventory.cpus = kSlots;
      agent.link.report.inventory.storage_token = kToken;
      Kill(agent);
      Open(agent);
    }
  }

  bool Chance(int percent) { return std::uniform_int_distribution<int>(0, 99)(random_) < percent; }
  Agent& AnyAgent() {
    return agents_[std::uniform_int_distribution<size_t>(0, agents_.size() - 1)(random_)];
  }
  std::string AnyJob() {
    return jobs_.empty()
               ? ""
               : jobs_[std::uniform_int_distribution<size_t>(0, jobs_.size() - 1)(random_)];
  }

  // Trainers die with their agent; the next one has an incarnation of its own.
  void Kill(Agent& agent) {
    agent.held.clear();
    agent.connected = false;
    agent.link.report.incarnation = absl::StrCat("i", ++agent.starts);
    agent.link.report.sequence = 0;
  }

  void Open(Agent& agent) {
    FillReport(agent);
    agent.link.session = std::make_shared<FakeSession>();
    const auto session = core_->OpenSession(agent.link.report, agent.link.session, now_);
    ASSERT_TRUE(session.ok()) << session.status();
    agent.link.session_id = *session;
    agent.connected = true;
    Flush();
  }

  void FillReport(Agent& agent) {
    cluster::WorkerReport& report = agent.link.report;
    ++report.sequence;
    report.attempts.clear();
    for (const auto& [id, held] : agent.held) {
      cluster::AttemptStatus& status = report.attempts.emplace_back();
      status.job_uid = id.first;
      status.epoch = id.second;
      status.phase = held.phase;
      status.data_digest = "digest";
      status.store_address = held.wanted.serves_store && held.runs() ? "here:1" : "";
      if (held.step > 0) {
        status.progress = ProgressAt(held.step);
      }
      for (const int32_t rank : held.wanted.ranks) {
        cluster::RankStatus& shown = status.ranks.emplace_back();
        shown.rank = rank;
        shown.exited = !held.runs();
        shown.exit_code = held.exit_code;
      }
      if (held.broke) {
        cluster::FailureRecord& failure = status.failure.emplace();
        failure.failure_class =
            Chance(50) ? cluster::FailureClass::kKilled : cluster::FailureClass::kCollective;
        failure.rank = held.wanted.ranks.front();
        failure.message = "broke";
      }
    }
  }

  void Speak(Agent& agent) {
    if (!agent.connected) {
      return;
    }
    Obey(agent);
    FillReport(agent);
    cluster::WorkerReport report = agent.link.report;
    for (const cluster::DataCheck& check : agent.link.session->desired().data_checks) {
      report.data_checks.push_back({check.id, true, "fine", "digest", 10});
    }
    core_->ReportWorker(report, agent.link.session_id, now_);
    if (Chance(20)) {
      core_->ReportWorker(late_report_, agent.link.session_id, now_);  // Of whomever.
      core_->ReportWorker(report, agent.link.session_id, now_);
    }
    late_report_ = report;
    Flush();
  }

  // Brings what the agent holds to what is wanted of it.
  void Obey(Agent& agent) {
    const cluster::DesiredWorker& desired = agent.link.session->desired();
    std::erase_if(agent.held, [&](const auto& entry) {
      return std::none_of(desired.attempts.begin(), desired.attempts.end(),
                          [&](const auto& wanted) {
                            return std::pair(wanted.job_uid, wanted.epoch) == entry.first;
                          });
    });
    for (const cluster::DesiredAttempt& wanted : desired.attempts) {
      const std::pair id(wanted.job_uid, wanted.epoch);
      if (!agent.held.contains(id)) {
        Held& held = agent.held[id];
        held.wanted = wanted;
        held.phase =
            wanted.phase == AttemptPhase::kPrepare ? AttemptPhase::kPrepared : AttemptPhase::kEnded;
        held.broke = wanted.phase == AttemptPhase::kRun || wanted.phase == AttemptPhase::kDrain;
      }
      Held& held = agent.held[id];
      if (!held.runs()) {
        continue;
      }
      held.wanted.phase = wanted.phase;
      if (wanted.phase == AttemptPhase::kRun && held.phase == AttemptPhase::kPrepared) {
        held.phase = AttemptPhase::kTraining;
      } else if (wanted.phase == AttemptPhase::kDrain && Chance(60)) {
        Commit(agent, id, held.step);
        held.phase = AttemptPhase::kEnded;
        held.exit_code = 75;
      } else if (wanted.phase == AttemptPhase::kStop || wanted.phase == AttemptPhase::kKill) {
        held.phase = AttemptPhase::kEnded;
      }
    }
    int64_t ranks = 0;
    for (const auto& [id, held] : agent.held) {
      ranks += held.runs() ? static_cast<int64_t>(held.wanted.ranks.size()) : 0;
    }
    EXPECT_LE(ranks, kSlots) << "more ranks than slots on " << agent.link.report.worker;
  }

  // All trainers make a step where the whole gang trains; the last step is committed and
  // ends the attempt. Cut-off agents go on too.
  void Train() {
    std::map<std::pair<std::string, int64_t>, std::vector<Held*>> gangs;
    for (Agent& agent : agents_) {
      for (auto& [id, held] : agent.held) {
        if (held.phase == AttemptPhase::kPrepared || held.phase == AttemptPhase::kTraining) {
          gangs[id].push_back(&held);
        }
      }
    }
    for (auto& [id, members] : gangs) {
      size_t ranks = 0;
      bool all_train = true;
      for (const Held* held : members) {
        ranks += held->wanted.ranks.size();
        all_train &= held->phase == AttemptPhase::kTraining;
      }
      const bool complete = ranks == static_cast<size_t>(members.front()->wanted.world_size);
      for (Held* held : members) {
        if (complete && all_train) {
          held->step = std::max(held->step + 1, StartOf(held->wanted) + 1);
        } else if (!complete && held->phase == AttemptPhase::kTraining) {
          // A peer is gone; who was asked to end does not call that a failure.
          held->phase = AttemptPhase::kEnded;
          held->broke = held->wanted.phase != AttemptPhase::kDrain;
          held->exit_code = 81;
        }
      }
    }
    for (Agent& agent : agents_) {
      for (auto& [id, held] : agent.held) {
        if (held.phase != AttemptPhase::kTraining) {
          continue;
        }
        if (held.step >= kSteps || Chance(20)) {
          Commit(agent, id, held.step);
        }
        if (held.step >= kSteps) {
          held.phase = AttemptPhase::kEnded;
        }
      }
    }
  }

  static int64_t StartOf(const cluster::DesiredAttempt& wanted) {
    const size_t step = wanted.resume_path.rfind("/s");
    return step == std::string::npos ? 0 : std::stoll(wanted.resume_path.substr(step + 2));
  }

  // Rank 0 commits, allowed or not: what may not count must be refused.
  void Commit(Agent& agent, const std::pair<std::string, int64_t>& id, int64_t step) {
    const Held& held = agent.held.at(id);
    if (!held.wanted.serves_store || step == 0) {
      return;
    }
    coordinator::CommitCheckpointCommand command;
    command.worker = agent.link.report.worker;
    command.incarnation = agent.link.report.incarnation;
    command.checkpoint.job_uid = id.first;
    command.checkpoint.epoch = id.second;
    command.checkpoint.step = step;
    command.checkpoint.path = absl::StrCat("checkpoints/", id.first, "/e", id.second, "/s", step);
    const std::string name = core_->NameOf(id.first);
    const coordinator::JobPtr before = core_->GetJob(name).value();
    const bool committed = core_->CommitCheckpoint(command, now_).ok();
    Flush();
    const coordinator::JobPtr after = core_->GetJob(name).value();
    if (committed && after->latest_checkpoint != before->latest_checkpoint) {
      EXPECT_EQ(id.second, before->epoch) << "an old epoch committed";
      EXPECT_FALSE(cluster::IsTerminal(before->state));
      EXPECT_GT(step, before->latest_checkpoint_step);
    }
  }

  void Fault() {
    Agent& agent = AnyAgent();
    switch (std::uniform_int_distribution<int>(0, 9)(random_)) {
      case 0:  // The agent is killed and started again, at once or later.
        Disconnect(agent.link);
        Kill(agent);
        if (Chance(50)) {
          Open(agent);
        }
        break;
      case 1:  // The connection breaks.
        Disconnect(agent.link);
        agent.connected = false;
        break;
      case 2:  // A trainer breaks.
        for (auto& [id, held] : agent.held) {
          if (held.runs() && Chance(50)) {
            held.phase = AttemptPhase::kEnded;
            held.broke = true;
          }
        }
        break;
      case 3:
        RestartCoordinator();
        break;
      case 4:
        Pass(absl::Seconds(25));
        break;
      case 5:
        Ask([&](const coordinator::JobRequest& job) {
          return core_->PauseJob(job, now_).status();
        });
        break;
      case 6:
        Ask([&](const coordinator::JobRequest& job) {
          return core_->ResumeJob(job, now_).status();
        });
        break;
      case 7:
        Ask([&](const coordinator::JobRequest& job) {
          return core_->RequeueJob(job, "", now_).status();
        });
        break;
      case 8:
        if (Chance(20)) {
          Ask([&](const coordinator::JobRequest& job) {
            return core_->CancelJob(job, Chance(50), now_).status();
          });
        }
        break;
      case 9:
        Wish(agent, Chance(50) ? cluster::Schedulable::kDraining : cluster::Schedulable::kAllowed);
        break;
    }
  }

  void Ask(const std::function<absl::Status(const coordinator::JobRequest&)>& ask) {
    if (const std::string name = AnyJob(); !name.empty()) {
      ask({.name = name, .reason = {}, .etag = {}}).IgnoreError();  // Many are not allowed.
      Flush();
    }
  }

  void Wish(const Agent& agent, cluster::Schedulable wish) {
    // After a restart it may be unknown.
    core_->SetWorkerWish(agent.link.report.worker, wish, "", now_).IgnoreError();
    Flush();
  }

  void RestartCoordinator() {
    StartCore();
    for (Agent& agent : agents_) {
      agent.connected = false;
    }
  }

  void Submit() {
    coordinator::CreateJobCommand command = MakeCommand(absl::StrCat("j", jobs_.size()));
    command.job.max_ranks = 1 + static_cast<int32_t>(jobs_.size() % 4);
    command.job.min_ranks = command.job.max_ranks;
    command.job.global_batch = 12;
    command.job.max_infra_retries = -1;
    command.job.grace = absl::Seconds(5);
    jobs_.push_back("projects/default/jobs/" + command.job.name);
    Create(command);
  }

  // What must hold after every step.
  void CheckInvariants() {
    std::map<std::string, int64_t> used;
    for (const std::string& name : jobs_) {
      const absl::StatusOr<coordinator::JobPtr> found = core_->GetJob(name);
      if (!found.ok()) {
        continue;  // Its data were never looked at.
      }
      const JobRecord& job = **found;
      int64_t epoch = 0;
      for (const AttemptRecord& attempt : job.attempts) {
        EXPECT_GT(attempt.epoch, epoch) << name;
        epoch = attempt.epoch;
        EXPECT_TRUE(attempt.ended() || &attempt == &job.attempts.back()) << name;
      }
      EXPECT_EQ(job.epoch, epoch) << name;
      const AttemptRecord* live = job.LiveAttempt();
      EXPECT_FALSE(cluster::IsTerminal(job.state) && live != nullptr) << name;
      for (const std::string& worker :
           live == nullptr ? std::vector<std::string>() : live->workers) {
        EXPECT_LE(++used[worker], kSlots) << worker;
      }
      const auto before = last_.find(name);
      if (before != last_.end() && cluster::IsTerminal(before->second)) {
        EXPECT_EQ(job.state, before->second) << name << " came back to life";
      }
      last_[name] = job.state;
    }
  }

  std::mt19937 random_;
  std::vector<Agent> agents_;
  std::vector<std::string> jobs_;
  std::map<std::string, JobState> last_;
  cluster::WorkerReport late_report_;
};

TEST_P(ChaosTest, InvariantsHoldAndEveryJobEnds) {
  for (int i = 0; i < 250 && !HasFailure(); ++i) {
    if (jobs_.size() < 8 && Chance(10)) {
      Submit();
    }
    if (Chance(25)) {
      Fault();
    }
    for (Agent& agent : agents_) {
      if (!agent.connected && Chance(30)) {
        Open(agent);
      }
      if (Chance(80)) {
        Speak(agent);
      }
    }
    Train();
    Pass(absl::Seconds(1));
    CheckInvariants();
  }

  // Quiet again: everything that was not given up comes to its end.
  for (Agent& agent : agents_) {
    Wish(agent, cluster::Schedulable::kAllowed);
  }
  const auto unfinished = [&] {
    return std::count_if(jobs_.begin(), jobs_.end(), [&](const std::string& name) {
      const auto job = core_->GetJob(name);
      return job.ok() && !cluster::IsTerminal((*job)->state);
    });
  };
  for (int i = 0; i < 3000 && unfinished() > 0 && !HasFailure(); ++i) {
    for (Agent& agent : agents_) {
      if (!agent.connected) {
        Open(agent);
      }
      Speak(agent);
      Wish(agent, cluster::Schedulable::kAllowed);
    }
    for (const std::string& name : jobs_) {
      core_->ResumeJob({.name = name, .reason = {}, .etag = {}}, now_).IgnoreError();
    }
    Train();
    Pass(absl::Seconds(1));
    CheckInvariants();
  }
  EXPECT_EQ(unfinished(), 0);
  Pass(absl::Seconds(31));
  for (const char* kind : {"undriven", "late_stop", "held_slot"}) {
    EXPECT_THAT(metrics_.Serialize(),
                HasSubstr(absl::StrCat("g2ll_stalls{kind=\"", kind, "\"} 0")));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChaosTest, ::testing::Range(1, 9));

}  // namespace
}  // namespace g2ll::testing
