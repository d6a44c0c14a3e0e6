#include "tests/server/plan_simulation.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace g2ll::scheduler {
namespace {

constexpr absl::Duration kStep = absl::Seconds(1);
constexpr absl::Duration kStopTakes = absl::Seconds(10);

}  // namespace

Simulation::Simulation(const std::vector<int32_t>& slots)
    : slots_(slots), free_(slots), free_since_(slots.size(), kNow) {
  for (size_t i = 0; i < slots.size(); ++i) {
    worker_names_.push_back(absl::StrCat("w", i));
  }
}

void Simulation::Submit(SimulatedJob spec) {
  Job job;
  job.submitted = now_;
  job.left = absl::ToDoubleSeconds(spec.work) * spec.max_ranks;
  const std::string name = spec.name;
  job.spec = std::move(spec);
  ASSERT_TRUE(jobs_.emplace(name, std::move(job)).second) << name;
}

void Simulation::Run(absl::Duration duration) {
  const absl::Time end = now_ + duration;
  while (now_ < end) {
    Cycle();
    now_ += kStep;
    Work();
  }
}

void Simulation::Free(Job& job) {
  for (const Share& share : job.places) {
    free_[share.worker] += share.ranks;
    free_since_[share.worker] = now_;
  }
  job.last_size = SumOf(job.places);
  job.places.clear();
  job.running = false;
  job.stop_at = absl::InfiniteFuture();
}

void Simulation::Work() {
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    if (job->second.running) {
      job->second.left -= SumOf(job->second.places) * absl::ToDoubleSeconds(kStep);
      if (job->second.left <= 0) {
        Free(job->second);
        ended_[job->first] = now_;
        job = jobs_.erase(job);
        continue;
      }
      if (job->second.stop_at <= now_) {
        Free(job->second);
      }
    }
    ++job;
  }
}

void Simulation::Cycle() {
  FakeCluster cluster;
  cluster.policy = policy;
  for (size_t i = 0; i < slots_.size(); ++i) {
    cluster.AddWorker(worker_names_[i], slots_[i], free_[i]).free_since = free_since_[i];
  }
  for (auto& [name, job] : jobs_) {
    const auto add_hold = [&, &job = job]() {
      if (job.hold.places.empty()) {
        return -1;
      }
      cluster.snapshot.holds.push_back(std::exchange(job.hold, {}));
      return static_cast<int32_t>(cluster.snapshot.holds.size()) - 1;
    };
    if (job.running) {
      RunningJob& view = cluster.AddRunning(name, {}, job.spec.project);
      view.places = job.places;
      view.priority = job.spec.priority;
      view.queue_time = job.submitted;
      view.start_time = job.start;
      view.preemptible = job.spec.preemptible;
      view.recallable = job.recallable;
      view.max_runtime = job.spec.max_runtime;
      view.stopping = job.stop_at != absl::InfiniteFuture();
      view.sizes = {job.spec.min_ranks, job.spec.max_ranks, 720720};
      view.resize_time = job.resize_time;
      view.hold = add_hold();
      continue;
    }
    PendingJob& view =
        cluster.AddJob(name, job.spec.min_ranks, job.spec.max_ranks, 0, job.spec.project);
    view.priority = job.spec.priority;
    view.queue_time = job.submitted;
    view.preemptible = job.spec.preemptible;
    view.max_runtime = job.spec.max_runtime;
    view.blocked_since = job.blocked_since;
    view.hold = add_hold();
  }
  for (ProjectView& project : cluster.snapshot.projects) {
    if (const auto known = projects.find(std::string(project.name)); known != projects.end()) {
      const std::string_view name = project.name;
      project = known->second;
      project.name = name;
    }
  }
  const Plan plan = cluster.Next(now_);
  for (const StartGang& gang : plan.start) {
    const std::string name(cluster.snapshot.pending[gang.job].name);
    Job& job = jobs_.at(name);
    job.running = true;
    job.recallable = gang.recallable;
    job.places = gang.places;
    job.start = now_;
    if (job.last_size > 0 && job.last_size != gang.world_size()) {
      job.resize_time = now_;
    }
    first_start_.emplace(name, now_ - job.submitted);
    for (const Share& share : gang.places) {
      free_[share.worker] -= share.ranks;
      ASSERT_GE(free_[share.worker], 0) << "a slot is used twice";
    }
  }
  for (const StopGang& stop : plan.stop) {
    const std::string name(cluster.snapshot.running[stop.running].name);
    jobs_.at(name).stop_at = now_ + kStopTakes;
    ++stops_[name];
  }
  for (const KeepHold& kept : plan.holds) {
    const std::string_view name = kept.job < 0 ? cluster.snapshot.running[kept.running].name
                                               : cluster.snapshot.pending[kept.job].name;
    jobs_.at(std::string(name)).hold = kept.hold;
  }
  for (const BlockedHead& head : plan.heads) {
    jobs_.at(std::string(cluster.snapshot.pending[head.job].name)).blocked_since = head.since;
  }
}

absl::Duration Simulation::WaitOf(const std::string& name) const {
  const auto start = first_start_.find(name);
  return start == first_start_.end() ? absl::InfiniteDuration() : start->second;
}

int32_t Simulation::StopsOf(const std::string& name) const {
  const auto stops = stops_.find(name);
  return stops == stops_.end() ? 0 : stops->second;
}

int32_t Simulation::stops() const {
  int32_t stops = 0;
  for (const auto& [name, count] : stops_) {
    stops += count;
  }
  return stops;
}

int32_t Simulation::SizeOf(const std::string& name) const {
  const auto job = jobs_.find(name);
  return job == jobs_.end() ? 0 : SumOf(job->second.places);
}

int32_t Simulation::running_slots() const {
  int32_t slots = 0;
  for (const auto& [name, job] : jobs_) {
    slots += SumOf(job.places);
  }
  return slots;
}

}  // namespace g2ll::scheduler
