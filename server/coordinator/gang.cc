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
void AddReported(const GangMember& member, absl::Time now, std::vector<TimedFailure>* found) {
  const AttemptStatus& status = *member.status;
  if (status.failure.has_value()) {
    FailureRecord failure = *status.failure;
    if (failure.worker.empty()) {
      failure.worker = member.worker;
    }
    found->push_back({std::move(failure),
                      status.failure_time == absl::InfinitePast() ? now : status.failure_time});
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

// Whether nothing of the attempt runs on this member any more.
bool IsOver(const GangMember& member, const AttemptRecord& attempt) {
  if (member.lost) {
    return true;
  }
  if (member.status != nullptr) {
    return member.status->phase == AttemptPhase::kEnded;
  }
  // A complete report without the attempt. While the attempt is being prepared
  // the report may be older than the wish.
  return member.reported && (member.seen || attempt.state != AttemptState::kPreparing);
}

void AddUnreported(const GangMember& member, const AttemptRecord& attempt,
                   const CoreOptions& options, absl::Time now, std::vector<TimedFailure>* found) {
  if (member.lost) {
    found->push_back({MemberFailure(member, FailureClass::kWorkerLost,
                                    absl::StrCat("worker ", member.worker,
                                                 " was lost: nothing was heard of it for ",
                                                 absl::FormatDuration(options.lost_after))),
                      now});
  } else if (attempt.state != AttemptState::kStopping && IsOver(member, attempt)) {
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

GangVerdict Judge(const AttemptRecord& attempt, const std::vector<GangMember>& members,
                  const CoreOptions& options, absl::Time now) {
  GangVerdict verdict;
  verdict.all_prepared = verdict.all_training = verdict.all_over = verdict.all_succeeded = true;
  std::vector<TimedFailure> failures;
  for (const GangMember& member : members) {
    verdict.all_prepared &= HasReached(member, AttemptPhase::kPrepared);
    verdict.all_training &= HasReached(member, AttemptPhase::kTraining);
    verdict.all_over &= IsOver(member, attempt);
    verdict.all_succeeded &= AllEndedWell(member);
    if (member.lost || member.status == nullptr) {
      AddUnreported(member, attempt, options, now, &failures);
      continue;
    }
    AddReported(member, now, &failures);
    if (member.status->phase == AttemptPhase::kEnded && failures.empty() && !AllEndedWell(member)) {
      failures.push_back(
          {MemberFailure(member, FailureClass::kUnknown, "ended without a result from every rank"),
           now});
    }
    if (!member.status->store_address.empty()) {
      verdict.store_address = member.status->store_address;
    }
    if (!member.status->report_path.empty()) {
      verdict.report_path = member.status->report_path;
    }
    if (member.status->progress.has_value() && member.ranks.front() == 0) {
      verdict.progress = member.status->progress;
    }
    if (verdict.waits_for.empty() && !member.status->message.empty()) {
      verdict.waits_for = absl::StrCat(member.worker, ": ", member.status->message);
    }
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
