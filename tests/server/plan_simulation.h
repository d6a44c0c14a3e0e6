#ifndef TESTS_SERVER_PLAN_SIMULATION_H_
#define TESTS_SERVER_PLAN_SIMULATION_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/server/plan_fixture.h"

namespace g2ll::scheduler {

// A job of a simulation.
struct SimulatedJob {
  std::string name;
  std::string project = "p";
  cluster::Priority priority = cluster::Priority::kNormal;
  int32_t min_ranks = 1;
  int32_t max_ranks = 1;
  // What it takes with `max_ranks`; fewer ranks take longer in proportion.
  absl::Duration work = absl::Minutes(10);
  bool preemptible = true;
  absl::Duration max_runtime = absl::InfiniteDuration();
};

// Runs plans over simulated time, as a coordinator does: places gangs, ends them when
// their work is done, stops them when a plan says so (which takes 10 s and loses no
// work), and gives holds and blocked heads to the next snapshot.
class Simulation {
 public:
  // CPU workers that are free.
  explicit Simulation(const std::vector<int32_t>& slots);

  void Submit(SimulatedJob job);
  // Moves the clock in steps of a second up to `duration` and plans at each.
  void Run(absl::Duration duration);

  bool HasStarted(const std::string& name) const { return first_start_.contains(name); }
  bool HasEnded(const std::string& name) const { return ended_.contains(name); }
  // From submission to the first start.
  absl::Duration WaitOf(const std::string& name) const;
  // How often attempts of a job, or of all, were asked to stop.
  int32_t StopsOf(const std::string& name) const;
  int32_t stops() const;
  int32_t running_slots() const;
  // Ranks that a job runs with; 0 if it does not run.
  int32_t SizeOf(const std::string& name) const;
  absl::Time now() const { return now_; }

  SchedulingPolicy policy;
  // Filled into the view of each project at every cycle.
  std::map<std::string, ProjectView> projects;

 private:
  struct Job {
    SimulatedJob spec;
    absl::Time submitted;
    // Slot-seconds that are left.
    double left = 0;
    bool running = false;
    bool recallable = false;
    std::vector<Share> places;
    absl::Time start;
    absl::Time stop_at = absl::InfiniteFuture();
    // Ranks of the attempt before, and when their number changed.
    int32_t last_size = 0;
    absl::Time resize_time = absl::InfinitePast();
    absl::Time blocked_since = absl::InfiniteFuture();
    Hold hold;
  };

  void Work();
  void Cycle();
  void Free(Job& job);

  absl::Time now_ = kNow;
  std::vector<std::string> worker_names_;
  std::vector<int32_t> slots_;
  std::vector<int32_t> free_;
  std::vector<absl::Time> free_since_;
  std::map<std::string, Job> jobs_;
  std::map<std::string, absl::Duration> first_start_;
  std::map<std::string, absl::Time> ended_;
  std::map<std::string, int32_t> stops_;
};

}  // namespace g2ll::scheduler

#endif  // TESTS_SERVER_PLAN_SIMULATION_H_
