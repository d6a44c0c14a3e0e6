#include "server/coordinator/gang.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptPhase;
using cluster::AttemptRecord;
using cluster::AttemptState;
using cluster::AttemptStatus;
using cluster::FailureClass;
using cluster::FailureRecord;
using cluster::RankStatus;

// A failure with the time by which the first one is found.
struct TimedFailure {
  FailureRecord failure;
  absl::Time time;
};

bool EndedWell(const RankStatus& rank) {
  return rank.exited && rank.exit_code == 0 && rank.signal == 0;
}

FailureClass ClassOfExit(const RankStatus& rank) {
  if (rank.signal != 0) {
    return FailureClass::kKilled;
  }
  switch (rank.exit_code) {
    case 75:  // Preempted without being asked.
    case 76:  // Fenced.
    case 81:
      return FailureClass::kCollective;
    case 77:
      return FailureClass::kConfig;
    case 78:
      return FailureClass::kData;
    case 79:
      return FailureClass::kNonFinite;
    case 80:
      return FailureClass::kOutOfMemory;
    default:
      return FailureClass::kUnknown;
  }
}

FailureRecord MemberFailure(const GangMember& member, FailureClass failure_class,
                            std::string message) {
  FailureRecord failure;
  failure.failure_class = failure_class;
  failure.rank = member.ranks.empty() ? -1 : member.ranks.front();
  failure.worker = member.worker;
  failure.message = std::move(message);
  return failure;
}

// Failures that a member's report shows, with or without its own word for it.
void AddReported(const GangMember& member, const AttemptRecord& attempt, absl::Time now,
                 std::vector<TimedFailure>* found) {
  const AttemptStatus& status = *member.status;
  if (status.failure.has_value()) {
    FailureRecord failure = *status.failure;
    if (failure.worker.empty()) {
      failure.worker = member.worker;
    }
    if (member.draining && failure.failure_class == FailureClass::kWorkerLost) {
      failure.reason = kWorkerStopped;
    }
    found->push_back({std::move(failure),
                      status.failure_time == absl::InfinitePast() ? now : status.failure_time});
    return;
  }
  // The agent knows which ends it asked for; all others are failures to it.
  if (IsEnding(attempt)) {
    return;
  }
  for (const RankStatus& rank : status.ranks) {
    if (rank.exited && !EndedWell(rank)) {
      FailureRecord failure =
          MemberFailure(member, ClassOfExit(rank),
                        rank.signal != 0 ? absl::StrCat("killed by signal ", rank.signal)
                                         : absl::StrCat("ended with exit code ", rank.exit_code));
      failure.rank = rank.rank;
      failure.exit_code = rank.exit_code;
      failure.signal = rank.signal;
      found->push_back({std::move(failure), now});
    }
  }
}

bool AllEndedWell(const GangMember& member) {
  return member.status != nullptr && member.status->phase == AttemptPhase::kEnded &&
         member.status->ranks.size() == member.ranks.size() &&
         std::all_of(member.status->ranks.begin(), member.status->ranks.end(), EndedWell);
}

// Whether this member says that nothing of the attempt runs there any more.
bool SaysOver(const GangMember& member, const AttemptRecord& attempt) {
  if (member.status != nullptr) {
    return member.status->phase == AttemptPhase::kEnded;
  }
  // A complete report without the attempt. While the attempt is being prepared
  // the report may be older than the wish.
  return member.reported && (member.seen || attempt.state != AttemptState::kPreparing);
}

// The gang finishes steps although a member is silent. Every step needs every rank, so
// that member trains too.
bool StillSteps(const AttemptRecord& attempt, const std::vector<GangMember>& members,
                const CoreOptions& options, absl::Time now) {
  return attempt.state == AttemptState::kRunning &&
         std::any_of(members.begin(), members.end(), [&](const GangMember& member) {
           return !member.silent && now - member.step_time < options.lost_after;
         });
}

// All members that can be reached have ended, and there is one.
bool ReachableHaveEnded(const AttemptRecord& attempt, const std::vector<GangMember>& members) {
  bool found = false;
  for (const GangMember& member : members) {
    if (member.silent || member.disconnected) {
      continue;
    }
    if (!SaysOver(member, attempt)) {
      return false;
    }
    found = true;
  }
  return found;
}

