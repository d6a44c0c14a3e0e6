#include "server/scheduler/preemption.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace g2ll::scheduler {

RoomMaker::RoomMaker(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy,
                     absl::Time now)
    : snapshot_(snapshot), policy_(policy), now_(now), chosen_(snapshot.running.size()) {}

// Whoever stood behind the job when it started is behind it still: the order of
// priority and queue time never changes, so two jobs cannot recall each other.
bool RoomMaker::MayRecall(const PendingJob& job, const RunningJob& attempt) const {
  const std::string_view job_project = snapshot_.projects[job.project].name;
  const std::string_view attempt_project = snapshot_.projects[attempt.project].name;
  return attempt.recallable && attempt.preemptible &&
         std::tie(attempt.priority, job.queue_time, job_project, job.name) <
             std::tie(job.priority, attempt.queue_time, attempt_project, attempt.name);
}

bool RoomMaker::MayPreempt(const PendingJob& job, const RunningJob& attempt) const {
  return attempt.preemptible && attempt.priority < job.priority &&
         now_ - attempt.start_time >= policy_.min_runtime;
}

absl::Duration RoomMaker::LostWork(const RunningJob& attempt) const {
  const absl::Time saved = std::max(attempt.start_time, attempt.checkpoint_time);
  return (now_ - saved) * attempt.world_size();
}

std::vector<RoomMaker::Candidate> RoomMaker::CandidatesFor(const PendingJob& job,
                                                           const Demand& demand,
                                                           const Board& board) const {
  std::vector<Candidate> candidates;
  for (size_t index = 0; index < snapshot_.running.size(); ++index) {
    Candidate candidate;
    candidate.running = static_cast<int32_t>(index);
    const RunningJob& attempt = snapshot_.running[index];
    if (MayRecall(job, attempt)) {
      candidate.cause = StopCause::kRecalled;
    } else if (!MayPreempt(job, attempt)) {
      continue;
    }
    if (IsStopping(candidate.running)) {
      continue;
    }
    for (const Share& share : attempt.places) {
      candidate.slots += board.Accepts(demand, share.worker) ? share.ranks : 0;
    }
    if (candidate.slots > 0) {
      candidate.lost = LostWork(attempt);
      candidates.push_back(candidate);
    }
  }
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    const RunningJob& left = snapshot_.running[a.running];
    const RunningJob& right = snapshot_.running[b.running];
    const std::string_view left_project = snapshot_.projects[left.project].name;
    const std::string_view right_project = snapshot_.projects[right.project].name;
    // Recalled before preempted, the latest start first: those operands are swapped.
    return std::tie(b.cause, left.priority, a.lost, right.start_time, left_project, left.name,
                    left.uid) < std::tie(a.cause, right.priority, b.lost, left.start_time,
                                         right_project, right.name, right.uid);
  });
  return candidates;
}

std::vector<StopGang> RoomMaker::MakeRoom(int32_t job, const Demand& demand, const Board& board,
                                          int32_t missing) {
  const std::vector<Candidate> candidates = CandidatesFor(snapshot_.pending[job], demand, board);
  std::vector<Candidate> victims;
  int32_t freed = 0;
  for (const Candidate& candidate : candidates) {
    if (freed >= missing) {
      break;
    }
    victims.push_back(candidate);
    freed += candidate.slots;
  }
  if (freed < missing) {
    return {};
  }
  // The last ones cost most: they are the first to go on if the others suffice.
  for (size_t i = victims.size(); i-- > 0;) {
    if (freed - victims[i].slots >= missing) {
      freed -= victims[i].slots;
      victims.erase(victims.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  std::vector<StopGang> stopped;
  for (const Candidate& victim : victims) {
    chosen_[victim.running] = true;
    stopped.push_back({victim.running, job, victim.cause});
  }
  return stopped;
}

}  // namespace g2ll::scheduler
