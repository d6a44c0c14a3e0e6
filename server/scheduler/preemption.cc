#include "server/scheduler/preemption.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>
#include <tuple>
#include <utility>

namespace g2ll::scheduler {

RoomMaker::RoomMaker(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy,
                     absl::Time now, ProjectLedger* ledger)
    : snapshot_(snapshot),
      policy_(policy),
      now_(now),
      ledger_(ledger),
      chosen_(snapshot.running.size()) {}

// Whoever stood behind the job when it started is behind it still: the order of
// priority and queue time never changes, so two jobs cannot recall each other.
bool RoomMaker::MayRecall(const PendingJob& job, const RunningJob& attempt) const {
  const std::string_view job_project = snapshot_.projects[job.project].name;
  const std::string_view attempt_project = snapshot_.projects[attempt.project].name;
  return attempt.recallable && attempt.preemptible &&
         std::tie(attempt.priority, job.queue_time, job_project, job.name) <
             std::tie(job.priority, attempt.queue_time, attempt_project, attempt.name);
}

bool RoomMaker::IsProtected(const RunningJob& attempt) const {
  return now_ - attempt.start_time < attempt.min_runtime;
}

bool RoomMaker::MayShrink(const Want& want, const RunningJob& attempt) const {
  const int32_t smallest = attempt.sizes.Smallest();
  return !want.only_reclaim && attempt.preemptible && !IsProtected(attempt) && smallest > 0 &&
         smallest < attempt.world_size() &&
         attempt.priority <= snapshot_.pending[want.job].priority &&
         now_ - attempt.resize_time >= policy_.resize_interval;
}

// Why the attempt may be stopped for the job, if it may.
std::optional<StopCause> RoomMaker::CauseFor(const Want& want, const RunningJob& attempt) const {
  const PendingJob& job = snapshot_.pending[want.job];
  if (!want.only_reclaim && MayRecall(job, attempt)) {
    return StopCause::kRecalled;
  }
  if (IsProtected(attempt)) {
    return std::nullopt;
  }
  if (!want.only_reclaim && attempt.preemptible && attempt.priority < job.priority) {
    return StopCause::kPreempted;
  }
  const bool reclaims = attempt.project != job.project && attempt.priority <= job.priority &&
                        ledger_->Borrows(attempt.project, 0) &&
                        ledger_->IsGuaranteed(job.project, want.need);
  return reclaims ? std::optional(StopCause::kReclaimed) : std::nullopt;
}

absl::Duration RoomMaker::LostWork(const RunningJob& attempt) const {
  const absl::Time saved = std::max(attempt.start_time, attempt.checkpoint_time);
  return (now_ - saved) * attempt.world_size();
}

int32_t RoomMaker::UsableOf(const Demand& demand, const Board& board,
                            const std::vector<Share>& places) const {
  int32_t ranks = 0;
  for (const Share& share : places) {
    ranks += board.Accepts(demand, share.worker) ? share.ranks : 0;
  }
  return ranks;
}

const std::vector<int32_t>& RoomMaker::ByCost() {
  if (!by_cost_.empty() || snapshot_.running.empty()) {
    return by_cost_;
  }
  by_cost_.resize(snapshot_.running.size());
  std::iota(by_cost_.begin(), by_cost_.end(), 0);
  std::vector<absl::Duration> lost;
  for (const RunningJob& attempt : snapshot_.running) {
    lost.push_back(LostWork(attempt));
  }
  std::sort(by_cost_.begin(), by_cost_.end(), [&](int32_t left, int32_t right) {
    const RunningJob& a = snapshot_.running[left];
    const RunningJob& b = snapshot_.running[right];
    const std::string_view project_a = snapshot_.projects[a.project].name;
    const std::string_view project_b = snapshot_.projects[b.project].name;
    // The latest start comes first, so its operands are swapped.
    return std::tie(a.priority, lost[left], b.start_time, project_a, a.name, a.uid) <
           std::tie(b.priority, lost[right], a.start_time, project_b, b.name, b.uid);
  });
  return by_cost_;
}

// In the order in which they are asked: recalled, shrunk, stopped; of each, borrowed
// work first, and then by cost.
std::vector<RoomMaker::Candidate> RoomMaker::CandidatesFor(const Want& want, const Board& board) {
  std::array<std::vector<Candidate>, 6> groups;
  for (const int32_t running : ByCost()) {
    const RunningJob& attempt = snapshot_.running[running];
    const std::optional<StopCause> cause = CauseFor(want, attempt);
    const bool may_shrink = cause != StopCause::kRecalled && MayShrink(want, attempt);
    if ((!cause.has_value() && !may_shrink) || IsStopping(running)) {
      continue;
    }
    Candidate candidate;
    candidate.running = running;
    candidate.slots = UsableOf(want.demand, board, attempt.places);
    if (candidate.slots == 0) {
      continue;
    }
    const size_t own = ledger_->Borrows(attempt.project, 0) ? 0 : 1;
    // One that may do both is asked to shrink first, and to stop if that is too little.
    if (may_shrink) {
      candidate.cause = StopCause::kShrunk;
      groups[2 + own].push_back(candidate);
    }
    if (cause.has_value()) {
      candidate.cause = *cause;
      groups[(*cause == StopCause::kRecalled ? 0 : 4) + own].push_back(candidate);
    }
  }
  std::vector<Candidate> candidates = std::move(groups[0]);
  for (size_t group = 1; group < groups.size(); ++group) {
    candidates.insert(candidates.end(), groups[group].begin(), groups[group].end());
  }
  return candidates;
}

// What stays lies on workers that do not help the job first, and on as few as possible.
void RoomMaker::Shrink(const Want& want, const Board& board, int32_t missing,
                       Candidate& candidate) const {
  const RunningJob& attempt = snapshot_.running[candidate.running];
  const int32_t all = candidate.slots;
  candidate.ranks = std::max(attempt.sizes.Largest(attempt.world_size() - std::min(missing, all)),
                             attempt.sizes.Smallest());
  std::vector<Share> places = attempt.places;
  std::sort(places.begin(), places.end(), [&](const Share& a, const Share& b) {
    return std::tuple(board.Accepts(want.demand, a.worker), -a.ranks,
                      snapshot_.workers[a.worker].name) <
           std::tuple(board.Accepts(want.demand, b.worker), -b.ranks,
                      snapshot_.workers[b.worker].name);
  });
  int32_t left = candidate.ranks;
  for (const Share& share : places) {
    if (left > 0) {
      candidate.kept.push_back({share.worker, std::min(left, share.ranks)});
      left -= candidate.kept.back().ranks;
    }
  }
  candidate.slots = all - UsableOf(want.demand, board, candidate.kept);
}

// Takes candidates in their order until they free enough.
std::vector<RoomMaker::Candidate> RoomMaker::Choose(const Want& want, const Board& board) {
  std::vector<Candidate> chosen;
  int32_t freed = 0;
  // Slots that projects lose, by project.
  std::vector<int32_t> lost(snapshot_.projects.size());
  for (Candidate& candidate : CandidatesFor(want, board)) {
    if (freed >= want.missing) {
      break;
    }
    const RunningJob& attempt = snapshot_.running[candidate.running];
    if (candidate.cause == StopCause::kShrunk) {
      Shrink(want, board, want.missing - freed, candidate);
    }
    // Nobody is pushed below its guarantee: what is lost already counts.
    if (candidate.slots == 0 || (candidate.cause == StopCause::kReclaimed &&
                                 !ledger_->Borrows(attempt.project, lost[attempt.project]))) {
      continue;
    }
    const auto shrunk = std::find_if(chosen.begin(), chosen.end(), [&](const Candidate& earlier) {
      return earlier.running == candidate.running;
    });
    if (shrunk != chosen.end()) {
      freed -= shrunk->slots;
      lost[attempt.project] -= attempt.world_size() - shrunk->ranks;
      chosen.erase(shrunk);
    }
    freed += candidate.slots;
    lost[attempt.project] += attempt.world_size() - candidate.ranks;
    chosen.push_back(std::move(candidate));
  }
  if (freed < want.missing) {
    return {};
  }
  // The last ones cost most: they are the first to go on if the others suffice.
  for (size_t i = chosen.size(); i-- > 0;) {
    if (freed - chosen[i].slots >= want.missing) {
      freed -= chosen[i].slots;
      chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return chosen;
}

std::vector<RoomMaker::Stop> RoomMaker::MakeRoom(const Want& want, const Board& board) {
  std::vector<Stop> stops;
  for (Candidate& candidate : Choose(want, board)) {
    const RunningJob& attempt = snapshot_.running[candidate.running];
    chosen_[candidate.running] = true;
    ledger_->Stop(attempt.project, attempt.world_size() - candidate.ranks);
    stops.push_back({{candidate.running, want.job, candidate.cause, candidate.ranks},
                     std::move(candidate.kept)});
  }
  return stops;
}

}  // namespace g2ll::scheduler
