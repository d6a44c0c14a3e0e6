// One scheduling cycle over a full cluster of 500 workers with 8 slots and 500, 5,000
// and 50,000 pending jobs, on one core. Counts and orders are checked; times are
// printed, with the 99th percentile of the cycles as `p99_ms`.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
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

// Snapshots point to names: this owns both.
struct Cluster {
  std::deque<std::string> names;
  ClusterSnapshot snapshot;

  std::string_view Keep(std::string name) { return names.emplace_back(std::move(name)); }
};

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
    cluster.snapshot.projects.emplace_back().name = cluster.Keep("project-" + std::to_string(i));
  }
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
}

void Cycle(benchmark::State& state) {
  const auto pending = static_cast<int32_t>(state.range(0));
  const auto free_slots = static_cast<int32_t>(state.range(1));
  const Cluster cluster = MakeCluster(pending, free_slots);
  Check(cluster, PlanNext(cluster.snapshot, {}, kNow), free_slots * kWorkers);
  std::vector<double> milliseconds;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(PlanNext(cluster.snapshot, {}, kNow));
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  state.counters["p99_ms"] = milliseconds[milliseconds.size() * 99 / 100];
}
BENCHMARK(Cycle)
    ->ArgsProduct({{500, 5000, 50000}, {0, kSlots}})
    ->ArgNames({"pending", "free_per_worker"})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace g2ll::scheduler
