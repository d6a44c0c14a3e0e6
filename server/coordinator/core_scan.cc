// A second look at everything, twice a minute: what ought to move and does not. Nothing
// of it may ever happen; what does is counted, logged and, where that is safe, mended.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/log.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptRecord;
using cluster::AttemptState;
using cluster::JobEvent;
using cluster::JobState;

constexpr absl::Duration kScanInterval = absl::Seconds(30);
// How long a stop may take beyond its deadline: the agent's graces, and its silence.
constexpr absl::Duration kStopSlack = absl::Minutes(2);
// How long a worker may hold what it has been told to end.
constexpr absl::Duration kLeftoverSlack = absl::Minutes(2);

bool NeedsAttempt(JobState state) {
  return state != JobState::kPending && state != JobState::kPaused && !cluster::IsTerminal(state);
}

}  // namespace

void Core::Scan(absl::Time now) {
  if (now < next_scan_) {
    return;
  }
  next_scan_ = now + kScanInterval;
  LiftExclusions(now);
  CountStalls("undriven", FindUndriven(now));
  CountStalls("late_stop", FindLateStops(now));
  CountStalls("held_slot", FindLeftovers(now));
}

void Core::CountStalls(const std::string& kind, const std::vector<std::string>& stalls) {
  metrics_->SetStalls(kind, static_cast<int64_t>(stalls.size()));
  if (!stalls.empty()) {
    log::Error("stalled", {{"kind", kind},
                           {"count", static_cast<int64_t>(stalls.size())},
                           {"which", absl::StrJoin(stalls, ", ")}});
  }
}

// Jobs that count as placed and that nobody drives: without an attempt, or with one on a
// worker that nobody waits for.
std::vector<std::string> Core::FindUndriven(absl::Time now) {
  std::vector<std::string> found;
  const std::set<std::string> unfinished = unfinished_;
  for (const std::string& uid : unfinished) {
    const JobPtr job = Find(uid);
    const AttemptRecord* attempt = job->LiveAttempt();
    if (attempt == nullptr && NeedsAttempt(job->state)) {
      found.push_back(absl::StrCat(job->FullName(), " ", std::string(cluster::Name(job->state))));
      // The three states that were asked for can go on; others keep being reported.
      if (cluster::Transition(job->state, JobEvent::kStopped).ok()) {
        Move(Edit(uid), JobEvent::kStopped, job->reason, "coordinator", now).IgnoreError();
      }
    } else if (attempt != nullptr &&
               std::any_of(attempt->workers.begin(), attempt->workers.end(),
                           [&](const auto& name) { return !workers_.contains(name); })) {
      found.push_back(absl::StrCat(job->FullName(), " on an unknown worker"));
    }
  }
  AdoptWorkers(now);
  return found;
}

std::vector<std::string> Core::FindLateStops(absl::Time now) {
  std::vector<std::string> found;
  for (const std::string& uid : placed_) {
    const AttemptRecord& attempt = *Find(uid)->LiveAttempt();
    const absl::Time since =
        attempt.state == AttemptState::kStopping ? attempt.state_time : attempt.stop_deadline;
    if (since != absl::InfinitePast() && now - since > kStopSlack) {
      found.push_back(absl::StrCat(Find(uid)->FullName(), " attempt ", attempt.number));
    }
  }
  return found;
}

// Slots that an agent keeps for attempts which are over.
std::vector<std::string> Core::FindLeftovers(absl::Time now) {
  std::vector<std::string> found;
  for (auto& [name, worker] : workers_) {
    std::map<AttemptId, absl::Time> leftovers;
    for (const cluster::AttemptStatus& status : worker.record.report.attempts) {
      const AttemptId id(status.job_uid, status.epoch);
      if (worker.session == nullptr || status.phase == cluster::AttemptPhase::kEnded ||
          IsWanted(name, id)) {
        continue;
      }
      const auto known = worker.leftovers.find(id);
      const absl::Time since = known == worker.leftovers.end() ? now : known->second;
      leftovers[id] = since;
      if (now - since > kLeftoverSlack) {
        found.push_back(absl::StrCat("job ", id.first, " epoch ", id.second, " on ", name));
      }
    }
    worker.leftovers = std::move(leftovers);
  }
  return found;
}

}  // namespace g2ll::coordinator
