#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "server/cluster/states.h"

namespace g2ll::cluster {
namespace {

using E = JobEvent;
using S = JobState;

// The whole life of a job; every pair that is not here must be refused.
const std::map<std::pair<S, E>, S>& Allowed() {
  static const std::map<std::pair<S, E>, S> allowed = {
      {{S::kPending, E::kPlaced}, S::kStarting},
      {{S::kPending, E::kGiveUp}, S::kFailed},
      {{S::kPending, E::kCancelAsked}, S::kCancelling},
      {{S::kPending, E::kPauseAsked}, S::kPausing},
      {{S::kStarting, E::kAllJoined}, S::kRunning},
      {{S::kStarting, E::kAttemptBroke}, S::kRecovering},
      {{S::kStarting, E::kCancelAsked}, S::kCancelling},
      {{S::kStarting, E::kPauseAsked}, S::kPausing},
      {{S::kStarting, E::kPreemptAsked}, S::kPreempting},
      {{S::kRunning, E::kFinished}, S::kSucceeded},
      {{S::kRunning, E::kAttemptBroke}, S::kRecovering},
      {{S::kRunning, E::kCancelAsked}, S::kCancelling},
      {{S::kRunning, E::kPauseAsked}, S::kPausing},
      {{S::kRunning, E::kPreemptAsked}, S::kPreempting},
      {{S::kPreempting, E::kFinished}, S::kSucceeded},
      {{S::kPreempting, E::kAttemptBroke}, S::kRecovering},
      {{S::kPreempting, E::kCancelAsked}, S::kCancelling},
      {{S::kPreempting, E::kPauseAsked}, S::kPausing},
      {{S::kPreempting, E::kStopped}, S::kPending},
      {{S::kPausing, E::kFinished}, S::kSucceeded},
      {{S::kPausing, E::kAttemptBroke}, S::kRecovering},
      {{S::kPausing, E::kCancelAsked}, S::kCancelling},
      {{S::kPausing, E::kStopped}, S::kPaused},
      {{S::kPaused, E::kResumeAsked}, S::kPending},
      {{S::kPaused, E::kCancelAsked}, S::kCancelling},
      {{S::kRecovering, E::kRetry}, S::kPending},
      {{S::kRecovering, E::kGiveUp}, S::kFailed},
      {{S::kRecovering, E::kCancelAsked}, S::kCancelling},
      {{S::kRecovering, E::kPauseAsked}, S::kPausing},
      {{S::kCancelling, E::kStopped}, S::kCancelled},
  };
  return allowed;
}

TEST(TransitionTest, FollowsTheTableForEveryStateAndEvent) {
  for (const S state : kAllJobStates) {
    for (const E event : kAllJobEvents) {
      const absl::StatusOr<S> next = Transition(state, event);
      const auto expected = Allowed().find({state, event});

      EXPECT_EQ(next.ok(), expected != Allowed().end()) << Name(state) << " " << Name(event);
      if (next.ok() && expected != Allowed().end()) {
        EXPECT_EQ(*next, expected->second) << Name(state) << " " << Name(event);
      }
    }
  }
}

TEST(TransitionTest, NothingLeavesAFinalState) {
  for (const S state : {S::kSucceeded, S::kFailed, S::kCancelled}) {
    for (const E event : kAllJobEvents) {
      EXPECT_EQ(Transition(state, event).status().code(), absl::StatusCode::kFailedPrecondition);
    }
  }
}

TEST(TransitionTest, RefusalNamesStateAndEvent) {
  const absl::Status refused = Transition(S::kSucceeded, E::kCancelAsked).status();

  EXPECT_EQ(std::string(refused.message()), "a job that is SUCCEEDED cannot be cancelled");
}

}  // namespace
}  // namespace g2ll::cluster