// Members that are given up.
std::vector<const GangMember*> FindLost(const AttemptRecord& attempt,
                                        const std::vector<GangMember>& members,
                                        const CoreOptions& options, absl::Time now) {
  const bool still_steps = StillSteps(attempt, members, options, now);
  const bool others_ended = ReachableHaveEnded(attempt, members);
  std::vector<const GangMember*> lost;
  for (const GangMember& member : members) {
    if (SaysOver(member, attempt)) {
      continue;
    }
    const bool waited_for = still_steps && now - member.heard < options.contact_limit;
    if ((member.silent && !waited_for) ||
        ((member.silent || member.disconnected) && others_ended)) {
      lost.push_back(&member);
    }
  }
  return lost;
}

std::string TimeOf(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

FailureRecord LostFailure(const GangMember& member) {
  return MemberFailure(member, FailureClass::kWorkerLost,
                       absl::StrCat("worker ", member.worker, " was lost: nothing was heard of it ",
                                    member.heard == absl::InfinitePast()
                                        ? "since the coordinator started"
                                        : absl::StrCat("since ", TimeOf(member.heard))));
}

void AddUnreported(const GangMember& member, const AttemptRecord& attempt, absl::Time now,
                   std::vector<TimedFailure>* found) {
  if (member.restarted || (attempt.state != AttemptState::kStopping && SaysOver(member, attempt))) {
    found->push_back({MemberFailure(member, FailureClass::kWorkerLost,
                                    absl::StrCat("worker ", member.worker,
                                                 " no longer has the attempt: its agent was "
                                                 "started again")),
                      now});
  }
}

// All hosts must see the same data; names the first that differs from the first host.
std::optional<FailureRecord> DataDiffers(const std::vector<GangMember>& members) {
  const GangMember* first = nullptr;
  for (const GangMember& member : members) {
    if (member.status == nullptr || member.status->data_digest.empty()) {
      continue;
    }
    if (first == nullptr) {
      first = &member;
    } else if (member.status->data_digest != first->status->data_digest) {
      FailureRecord failure = MemberFailure(
          member, FailureClass::kData,
          absl::StrCat("the data on worker ", member.worker, " differs from that on worker ",
                       first->worker, " (digests ", member.status->data_digest.substr(0, 12),
                       " and ", first->status->data_digest.substr(0, 12),
                       "): give all hosts the same files"));
      failure.reason = "DATA_DIFFERS";
      return failure;
    }
  }
  return std::nullopt;
}

std::optional<FailureRecord> TookTooLong(const AttemptRecord& attempt,
                                         const std::vector<GangMember>& members,
                                         const CoreOptions& options, absl::Time now) {
  const bool preparing = attempt.state == AttemptState::kPreparing;
  if (!preparing && attempt.state != AttemptState::kRendezvous) {
    return std::nullopt;
  }
  const absl::Duration limit = preparing ? options.prepare_limit : options.rendezvous_limit;
  if (now - attempt.state_time < limit) {
    return std::nullopt;
  }
  FailureRecord failure;
  failure.failure_class = FailureClass::kStartTimeout;
  std::string late;
  for (const GangMember& member : members) {
    const AttemptPhase done = preparing ? AttemptPhase::kPrepared : AttemptPhase::kTraining;
    if (member.status == nullptr || member.status->phase < done) {
      absl::StrAppend(&late, late.empty() ? "" : ", ", member.worker);
    }
  }
  failure.message = absl::StrCat("the gang did not ", preparing ? "prepare" : "form its group",
                                 " within ", absl::FormatDuration(limit), "; late: ", late);
  return failure;
}

std::optional<FailureRecord> FirstCause(std::vector<TimedFailure> found) {
  if (found.empty()) {
    return std::nullopt;
  }
  return std::min_element(found.begin(), found.end(),
                          [](const TimedFailure& a, const TimedFailure& b) {
                            return std::tuple(IsEcho(a.failure), a.time, a.failure.rank) <
                                   std::tuple(IsEcho(b.failure), b.time, b.failure.rank);
                          })
      ->failure;
}

// What a member's report says besides failures.
void TakeReport(const GangMember& member, const AttemptRecord& attempt, absl::Time now,
                std::vector<TimedFailure>* failures, GangVerdict* verdict) {
  const AttemptStatus& status = *member.status;
  if (status.phase == AttemptPhase::kEnded && failures->empty() && !AllEndedWell(member) &&
      !IsEnding(attempt)) {
    failures->push_back(
        {MemberFailure(member, FailureClass::kUnknown, "ended without a result from every rank"),
         now});
  }
  if (!status.store_address.empty()) {
    verdict->store_address = status.store_address;
  }
  if (!status.report_path.empty()) {
    verdict->report_path = status.report_path;
  }
  // Rank 0 speaks for the gang; where it cannot be heard, the next one that does.
  if (status.progress.has_value() && !verdict->progress.has_value()) {
    verdict->progress = status.progress;
  }
  if (verdict->waits_for.empty() && !status.message.empty()) {
    verdict->waits_for = absl::StrCat(member.worker, ": ", status.message);
  }
}

bool HasReached(const GangMember& member, AttemptPhase phase) {
  return member.status != nullptr && member.status->phase >= phase &&
         member.status->phase != AttemptPhase::kStop;
}

}  // namespace

