#include "server/scheduler/preemption.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace g2ll::scheduler {

RoomMaker::RoomMaker(const ClusterSnapshot& snapshot, absl::Time now, ProjectLedger* ledger)
    : snapshot_(snapshot), now_(now), ledger_(ledger), chosen_(snapshot.running.size()) {}

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

std::vector<RoomMaker::Candidate> RoomMaker::CandidatesFor(const Want& want,
                                                           const Board& board) const {
  std::vector<Candidate> candidates;
  for (size_t index = 0; index < snapshot_.running.size(); ++index) {
    const RunningJob& attempt = snapshot_.running[index];
    Candidate candidate;
    candidate.running = static_cast<int32_t>(index);
    const std::optional<StopCause> cause = CauseFor(want, attempt);
    if (!cause.has_value() || IsStopping(candidate.running)) {
      continue;
    }
    for (const Share& share : attempt.places) {
      candidate.slots += board.Accepts(want.demand, share.worker) ? share.ranks : 0;
    }
    if (candidate.slots > 0) {
      candidate.cause = *cause;
      candidate.borrowed = ledger_->Borrows(attempt.project, 0);
      candidate.lost = LostWork(attempt);
      candidates.push_back(candidate);
    }
  }
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    const RunningJob& left = snapshot_.running[a.running];
    const RunningJob& right = snapshot_.running[b.running];
    const std::string_view left_project = snapshot_.projects[left.project].name;
    const std::string_view right_project = snapshot_.projects[right.project].name;
    const bool left_stays = a.cause != StopCause::kRecalled;
    const bool right_stays = b.cause != StopCause::kRecalled;
    // Borrowed work and the latest start come first, so those operands are swapped.
    return std::tie(left_stays, b.borrowed, left.priority, a.lost, right.start_time, left_project,
                    left.name, left.uid) < std::tie(right_stays, a.borrowed, right.priority, b.lost,
                                                    left.start_time, right_project, right.name,
                                                    right.uid);
  });
  return candidates;
}

std::vector<StopGang> RoomMaker::MakeRoom(const Want& want, const Board& board) {
  std::vector<Candidate> victims;
  int32_t freed = 0;
  // Slots that projects lose, by project.
  std::vector<int32_t> lost(snapshot_.projects.size());
  for (const Candidate& candidate : CandidatesFor(want, board)) {
    if (freed >= want.missing) {
      break;
    }
    const RunningJob& attempt = snapshot_.running[candidate.running];
    // Nobody is pushed below its guarantee: what is lost already counts.
    if (candidate.cause == StopCause::kReclaimed &&
        !ledger_->Borrows(attempt.project, lost[attempt.project])) {
      continue;
    }
    victims.push_back(candidate);
    freed += candidate.slots;
    lost[attempt.project] += attempt.world_size();
  }
  if (freed < want.missing) {
    return {};
  }
  // The last ones cost most: they are the first to go on if the others suffice.
  for (size_t i = victims.size(); i-- > 0;) {
    if (freed - victims[i].slots >= want.missing) {
      freed -= victims[i].slots;
      victims.erase(victims.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  std::vector<StopGang> stopped;
  for (const Candidate& victim : victims) {
    const RunningJob& attempt = snapshot_.running[victim.running];
    chosen_[victim.running] = true;
    ledger_->Stop(attempt.project, attempt.world_size());
    stopped.push_back({victim.running, want.job, victim.cause});
  }
  return stopped;
}

}  // namespace g2ll::scheduler
