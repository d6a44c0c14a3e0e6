// The coordinator is killed at random moments while random work goes on.
#include <gtest/gtest.h>

#include <atomic>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/fault/counts.h"
#include "tests/fault/keeper.h"
#include "tests/fault/observer.h"
#include "tests/server/temporary_directory.h"
#include "tests/sim/fleet.h"

namespace g2ll::fault {
namespace {

constexpr int kExitCollective = 81;
constexpr int kRoundJobs = 5;
constexpr int kMostRounds = 1000;

// What becomes of one job.
enum class Fate { kRuns, kIsCancelled, kLosesARank };

struct PlannedJob {
  v1::CreateJobRequest request;
  Fate fate = Fate::kRuns;
  int steps = 0;
  v1::Job::State end = v1::Job::SUCCEEDED;

  std::string FullName() const { return sim::FullName(request.job_id()); }
};

// One round: pre-trainings and fine-tunings of them, with names from `first` on.
std::vector<PlannedJob> PlanJobs(std::mt19937_64& random, int first) {
  const auto below = [&](uint64_t end) { return static_cast<int>(random() % end); };
  std::vector<PlannedJob> jobs;
  std::string parent;
  for (int i = 0; i < kRoundJobs; ++i) {
    const std::string name = absl::StrCat("job", first + i);
    PlannedJob& job = jobs.emplace_back();
    job.steps = 1 + below(40);
    if (!parent.empty() && below(2) == 0) {
      job.request = sim::FinetuneRequest(name, parent);
      continue;
    }
    job.request = sim::PretrainRequest(name, 1 << below(3));
    const int draw = below(4);
    job.fate = draw == 0 ? Fate::kIsCancelled : draw == 1 ? Fate::kLosesARank : Fate::kRuns;
    if (job.fate == Fate::kIsCancelled) {
      job.end = v1::Job::CANCELLED;
    } else {
      parent = name;
    }
  }
  return jobs;
}

class RandomKillsTest : public ::testing::Test {
 protected:
  RandomKillsTest() : seed_(Seed()), random_(seed_) {
    std::cout << "G2LL_SEED=" << seed_ << std::endl;
    for (int round = 0; round < kMostRounds; ++round) {
      for (PlannedJob& job : PlanJobs(random_, round * kRoundJobs)) {
        planned_.push_back(std::move(job));
      }
    }
    fleet_.AddMany(3, "w", 2);
  }

  sim::AttemptScript ScriptOf(const v1::DesiredAttempt& wanted) const {
    const std::string name = wanted.job().substr(wanted.job().rfind("/job") + 4);
    const PlannedJob& job = planned_.at(static_cast<size_t>(std::stoi(name)));
    return {.steps = job.steps,
            .step_time = absl::Milliseconds(job.steps % 4),
            .points_per_step = 2,
            .checkpoint_every = 5,
            .hold = job.fate == Fate::kIsCancelled ||
                    (job.fate == Fate::kLosesARank && wanted.number() == 1)};
  }

  // Does to a job what is planned and waits for its end.
  void Live(const PlannedJob& job) {
    const std::string name = job.FullName();
    if (job.fate != Fate::kRuns) {
      Expect(
          client_.WaitFor(name, [](const v1::Job& now) { return now.state() == v1::Job::RUNNING; })
              .status(),
          name);
    }
    if (job.fate == Fate::kIsCancelled) {
      Expect(Persist<absl::StatusOr<v1::Job>>([&] { return client_.Cancel(name); }).status(), name);
    } else if (job.fate == Fate::kLosesARank) {
      fleet_.FailRank(name, 0, kExitCollective);
    }
    const auto ended = client_.WaitForEnd(name, absl::Minutes(2));
    Expect(ended.status(), name);
    if (ended.ok()) {
      EXPECT_EQ(v1::Job::State_Name(ended->state()), v1::Job::State_Name(job.end)) << name;
    }
  }

  void Expect(const absl::Status& status, const std::string& what) {
    EXPECT_TRUE(status.ok()) << what << ": " << status;
  }

