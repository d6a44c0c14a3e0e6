#include "tests/server/plan_fixture.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace g2ll::scheduler {
namespace {

// 2^4 * 3^2 * 5 * 7 * 11 * 13: every number of ranks up to 16 divides it.
constexpr int32_t kDividedByAll = 720720;

// New places of old indices: `moved[old]` is where the element went.
template <typename T>
std::vector<int32_t> ShuffleOne(std::mt19937& random, std::vector<T>* list) {
  std::vector<int32_t> order(list->size());
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  std::vector<T> shuffled;
  std::vector<int32_t> moved(list->size());
  for (size_t i = 0; i < order.size(); ++i) {
    shuffled.push_back(std::move((*list)[order[i]]));
    moved[order[i]] = static_cast<int32_t>(i);
  }
  *list = std::move(shuffled);
  return moved;
}

// Attempts on what is not free, some of them stopping, some with a hold.
void AddRandomAttempts(std::mt19937& random, FakeCluster* cluster) {
  const auto upto = [&](int32_t most) {
    return std::uniform_int_distribution<int32_t>(0, most)(random);
  };
  for (size_t i = 0; i < cluster->snapshot.workers.size(); ++i) {
    const WorkerView& worker = cluster->snapshot.workers[i];
    const std::string name(worker.name);
    int32_t in_use = worker.slots - worker.free_slots;
    for (int32_t number = 0; in_use > 0; ++number) {
      const int32_t ranks = 1 + upto(in_use - 1);
      in_use -= ranks;
      RunningJob& attempt = cluster->AddRunning(absl::StrCat("r-", name, "-", number),
                                                {{name, ranks}}, absl::StrCat("p", upto(2)));
      // AddRunning takes them from what is free, but these never were.
      cluster->snapshot.workers[i].free_slots += ranks;
      attempt.priority = static_cast<cluster::Priority>(1 + upto(2));
      attempt.preemptible = upto(3) > 0;
      attempt.start_time = kNow - absl::Minutes(upto(20));
      attempt.stopping = upto(4) == 0;
      attempt.sizes = {1 + upto(ranks - 1), ranks + upto(3), 720720};
      attempt.resize_time = upto(1) == 0 ? absl::InfinitePast() : kNow - absl::Minutes(upto(20));
      attempt.recallable = upto(7) == 0;
    }
  }
  for (PendingJob& job : cluster->snapshot.pending) {
    if (upto(5) == 0 && !cluster->snapshot.workers.empty()) {
      const auto last = static_cast<int32_t>(cluster->snapshot.workers.size()) - 1;
      job.hold = static_cast<int32_t>(cluster->snapshot.holds.size());
      cluster->snapshot.holds.push_back(
          {{{upto(last), job.sizes.min}}, kNow + absl::Seconds(upto(2))});
    }
  }
}

}  // namespace

std::string_view FakeCluster::Keep(const std::string& name) { return names_.emplace_back(name); }

WorkerView& FakeCluster::AddWorker(const std::string& name, int32_t slots, int32_t free_slots) {
  WorkerView& worker = snapshot.workers.emplace_back();
  worker.name = Keep(name);
  worker.slots = slots;
  worker.free_slots = free_slots;
  worker.cpus = slots * 2;
  worker.ready = true;
  return worker;
}

int32_t FakeCluster::Project(const std::string& name) {
  for (size_t i = 0; i < snapshot.projects.size(); ++i) {
    if (snapshot.projects[i].name == name) {
      return static_cast<int32_t>(i);
    }
  }
  snapshot.projects.emplace_back().name = Keep(name);
  return static_cast<int32_t>(snapshot.projects.size()) - 1;
}

PendingJob& FakeCluster::AddJob(const std::string& name, int32_t min_ranks, int32_t max_ranks,
                                int32_t global_batch, const std::string& project) {
  const int32_t project_index = Project(project);
  PendingJob& job = snapshot.pending.emplace_back();
  job.uid = job.name = Keep(name);
  job.project = project_index;
  job.queue_time = kNow;
  job.sizes = {min_ranks, max_ranks, global_batch == 0 ? kDividedByAll : global_batch};
  job.data_checked = true;
  return job;
}

RunningJob& FakeCluster::AddRunning(const std::string& name,
                                    const std::vector<std::pair<std::string, int32_t>>& places,
                                    const std::string& project) {
  const int32_t project_index = Project(project);
  RunningJob& attempt = snapshot.running.emplace_back();
  attempt.uid = attempt.name = Keep(name);
  attempt.project = project_index;
  attempt.start_time = attempt.queue_time = kNow - absl::Hours(1);
  attempt.preemptible = true;
  int32_t size = 0;
  for (const auto& [worker, ranks] : places) {
    size += ranks;
    attempt.places.push_back({Worker(worker), ranks});
    snapshot.workers[Worker(worker)].free_slots -= ranks;
  }
  attempt.sizes = {size, size, kDividedByAll};
  return attempt;
}

int32_t FakeCluster::Worker(const std::string& name) const {
  const auto found = std::find_if(snapshot.workers.begin(), snapshot.workers.end(),
                                  [&](const WorkerView& worker) { return worker.name == name; });
  return static_cast<int32_t>(found - snapshot.workers.begin());
}

PendingJob& FakeCluster::Job(const std::string& name) {
  return *std::find_if(snapshot.pending.begin(), snapshot.pending.end(),
                       [&](const PendingJob& job) { return job.name == name; });
}

