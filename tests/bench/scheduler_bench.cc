// One scheduling cycle over a full cluster of 500 workers with 8 slots and 500, 5,000
// and 50,000 pending jobs, on one core. Counts and orders are checked; times are
// printed, with the 99th percentile of the cycles in CPU time as `p99_cpu_ms`.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <string>
#include <vector>

#include "server/scheduler/plan.h"

namespace g2ll::scheduler {
namespace {

constexpr int32_t kWorkers = 500;
constexpr int32_t kSlots = 8;
constexpr int32_t kProjects = 20;
const absl::Time kNow = absl::FromUnixSeconds(1000000);

void Require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "scheduler_bench: %s\n", what);
    std::abort();
  }
}

// Of this thread: what other programs do on the same machine does not count.
double CpuMilliseconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
}

// Snapshots point to names: this owns both.
struct Cluster {
  std::deque<std::string> names;
  ClusterSnapshot snapshot;

  std::string_view Keep(std::string name) { return names.emplace_back(std::move(name)); }
};

// What is not free runs attempts of normal priority, one for each worker, so that a third
// of the pending jobs may preempt and the others wait behind the first that does not fit.
void AddAttempts(int32_t ranks, Cluster& cluster) {
  for (int32_t i = 0; ranks > 0 && i < kWorkers; ++i) {
    RunningJob& attempt = cluster.snapshot.running.emplace_back();
    attempt.uid = attempt.name = cluster.Keep("running-" + std::to_string(i));
    attempt.project = i % kProjects;
    attempt.places = {{i, ranks}};
    attempt.sizes = {ranks, ranks, 840};
    attempt.start_time = kNow - absl::Minutes(10 + i % 50);
    attempt.max_runtime = absl::Hours(1 + i % 7);
    attempt.preemptible = true;
  }
}

Cluster MakeCluster(int32_t pending, int32_t free_slots_per_worker) {
  Cluster cluster;
  for (int32_t i = 0; i < kWorkers; ++i) {
    WorkerView& worker = cluster.snapshot.workers.emplace_back();
    worker.name = cluster.Keep("worker-" + std::to_string(i));
    worker.slots = kSlots;
    worker.free_slots = free_slots_per_worker;
    worker.cpus = 4 * kSlots;
    worker.ready = true;
  }
  for (int32_t i = 0; i < kProjects; ++i) {
    ProjectView& project = cluster.snapshot.projects.emplace_back();
    project.name = cluster.Keep("project-" + std::to_string(i));
    project.used_slot_seconds = i * 37 % kProjects * 1000;
  }
  AddAttempts(kSlots - free_slots_per_worker, cluster);
  for (int32_t i = 0; i < pending; ++i) {
    PendingJob& job = cluster.snapshot.pending.emplace_back();
    job.uid = job.name = cluster.Keep("job-" + std::to_string(i));
    job.project = i * 7919 % kProjects;
    job.priority = static_cast<cluster::Priority>(1 + i % 3);
    job.queue_time = kNow - absl::Seconds(i * 104729 % 100000);
    job.sizes = {1 + i % 4, 4 + i % 5, 840};
    job.device = cluster::Device::kCpu;
    job.data_checked = true;
  }
  return cluster;
}

// All pending jobs are decided once, in one order, and no slot is used twice.
void Check(const Cluster& cluster, const Plan& plan, int32_t free_slots) {
  std::vector<bool> decided(cluster.snapshot.pending.size());
  std::vector<bool> positions(cluster.snapshot.pending.size() + 1);
  const auto decide = [&](int32_t job, int32_t position) {
    Require(!decided[job] && !positions[position], "a job or a position comes twice");
    decided[job] = positions[position] = true;
  };
  int32_t used = 0;
  for (const StartGang& gang : plan.start) {
    decide(gang.job, gang.position);
    used += gang.world_size();
  }
  for (const KeepWaiting& waiting : plan.wait) {
    decide(waiting.job, waiting.position);
  }
  Require(plan.start.size() + plan.wait.size() == decided.size(), "a job is not decided");
  Require(used <= free_slots, "more slots are used than are free");
  Require(free_slots == 0 || used > 0, "nothing starts in a free cluster");
  Require(free_slots > 0 || !plan.stop.empty(), "nothing stops for jobs of high priority");
}

void Cycle(benchmark::State& state) {
  const auto pending = static_cast<int32_t>(state.range(0));
  const auto free_slots = static_cast<int32_t>(state.range(1));
  const Cluster cluster = MakeCluster(pending, free_slots);
  Check(cluster, PlanNext(cluster.snapshot, {}, kNow), free_slots * kWorkers);
  std::vector<double> milliseconds;
  for (auto _ : state) {
    const double start = CpuMilliseconds();
    benchmark::DoNotOptimize(PlanNext(cluster.snapshot, {}, kNow));
    milliseconds.push_back(CpuMilliseconds() - start);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  state.counters["p99_cpu_ms"] = milliseconds[milliseconds.size() * 99 / 100];
}
BENCHMARK(Cycle)
    ->ArgsProduct({{500, 5000, 50000}, {0, kSlots}})
    ->ArgNames({"pending", "free_per_worker"})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace g2ll::scheduler
