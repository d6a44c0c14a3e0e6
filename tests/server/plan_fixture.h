#ifndef TESTS_SERVER_PLAN_FIXTURE_H_
#define TESTS_SERVER_PLAN_FIXTURE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/plan.h"

namespace g2ll::scheduler {

inline const absl::Time kNow = absl::FromUnixSeconds(1000000);

// A plan in names.
struct NamedPlan {
  // Worker of each rank of the jobs that start, by job.
  std::map<std::string, std::vector<std::string>> start;
  std::map<std::string, std::string> codes;
  std::map<std::string, std::string> messages;
  // Pending jobs as they were considered.
  std::vector<std::string> order;
  // Attempts that stop and the job that each stops for; nothing if it grows.
  std::map<std::string, std::string> stop;
  // Attempts that stop only to go on with another number of ranks, and how many.
  std::map<std::string, int32_t> resize;
  // Workers of the slots that are held, by job.
  std::map<std::string, std::vector<std::string>> holds;
};

// Builds a snapshot and owns the names that its views point to. References that
// the Add functions return hold until the next one is added.
class FakeCluster {
 public:
  // A ready CPU worker with two cores per slot.
  WorkerView& AddWorker(const std::string& name, int32_t slots, int32_t free_slots);
  // A job whose data were checked. Any number of ranks divides `global_batch` 0.
  PendingJob& AddJob(const std::string& name, int32_t min_ranks, int32_t max_ranks,
                     int32_t global_batch = 0, const std::string& project = "p");
  // A preemptible attempt of normal priority that started an hour ago; each pair is
  // a worker and a number of ranks, which are not free there any more.
  RunningJob& AddRunning(const std::string& name,
                         const std::vector<std::pair<std::string, int32_t>>& places,
                         const std::string& project = "p");
  // Index of a project, which is added if it is new.
  int32_t Project(const std::string& name);
  // Index of a worker.
  int32_t Worker(const std::string& name) const;
  PendingJob& Job(const std::string& name);
  std::string_view Keep(const std::string& name);

  Plan Next(absl::Time now = kNow) const { return PlanNext(snapshot, policy, now); }
  NamedPlan NextNamed(absl::Time now = kNow) const { return InNames(Next(now)); }
  NamedPlan InNames(const Plan& plan) const;

  ClusterSnapshot snapshot;
  SchedulingPolicy policy;

 private:
  std::deque<std::string> names_;
};

// A cluster with up to 7 workers and 15 jobs in all kinds of states; `seed`
// decides all of it.
FakeCluster RandomCluster(uint32_t seed);

// Shuffles every list of the snapshot and corrects the indices.
void Shuffle(std::mt19937& random, ClusterSnapshot* snapshot);

}  // namespace g2ll::scheduler

#endif  // TESTS_SERVER_PLAN_FIXTURE_H_