NamedPlan FakeCluster::InNames(const Plan& plan) const {
  NamedPlan named;
  std::vector<std::pair<int32_t, std::string>> order;
  for (const StartGang& gang : plan.start) {
    const std::string name(snapshot.pending[gang.job].name);
    for (const Share& share : gang.places) {
      named.start[name].insert(named.start[name].end(), static_cast<size_t>(share.ranks),
                               std::string(snapshot.workers[share.worker].name));
    }
    order.emplace_back(gang.position, name);
  }
  for (const StopGang& stop : plan.stop) {
    const std::string name(snapshot.running[stop.running].name);
    named.stop[name] = stop.for_job < 0 ? "" : snapshot.pending[stop.for_job].name;
    if (stop.ranks > 0) {
      named.resize[name] = stop.ranks;
    }
  }
  for (const KeepHold& kept : plan.holds) {
    std::vector<std::string>& workers = named.holds[std::string(
        kept.job < 0 ? snapshot.running[kept.running].name : snapshot.pending[kept.job].name)];
    for (const Share& share : kept.hold.places) {
      workers.insert(workers.end(), static_cast<size_t>(share.ranks),
                     std::string(snapshot.workers[share.worker].name));
    }
  }
  for (const KeepWaiting& waiting : plan.wait) {
    const std::string name(snapshot.pending[waiting.job].name);
    const cluster::StateReason reason = ReasonOf(snapshot, waiting);
    named.codes[name] = reason.code;
    named.messages[name] = reason.message;
    order.emplace_back(waiting.position, name);
  }
  std::sort(order.begin(), order.end());
  for (const auto& [position, name] : order) {
    named.order.push_back(name);
  }
  return named;
}

FakeCluster RandomCluster(uint32_t seed) {
  std::mt19937 random(seed);
  const auto upto = [&](int32_t most) {
    return std::uniform_int_distribution<int32_t>(0, most)(random);
  };
  FakeCluster cluster;
  for (int32_t i = upto(7); i > 0; --i) {
    const int32_t slots = 1 + upto(7);
    WorkerView& worker = cluster.AddWorker(absl::StrCat("w", i), slots, upto(slots));
    worker.ready = upto(9) > 0;
    worker.cordoned = !worker.ready && upto(1) == 0;
    worker.device = upto(3) == 0 ? cluster::Device::kCuda : cluster::Device::kCpu;
    worker.cpus = upto(32);
    worker.free_since = kNow - absl::Seconds(upto(120));
  }
  const auto workers = static_cast<int32_t>(cluster.snapshot.workers.size());
  for (int32_t i = upto(15); i > 0; --i) {
    const int32_t min_ranks = 1 + upto(3);
    PendingJob& job = cluster.AddJob(absl::StrCat("j", i), min_ranks, min_ranks + upto(6),
                                     1 + upto(63), absl::StrCat("p", upto(2)));
    job.priority = static_cast<cluster::Priority>(1 + upto(2));
    job.queue_time = kNow - absl::Seconds(upto(3));
    job.device = static_cast<cluster::Device>(1 + upto(2));
    job.cpus_per_rank = upto(4);
    job.not_before = upto(5) == 0 ? kNow + absl::Seconds(5) : absl::InfinitePast();
    job.data_checked = upto(9) > 0;
    if (upto(9) == 0) {
      job.unmet_dependencies = {{"a", cluster::JobState::kRunning}};
    }
    for (int32_t worker = 0; worker < workers; ++worker) {
      if (upto(9) == 0) {
        job.excluded_workers.push_back(worker);
      }
    }
  }
  AddRandomAttempts(random, &cluster);
  cluster.snapshot.queues = {{"open", "p0"}, {"shut", "p0", /*held=*/true, "maintenance"}};
  for (PendingJob& job : cluster.snapshot.pending) {
    job.held = upto(15) == 0;
    job.queue = upto(7) - 6;
    job.preemptible = upto(1) == 0;
    job.max_runtime = upto(1) == 0 ? absl::Minutes(upto(60)) : absl::InfiniteDuration();
  }
  for (ProjectView& project : cluster.snapshot.projects) {
    project.weight = 1 + upto(2);
    project.used_slot_seconds = upto(3) * 1000;
    project.used_slot_hours = upto(10);
    project.quota.max_running_slots = upto(1) * upto(20);
    project.quota.max_running_jobs = upto(1) * upto(10);
    project.quota.max_slot_hours = upto(1) * 10;
    project.quota.guaranteed_slots = upto(1) * upto(12);
  }
  return cluster;
}

void Shuffle(std::mt19937& random, ClusterSnapshot* snapshot) {
  const std::vector<int32_t> workers = ShuffleOne(random, &snapshot->workers);
  const std::vector<int32_t> projects = ShuffleOne(random, &snapshot->projects);
  const std::vector<int32_t> holds = ShuffleOne(random, &snapshot->holds);
  ShuffleOne(random, &snapshot->pending);
  ShuffleOne(random, &snapshot->running);
  for (Hold& hold : snapshot->holds) {
    for (Share& share : hold.places) {
      share.worker = workers[share.worker];
    }
  }
  for (RunningJob& attempt : snapshot->running) {
    attempt.project = projects[attempt.project];
    attempt.hold = attempt.hold < 0 ? -1 : holds[attempt.hold];
    for (Share& share : attempt.places) {
      share.worker = workers[share.worker];
    }
  }
  for (PendingJob& job : snapshot->pending) {
    job.project = projects[job.project];
    job.hold = job.hold < 0 ? -1 : holds[job.hold];
    for (int32_t& worker : job.excluded_workers) {
      worker = workers[worker];
    }
  }
}

}  // namespace g2ll::scheduler
