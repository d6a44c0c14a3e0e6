#include "server/coordinator/recovery.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/coordinator/gang.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptRecord;
using cluster::FailureClass;
using cluster::FailureRecord;
using cluster::JobRecord;
using cluster::StateReason;

constexpr int kSigkill = 9;
// Attempts in a row without a newer checkpoint that end the job.
constexpr int32_t kMostWithoutProgress = 3;
// Attempts whose host ran out of memory that end the job: a second host is tried.
constexpr int64_t kMostOutOfMemory = 2;
// Starts in a row that fail before the job is held until a user resumes it; the waits
// between them.
constexpr int32_t kMostFailedStarts = 5;
constexpr absl::Duration kFirstStartWait = absl::Minutes(1);
constexpr absl::Duration kLongestStartWait = absl::Hours(1);

int64_t CountOutOfMemory(const JobRecord& job) {
  return std::count_if(job.attempts.begin(), job.attempts.end(), [](const AttemptRecord& attempt) {
    return attempt.failure.has_value() && IsHostOutOfMemory(*attempt.failure);
  });
}

StateReason GivenUp(const JobRecord& job, const std::string& why) {
  const AttemptRecord& attempt = job.attempts.back();
  StateReason reason = ReasonOf(*attempt.failure);
  absl::StrAppend(&reason.message, "; attempt ", attempt.number, ", ", why);
  return reason;
}

// Charges the failure to its budget; gives up if that is spent.
void Charge(const JobRecord& job, Recovery* recovery) {
  const FailureRecord& failure = *job.attempts.back().failure;
  const bool infrastructure =
      cluster::IsInfrastructureFault(failure.failure_class) || IsHostOutOfMemory(failure);
  int32_t& used = infrastructure ? recovery->used_infra_retries : recovery->used_retries;
  const int32_t limit = infrastructure ? job.max_infra_retries : job.max_retries;
  if (limit >= 0 && used >= limit) {
    recovery->retry = false;
    recovery->reason =
        GivenUp(job, absl::StrCat("no restart left (policy.",
                                  infrastructure ? "maxInfraRetries " : "maxRetries ", limit, ")"));
    return;
  }
  ++used;
}

// Counts attempts that achieved nothing.
void CountProgress(const JobRecord& job, Recovery* recovery) {
  const AttemptRecord& attempt = job.attempts.back();
  if (attempt.run_time == absl::InfinitePast()) {
    ++recovery->failed_starts;
    return;
  }
  recovery->failed_starts = 0;
  // An evaluation writes no checkpoints.
  const bool advanced = job.latest_checkpoint_step > attempt.resume_step;
  recovery->without_progress =
      advanced || job.kind == cluster::JobKind::kEvaluate ? 0 : recovery->without_progress + 1;
}

// Nothing after the first failure, `first` after the second, then twice as long each time.
absl::Duration WaitAfter(int32_t failures, absl::Duration first, absl::Duration longest) {
  if (failures <= 1) {
    return absl::ZeroDuration();
  }
  absl::Duration wait = first;
  for (int32_t i = 2; i < failures && wait < longest; ++i) {
    wait *= 2;
  }
  return std::min(wait, longest);
}

}  // namespace

bool BlamesHost(const FailureRecord& failure) {
  switch (failure.failure_class) {
    case FailureClass::kWorkerLost:
      return failure.reason != kWorkerStopped;
    case FailureClass::kStorage:
    case FailureClass::kKilled:
    case FailureClass::kHardware:
      return true;
    case FailureClass::kOutOfMemory:
      return IsHostOutOfMemory(failure);
    case FailureClass::kConfig:
    case FailureClass::kData:
    case FailureClass::kNonFinite:
    case FailureClass::kCollective:
    case FailureClass::kStartTimeout:
    case FailureClass::kUnknown:
      return false;
  }
  return false;
}

bool IsHostOutOfMemory(const FailureRecord& failure) {
  return failure.failure_class == FailureClass::kOutOfMemory && failure.signal == kSigkill;
}

StateReason ReasonOf(const FailureRecord& failure) {
  return {
      failure.reason.empty() ? std::string(cluster::Name(failure.failure_class)) : failure.reason,
      Describe(failure)};
}

Recovery DecideRecovery(const JobRecord& job, const CoreOptions& options) {
  const AttemptRecord& attempt = job.attempts.back();
  const FailureRecord& failure = *attempt.failure;
  Recovery recovery;
  recovery.retry = true;
  recovery.used_retries = job.used_retries;
  recovery.used_infra_retries = job.used_infra_retries;
  recovery.without_progress = job.without_progress;
  recovery.failed_starts = job.failed_starts;
  recovery.reason = {
      "RETRYING",
      absl::StrCat("attempt ", attempt.number, " broke (", Describe(failure), "); goes on from ",
                   job.latest_checkpoint.empty()
                       ? "the start"
                       : absl::StrCat("step ", job.latest_checkpoint_step))};
  // An operator who stops a worker takes nothing from the job's budgets.
  if (failure.reason == kWorkerStopped) {
    return recovery;
  }
  CountProgress(job, &recovery);
  Charge(job, &recovery);
  if (!recovery.retry) {
    return recovery;
  }
  if (IsHostOutOfMemory(failure) && CountOutOfMemory(job) >= kMostOutOfMemory) {
    recovery.retry = false;
    recovery.reason = GivenUp(job, "a second host ran out of memory too");
  } else if (recovery.without_progress >= kMostWithoutProgress) {
    recovery.retry = false;
    recovery.reason = {"NO_PROGRESS",
                       absl::StrCat(recovery.without_progress,
                                    " attempts in a row broke without a newer checkpoint, the "
                                    "last one so: ",
                                    Describe(failure))};
  }
  recovery.wait = std::max(WaitAfter(recovery.used_retries + recovery.used_infra_retries,
                                     options.first_backoff, options.longest_backoff),
                           WaitAfter(recovery.failed_starts, kFirstStartWait, kLongestStartWait));
  if (recovery.retry && recovery.failed_starts >= kMostFailedStarts) {
    recovery.hold = true;
    recovery.reason = {
        "HELD", absl::StrCat(recovery.failed_starts, " starts in a row failed, the last one so: ",
                             Describe(failure), "; resume the job when the cause is gone")};
  }
  return recovery;
}

}  // namespace g2ll::coordinator