  // Runs one round of jobs; every one that is acknowledged has an end.
  void RunRound(const std::vector<PlannedJob>& jobs) {
    std::vector<std::jthread> lives;
    for (const PlannedJob& job : jobs) {
      const auto created = CreateSurely(client_, job.request);
      ASSERT_TRUE(created.ok()) << created.status();
      ++acknowledged_;
      lives.emplace_back([this, &job] { Live(job); });
    }
  }

  // Kills until told to stop; every third one comes twice in a row.
  void KillAtRandom(const std::stop_token& stop, int kills) {
    std::mt19937_64 random(seed_ + 1);
    while (kills_ < kills && !stop.stop_requested()) {
      const uint64_t most = random() % 3 == 0 ? 40 : 400;
      absl::SleepFor(absl::Milliseconds(random() % most));
      keeper_.Kill();
      ++kills_;
    }
  }

  // Every step of a job is there with its value, whatever was repeated.
  void CheckPoints(const PlannedJob& job) {
    const auto points = Persist<absl::StatusOr<std::vector<v1::MetricPoint>>>(
        [&] { return client_.ReadMetrics(job.FullName()); });
    ASSERT_TRUE(points.ok()) << points.status();
    EXPECT_EQ(sim::CountGaps(*points), 0) << job.FullName();
    std::map<std::pair<std::string, int64_t>, double> values;
    for (const v1::MetricPoint& point : *points) {
      values[{point.name(), point.step()}] = point.value();
    }
    for (int64_t step = 1; step <= job.steps; ++step) {
      for (int32_t i = 0; i < 2; ++i) {
        const auto value = values.find({sim::PointName(i), step});
        ASSERT_NE(value, values.end()) << job.FullName() << " has lost step " << step;
        EXPECT_EQ(value->second, sim::PointValue(i, step));
      }
    }
  }

  const uint64_t seed_;
  std::mt19937_64 random_;
  const testing::TemporaryDirectory directory_;
  Keeper keeper_{{.process = {.directory = directory_.path()}}};
  sim::JobClient client_{keeper_.address()};
  // By number of the job.
  std::vector<PlannedJob> planned_;
  sim::Fleet fleet_{{.address = keeper_.address(),
                     .storage_root = keeper_.storage_root(),
                     .script = [this](const v1::DesiredAttempt& w) { return ScriptOf(w); }}};
  std::atomic<int> kills_ = 0;
  int acknowledged_ = 0;
};

TEST_F(RandomKillsTest, NothingAcknowledgedIsLost) {
  const int kills = Count(20, 200);
  {
    std::jthread killer([&](const std::stop_token& stop) { KillAtRandom(stop, kills); });
    for (int round = 0; round < kMostRounds && kills_ < kills && !HasFailure(); ++round) {
      const auto first = planned_.begin() + round * kRoundJobs;
      RunRound({first, first + kRoundJobs});
    }
  }

  std::vector<std::string> faults;
  const Outcome outcome = Observe(client_, keeper_.storage_root(), &faults);
  EXPECT_EQ(absl::StrJoin(faults, "\n"), "");
  EXPECT_EQ(outcome.jobs.size(), static_cast<size_t>(acknowledged_));
  for (int i = 0; i < acknowledged_; ++i) {
    const PlannedJob& job = planned_[static_cast<size_t>(i)];
    EXPECT_TRUE(outcome.jobs.contains(job.request.job_id())) << job.FullName() << " is lost";
    if (job.fate != Fate::kIsCancelled) {
      CheckPoints(job);
    }
  }
  const absl::StatusOr<int> code = keeper_.Stop(absl::Seconds(30));
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 0);
  EXPECT_EQ(absl::StrJoin(LeftOver(directory_.path()), " "), "");
  std::cout << "random kills " << kills_ << ", jobs acknowledged " << acknowledged_ << ", lost "
            << static_cast<size_t>(acknowledged_) - outcome.jobs.size() << ", duplicated "
            << CountFaults(faults, "twice") << std::endl;
}

}  // namespace
}  // namespace g2ll::fault