bool IsEcho(const FailureRecord& failure) {
  return failure.failure_class == FailureClass::kCollective;
}

std::vector<GangMember> MembersOf(const AttemptRecord& attempt) {
  std::vector<GangMember> members;
  for (size_t rank = 0; rank < attempt.workers.size(); ++rank) {
    const std::string& worker = attempt.workers[rank];
    auto member = std::find_if(members.begin(), members.end(),
                               [&](const GangMember& known) { return known.worker == worker; });
    if (member == members.end()) {
      member = members.emplace(members.end());
      member->worker = worker;
    }
    member->ranks.push_back(static_cast<int32_t>(rank));
  }
  return members;
}

bool IsEnding(const AttemptRecord& attempt) {
  return attempt.state == AttemptState::kStopping || attempt.kill ||
         attempt.stop_deadline != absl::InfinitePast();
}

GangVerdict Judge(const AttemptRecord& attempt, const std::vector<GangMember>& members,
                  const CoreOptions& options, absl::Time now) {
  GangVerdict verdict;
  verdict.all_prepared = verdict.all_training = verdict.all_over = verdict.all_succeeded = true;
  const std::vector<const GangMember*> lost = FindLost(attempt, members, options, now);
  std::vector<TimedFailure> failures;
  for (const GangMember& member : members) {
    const bool is_lost = std::find(lost.begin(), lost.end(), &member) != lost.end();
    verdict.all_prepared &= HasReached(member, AttemptPhase::kPrepared);
    verdict.all_training &= HasReached(member, AttemptPhase::kTraining);
    verdict.all_over &= is_lost || SaysOver(member, attempt);
    verdict.all_succeeded &= AllEndedWell(member);
    if (is_lost) {
      verdict.lost.push_back(member.worker);
      failures.push_back({LostFailure(member), now});
      continue;
    }
    if (member.silent) {
      verdict.contact_lost =
          absl::StrCat("worker ", member.worker, " has not been heard of since ",
                       TimeOf(member.heard), ", but the gang still trains: it goes on, until ",
                       TimeOf(member.heard + options.contact_limit), " at most");
    }
    if (member.status == nullptr || member.restarted) {
      AddUnreported(member, attempt, now, &failures);
      continue;
    }
    AddReported(member, attempt, now, &failures);
    TakeReport(member, attempt, now, &failures, &verdict);
  }
  verdict.failure = FirstCause(std::move(failures));
  if (!verdict.failure.has_value()) {
    verdict.failure = DataDiffers(members);
  }
  if (!verdict.failure.has_value()) {
    verdict.failure = TookTooLong(attempt, members, options, now);
  }
  return verdict;
}

std::string Describe(const FailureRecord& failure) {
  std::string text;
  if (failure.rank >= 0) {
    absl::StrAppend(&text, "rank ", failure.rank);
  }
  if (!failure.worker.empty()) {
    absl::StrAppend(&text, text.empty() ? "on " : " on ", failure.worker);
  }
  return absl::StrCat(text, text.empty() ? "" : ": ", failure.message);
}

}  // namespace g2ll::coordinator
