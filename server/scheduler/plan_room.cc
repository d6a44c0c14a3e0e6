// Attempts that are asked to stop, and slots that are held while they come free.
#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "server/scheduler/planner.h"

namespace g2ll::scheduler {

// Keeps the slots of holds from all others. A hold whose slots are not there any
// more, or whose job cannot start, is over.
void Planner::PutHoldsAside() {
  std::vector<const PendingJob*> jobs;
  std::vector<int32_t> attempts;
  const auto is_open = [&](int32_t hold) {
    return hold >= 0 && snapshot_.holds[hold].until > now_;
  };
  for (const PendingJob& job : snapshot_.pending) {
    if (is_open(job.hold) && job.sizes.Smallest() > 0 &&
        !NotYet(snapshot_, job, now_).has_value()) {
      jobs.push_back(&job);
    }
  }
  for (size_t index = 0; index < snapshot_.running.size(); ++index) {
    if (is_open(snapshot_.running[index].hold) && snapshot_.running[index].stopping) {
      attempts.push_back(static_cast<int32_t>(index));
    }
  }
  std::sort(jobs.begin(), jobs.end(),
            [](const PendingJob* a, const PendingJob* b) { return a->uid < b->uid; });
  std::sort(attempts.begin(), attempts.end(), [&](int32_t a, int32_t b) {
    return snapshot_.running[a].uid < snapshot_.running[b].uid;
  });
  for (const PendingJob* job : jobs) {
    PutAside(*job);
  }
  for (const int32_t running : attempts) {
    PutAside(running);
  }
}

void Planner::PutAside(const PendingJob& job) {
  const Hold& hold = snapshot_.holds[job.hold];
  const Demand demand{board_.Resolve(job.device, job.cpus_per_rank, job.sizes.Smallest()),
                      job.cpus_per_rank, job.excluded_workers};
  const bool useful = std::all_of(hold.places.begin(), hold.places.end(), [&](const Share& share) {
    return board_.Accepts(demand, share.worker);
  });
  if (useful && SumOf(hold.places) >= job.sizes.Smallest()) {
    held_[job.hold] = board_.Hold(hold.places);
  }
}

// An attempt that stops only to go on with another number of ranks.
void Planner::PutAside(int32_t running) {
  const int32_t hold = snapshot_.running[running].hold;
  held_[hold] = board_.Hold(snapshot_.holds[hold].places);
  if (held_[hold].has_value()) {
    plan_.holds.push_back({-1, running, snapshot_.holds[hold]});
  }
}

// A job for which attempts were asked to stop: it starts as soon as it fits.
void Planner::ConsiderHeld(KeepWaiting& waiting, const Demand& demand) {
  const PendingJob& job = snapshot_.pending[waiting.job];
  const Hold& hold = snapshot_.holds[job.hold];
  board_.Release(*held_[job.hold]);
  const int32_t free = board_.SupplyFor(demand).free;
  if (TryStart(waiting.job, demand, hold.ranks > 0 ? std::min(free, hold.ranks) : free)) {
    return;
  }
  held_[job.hold] = board_.Hold(hold.places);
  waiting.coming = SumOf(held_[job.hold]->soon);
  waiting.estimated_start = hold.until - policy_.hold_slack;
  ledger_.Start(job.project, waiting.need);
  plan_.holds.push_back({waiting.job, -1, hold});
  Wait(waiting, WaitCode::kWaitingForPreemption);
}

// Asks attempts to stop for a job that does not fit. Nobody is asked while enough
// slots come free anyway.
bool Planner::MakeRoom(KeepWaiting& waiting, const Demand& demand) {
  const int32_t missing = waiting.need - waiting.supply.free - waiting.supply.soon;
  return missing > 0 && StopFor(waiting, {waiting.job, demand, waiting.need, missing});
}

// Takes back the guarantee of a project whose job stands behind a reservation. Once
// in a cycle for each project: if it fails for one job, others have to wait too.
bool Planner::Reclaim(KeepWaiting& waiting, const Demand& demand) {
  const int32_t project = snapshot_.pending[waiting.job].project;
  if (reclaim_tried_[project] || !ledger_.IsGuaranteed(project, waiting.need)) {
    return false;
  }
  reclaim_tried_[project] = true;
  // All that it needs, so that the head loses nothing.
  return StopFor(waiting, {waiting.job, demand, waiting.need, waiting.need, true});
}

// Chooses attempts to stop, and holds the slots that the job gets.
bool Planner::StopFor(KeepWaiting& waiting, const RoomMaker::Want& want) {
  const std::vector<RoomMaker::Stop> stops = room_.MakeRoom(want, board_);
  if (stops.empty()) {
    return false;
  }
  absl::Duration grace;
  for (const RoomMaker::Stop& stop : stops) {
    const RunningJob& attempt = snapshot_.running[stop.gang.running];
    grace = std::max(grace, attempt.grace);
    board_.AddSoon(attempt.places);
    plan_.stop.push_back(stop.gang);
  }
  const absl::Time until = now_ + grace + policy_.hold_slack;
  for (const RoomMaker::Stop& stop : stops) {
    if (stop.gang.ranks > 0) {
      // Its own slots come free, so the board has them.
      board_.Hold(stop.kept);
      plan_.holds.push_back({-1, stop.gang.running, {stop.kept, until, stop.gang.ranks}});
    }
  }
  Hold hold{board_.FindSoon(want.demand, want.need), until};
  // The board has just found these places.
  waiting.coming = SumOf(board_.Hold(hold.places)->soon);
  waiting.estimated_start = until - policy_.hold_slack;
  ledger_.Start(snapshot_.pending[waiting.job].project, want.need);
  plan_.holds.push_back({waiting.job, -1, std::move(hold)});
  return true;
}

// Gives slots that nobody has used for a while, and that no waiting job could use, to
// attempts that run with fewer ranks than they may.
void Planner::GrowAttempts() {
  std::vector<int32_t> attempts;
  for (size_t index = 0; index < snapshot_.running.size(); ++index) {
    if (MayGrow(static_cast<int32_t>(index))) {
      attempts.push_back(static_cast<int32_t>(index));
    }
  }
  std::sort(attempts.begin(), attempts.end(), [&](int32_t left, int32_t right) {
    const RunningJob& a = snapshot_.running[left];
    const RunningJob& b = snapshot_.running[right];
    const std::string_view project_a = snapshot_.projects[a.project].name;
    const std::string_view project_b = snapshot_.projects[b.project].name;
    return std::tie(b.priority, a.queue_time, project_a, a.name, a.uid) <
           std::tie(a.priority, b.queue_time, project_b, b.name, b.uid);
  });
  for (const int32_t running : attempts) {
    Grow(running);
  }
}

bool Planner::MayGrow(int32_t running) const {
  const RunningJob& attempt = snapshot_.running[running];
  const bool is_whole =
      attempt.sizes.Largest(std::numeric_limits<int32_t>::max()) <= attempt.world_size();
  if (!attempt.preemptible || attempt.places.empty() || is_whole || room_.IsStopping(running) ||
      now_ - attempt.start_time < attempt.min_runtime ||
      now_ - attempt.resize_time < policy_.resize_interval) {
    return false;
  }
  const cluster::Device device = snapshot_.workers[attempt.places.front().worker].device;
  return device == cluster::Device::kCuda ? !wanted_cuda_ : !wanted_cpu_;
}

// Free slots that the attempt could have on top: on its own workers first, then where
// the most are.
std::vector<Share> Planner::IdleFor(const Demand& demand, const RunningJob& attempt) const {
  std::vector<Share> idle;
  for (size_t index = 0; index < snapshot_.workers.size(); ++index) {
    const auto worker = static_cast<int32_t>(index);
    if (now_ - snapshot_.workers[worker].free_since >= policy_.grow_after_idle &&
        board_.Accepts(demand, worker) && board_.FreeOf(worker) > 0) {
      idle.push_back({worker, board_.FreeOf(worker)});
    }
  }
  const auto is_other = [&](const Share& share) {
    return std::none_of(attempt.places.begin(), attempt.places.end(),
                        [&](const Share& own) { return own.worker == share.worker; });
  };
  std::sort(idle.begin(), idle.end(), [&](const Share& a, const Share& b) {
    return std::tuple(is_other(a), -a.ranks, snapshot_.workers[a.worker].name) <
           std::tuple(is_other(b), -b.ranks, snapshot_.workers[b.worker].name);
  });
  return idle;
}

void Planner::Grow(int32_t running) {
  const RunningJob& attempt = snapshot_.running[running];
  const Demand demand{snapshot_.workers[attempt.places.front().worker].device,
                      attempt.cpus_per_rank, attempt.excluded_workers};
  const bool can_stay =
      std::all_of(attempt.places.begin(), attempt.places.end(),
                  [&](const Share& share) { return board_.Accepts(demand, share.worker); });
  if (!can_stay) {
    return;
  }
  const std::vector<Share> idle = IdleFor(demand, attempt);
  const int32_t size = attempt.world_size();
  const int32_t target =
      attempt.sizes.Largest(size + std::min(SumOf(idle), ledger_.Room(attempt.project)));
  if (target <= size) {
    return;
  }
  std::vector<Share> places = attempt.places;
  int32_t left = target - size;
  for (const Share& share : idle) {
    const int32_t ranks = std::min(left, share.ranks);
    const auto own = std::find_if(places.begin(), places.end(),
                                  [&](const Share& place) { return place.worker == share.worker; });
    if (own != places.end()) {
      own->ranks += ranks;
    } else if (ranks > 0) {
      places.push_back({share.worker, ranks});
    }
    left -= ranks;
  }
  // Its own slots come free, and the others are.
  board_.AddSoon(attempt.places);
  board_.Hold(places);
  plan_.stop.push_back({running, -1, StopCause::kGrown, target});
  plan_.holds.push_back(
      {-1, running, {std::move(places), now_ + attempt.grace + policy_.hold_slack, target}});
}

}  // namespace g2ll::scheduler
