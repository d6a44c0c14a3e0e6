#include "server/cluster/states.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace g2ll::cluster {
namespace {

std::optional<JobState> AfterPending(JobEvent event) {
  switch (event) {
    case JobEvent::kPlaced:
      return JobState::kStarting;
    case JobEvent::kGiveUp:
      return JobState::kFailed;
    case JobEvent::kCancelAsked:
      return JobState::kCancelling;
    case JobEvent::kPauseAsked:
      return JobState::kPausing;
    case JobEvent::kAllJoined:
    case JobEvent::kFinished:
    case JobEvent::kAttemptBroke:
    case JobEvent::kRetry:
    case JobEvent::kResumeAsked:
    case JobEvent::kPreemptAsked:
    case JobEvent::kStopped:
      return std::nullopt;
  }
  return std::nullopt;
}

// STARTING and RUNNING differ in what moves them forward only.
std::optional<JobState> AfterPlaced(JobState state, JobEvent event) {
  switch (event) {
    case JobEvent::kAllJoined:
      return state == JobState::kStarting ? std::optional(JobState::kRunning) : std::nullopt;
    case JobEvent::kFinished:
      return state == JobState::kRunning ? std::optional(JobState::kSucceeded) : std::nullopt;
    case JobEvent::kAttemptBroke:
      return JobState::kRecovering;
    case JobEvent::kCancelAsked:
      return JobState::kCancelling;
    case JobEvent::kPauseAsked:
      return JobState::kPausing;
    case JobEvent::kPreemptAsked:
      return JobState::kPreempting;
    case JobEvent::kPlaced:
    case JobEvent::kRetry:
    case JobEvent::kGiveUp:
    case JobEvent::kResumeAsked:
    case JobEvent::kStopped:
      return std::nullopt;
  }
  return std::nullopt;
}

// PREEMPTING and PAUSING: the attempt goes on to its next checkpoint, so it can
// still finish or break on the way.
std::optional<JobState> AfterStopAsked(JobState state, JobEvent event) {
  switch (event) {
    case JobEvent::kFinished:
      return JobState::kSucceeded;
    case JobEvent::kAttemptBroke:
      return JobState::kRecovering;
    case JobEvent::kCancelAsked:
      return JobState::kCancelling;
    case JobEvent::kPauseAsked:
      return state == JobState::kPreempting ? std::optional(JobState::kPausing) : std::nullopt;
    case JobEvent::kStopped:
      return state == JobState::kPreempting ? JobState::kPending : JobState::kPaused;
    case JobEvent::kPlaced:
    case JobEvent::kAllJoined:
    case JobEvent::kRetry:
    case JobEvent::kGiveUp:
    case JobEvent::kResumeAsked:
    case JobEvent::kPreemptAsked:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<JobState> AfterRecovering(JobEvent event) {
  switch (event) {
    case JobEvent::kRetry:
      return JobState::kPending;
    case JobEvent::kGiveUp:
      return JobState::kFailed;
    case JobEvent::kCancelAsked:
      return JobState::kCancelling;
    case JobEvent::kPauseAsked:
      return JobState::kPausing;
    case JobEvent::kPlaced:
    case JobEvent::kAllJoined:
    case JobEvent::kFinished:
    case JobEvent::kAttemptBroke:
    case JobEvent::kResumeAsked:
    case JobEvent::kPreemptAsked:
    case JobEvent::kStopped:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<JobState> Next(JobState state, JobEvent event) {
  switch (state) {
    case JobState::kPending:
      return AfterPending(event);
    case JobState::kStarting:
    case JobState::kRunning:
      return AfterPlaced(state, event);
    case JobState::kPreempting:
    case JobState::kPausing:
      return AfterStopAsked(state, event);
    case JobState::kRecovering:
      return AfterRecovering(event);
    case JobState::kPaused:
      if (event == JobEvent::kResumeAsked) {
        return JobState::kPending;
      }
      return event == JobEvent::kCancelAsked ? std::optional(JobState::kCancelling) : std::nullopt;
    case JobState::kCancelling:
      return event == JobEvent::kStopped ? std::optional(JobState::kCancelled) : std::nullopt;
    case JobState::kSucceeded:
    case JobState::kFailed:
    case JobState::kCancelled:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<JobState> Transition(JobState state, JobEvent event) {
  const std::optional<JobState> next = Next(state, event);
  if (!next.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat("a job that is ", std::string(Name(state)),
                                                      " cannot be ", std::string(Name(event))));
  }
  return *next;
}

bool IsTerminal(JobState state) {
  return state == JobState::kSucceeded || state == JobState::kFailed ||
         state == JobState::kCancelled;
}

bool IsInfrastructureFault(FailureClass failure_class) {
  switch (failure_class) {
    case FailureClass::kCollective:
    case FailureClass::kWorkerLost:
    case FailureClass::kStorage:
    case FailureClass::kKilled:
    case FailureClass::kStartTimeout:
    case FailureClass::kHardware:
      return true;
    case FailureClass::kConfig:
    case FailureClass::kData:
    case FailureClass::kNonFinite:
    case FailureClass::kOutOfMemory:
    case FailureClass::kUnknown:
      return false;
  }
  return false;
}

std::string_view Name(JobState state) {
  switch (state) {
    case JobState::kPending:
      return "PENDING";
    case JobState::kStarting:
      return "STARTING";
    case JobState::kRunning:
      return "RUNNING";
    case JobState::kPreempting:
      return "PREEMPTING";
    case JobState::kRecovering:
      return "RECOVERING";
    case JobState::kPausing:
      return "PAUSING";
    case JobState::kPaused:
      return "PAUSED";
    case JobState::kCancelling:
      return "CANCELLING";
    case JobState::kSucceeded:
      return "SUCCEEDED";
    case JobState::kFailed:
      return "FAILED";
    case JobState::kCancelled:
      return "CANCELLED";
  }
  return "STATE_UNSPECIFIED";
}

std::string_view Name(WorkerState state) {
  switch (state) {
    case WorkerState::kReady:
      return "READY";
    case WorkerState::kSuspect:
      return "SUSPECT";
    case WorkerState::kLost:
      return "LOST";
    case WorkerState::kUnusable:
      return "UNUSABLE";
  }
  return "STATE_UNSPECIFIED";
}

std::string_view Name(FailureClass failure_class) {
  switch (failure_class) {
    case FailureClass::kConfig:
      return "CONFIG";
    case FailureClass::kData:
      return "DATA";
    case FailureClass::kNonFinite:
      return "NON_FINITE";
    case FailureClass::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case FailureClass::kCollective:
      return "COLLECTIVE";
    case FailureClass::kWorkerLost:
      return "WORKER_LOST";
    case FailureClass::kStorage:
      return "STORAGE";
    case FailureClass::kKilled:
      return "KILLED";
    case FailureClass::kStartTimeout:
      return "START_TIMEOUT";
    case FailureClass::kUnknown:
      return "UNKNOWN";
    case FailureClass::kHardware:
      return "HARDWARE";
  }
  return "UNKNOWN";
}

std::string_view Name(Device device) {
  switch (device) {
    case Device::kAuto:
      return "auto";
    case Device::kCpu:
      return "cpu";
    case Device::kCuda:
      return "cuda";
  }
  return "auto";
}

std::string_view Name(JobEvent event) {
  switch (event) {
    case JobEvent::kPlaced:
      return "placed";
    case JobEvent::kAllJoined:
      return "joined by all ranks";
    case JobEvent::kFinished:
      return "finished";
    case JobEvent::kAttemptBroke:
      return "broken";
    case JobEvent::kRetry:
      return "retried";
    case JobEvent::kGiveUp:
      return "given up";
    case JobEvent::kCancelAsked:
      return "cancelled";
    case JobEvent::kPauseAsked:
      return "paused";
    case JobEvent::kResumeAsked:
      return "resumed";
    case JobEvent::kPreemptAsked:
      return "preempted";
    case JobEvent::kStopped:
      return "stopped";
  }
  return "changed";
}

}  // namespace g2ll::cluster
