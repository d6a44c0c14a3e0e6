#ifndef SERVER_CLUSTER_STATES_H_
#define SERVER_CLUSTER_STATES_H_

#include <array>
#include <string_view>

#include "absl/status/statusor.h"

namespace g2ll::cluster {

// The numbers of these enums are stored and are those of the wire (server/wire
// checks this when it is compiled): never renumber, only add.

enum class JobKind { kPretrain = 1, kFinetune = 2, kEvaluate = 3 };
enum class Priority { kLow = 1, kNormal = 2, kHigh = 3 };
// What a user wants of a job; the state says how far that is.
enum class Desired { kRun = 1, kPause = 2, kCancel = 3 };
// What becomes of a job when one that it needs ends without success.
enum class OnFailedDependency { kFail = 1, kHold = 2 };
enum class QueueStop { kNone = 1, kHold = 2, kHoldAndDrain = 3 };
// An operator's wish for a worker.
enum class Schedulable { kAllowed = 1, kCordoned = 2, kDraining = 3, kQuarantined = 4 };
enum class Device { kAuto = 1, kCpu = 2, kCuda = 3 };

// Where a job stands; comments in job.proto say when each is entered.
enum class JobState {
  kPending = 1,
  kStarting = 2,
  kRunning = 3,
  kPreempting = 4,
  kRecovering = 5,
  kPausing = 6,
  kPaused = 7,
  kCancelling = 8,
  kSucceeded = 9,
  kFailed = 10,
  kCancelled = 11,
};
inline constexpr std::array<JobState, 11> kAllJobStates = {
    JobState::kPending,    JobState::kStarting, JobState::kRunning,  JobState::kPreempting,
    JobState::kRecovering, JobState::kPausing,  JobState::kPaused,   JobState::kCancelling,
    JobState::kSucceeded,  JobState::kFailed,   JobState::kCancelled};

// What can happen to a job.
enum class JobEvent {
  // The whole gang has places.
  kPlaced,
  // All ranks have finished their first collective.
  kAllJoined,
  // All ranks ended well and the result is committed.
  kFinished,
  // The attempt broke; what is left of it is being ended.
  kAttemptBroke,
  // Nothing of the broken attempt runs and a budget allows another.
  kRetry,
  // No further attempt is allowed, or the job cannot start at all.
  kGiveUp,
  // A user asks to stop for good.
  kCancelAsked,
  // A user asks to stop at a checkpoint.
  kPauseAsked,
  // A user asks to go on.
  kResumeAsked,
  // A more important job needs the places.
  kPreemptAsked,
  // After one of the three requests above, nothing of the attempt runs any more.
  kStopped,
};
inline constexpr std::array<JobEvent, 11> kAllJobEvents = {
    JobEvent::kPlaced,       JobEvent::kAllJoined,  JobEvent::kFinished,
    JobEvent::kAttemptBroke, JobEvent::kRetry,      JobEvent::kGiveUp,
    JobEvent::kCancelAsked,  JobEvent::kPauseAsked, JobEvent::kResumeAsked,
    JobEvent::kPreemptAsked, JobEvent::kStopped};

enum class AttemptState {
  kPreparing = 1,
  kRendezvous = 2,
  kRunning = 3,
  kStopping = 4,
  kEnded = 5,
};

enum class AttemptOutcome {
  kNone = 0,
  kSucceeded = 1,
  kFailed = 2,
  kCancelled = 3,
  kPreempted = 4,
  kLost = 5,
};

// Whose fault a failure is, which decides what happens next.
enum class FailureClass {
  kConfig = 1,
  kData = 2,
  kNonFinite = 3,
  kOutOfMemory = 4,
  kCollective = 5,
  kWorkerLost = 6,
  kStorage = 7,
  kKilled = 8,
  kStartTimeout = 9,
  kUnknown = 10,
  kHardware = 11,
};

enum class WorkerState { kReady = 1, kSuspect = 2, kLost = 3, kUnusable = 4 };
inline constexpr std::array<WorkerState, 4> kAllWorkerStates = {
    WorkerState::kReady, WorkerState::kSuspect, WorkerState::kLost, WorkerState::kUnusable};

enum class CheckpointState { kCommitted = 1, kDamaged = 2 };

// Wanted or current phase of an attempt on one worker, as in worker.proto.
enum class AttemptPhase {
  kPrepare = 1,
  kPrepared = 2,
  kRun = 3,
  kTraining = 4,
  kStop = 5,
  kEnded = 6,
  // Wanted only: end at a checkpoint; kill everything at once.
  kDrain = 7,
  kKill = 8,
};

// Returns the state that follows `state` when `event` happens. Pure and total:
// a pair that must not happen is FailedPrecondition and names both.
absl::StatusOr<JobState> Transition(JobState state, JobEvent event);

// Whether the job has reached its last state.
bool IsTerminal(JobState state);

// Whether a failure of this class counts against `maxInfraRetries` (true) or
// against `maxRetries` (false).
bool IsInfrastructureFault(FailureClass failure_class);

// Names as on the wire, for example `RUNNING`.
std::string_view Name(JobState state);
std::string_view Name(WorkerState state);
std::string_view Name(FailureClass failure_class);
std::string_view Name(Device device);
// For messages, for example `kPlaced` is `placed`.
std::string_view Name(JobEvent event);

}  // namespace g2ll::cluster

#endif  // SERVER_CLUSTER_STATES_H_
