#ifndef SERVER_SCHEDULER_PREEMPTION_H_
#define SERVER_SCHEDULER_PREEMPTION_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/placement.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// Why an attempt is stopped at a checkpoint.
enum class StopCause {
  // For a job of higher priority.
  kPreempted,
  // It went before the job on condition that it stops for it.
  kRecalled,
};

// An attempt to stop at a checkpoint.
struct StopGang {
  // Index in ClusterSnapshot::running.
  int32_t running = 0;
  // Pending job that gets its slots.
  int32_t for_job = -1;
  StopCause cause = StopCause::kPreempted;
};

// Chooses the attempts that make room for a job. One for a whole cycle: an attempt
// is chosen at most once.
//
// First come recallable attempts of jobs behind this one, which have no protected
// time. Then only preemptible attempts of strictly lower priority that have run their
// protected time. Lowest priority first, then the least lost work (time since the
// newest checkpoint, or since the start, times ranks), then the latest start. As
// few as are needed: those that turn out not to be needed are given back.
class RoomMaker {
 public:
  // `snapshot` and `policy` outlive it.
  RoomMaker(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now);

  // Chooses attempts that free `missing` > 0 slots for `job`, an index in `pending`.
  // Empty if there are too few, and then none is chosen.
  std::vector<StopGang> MakeRoom(int32_t job, const Demand& demand, const Board& board,
                                 int32_t missing);

  // Whether the attempt went before the job on condition that it stops for it.
  bool MayRecall(const PendingJob& job, const RunningJob& attempt) const;
  // Whether the slots of an attempt come free: it stops, or was chosen.
  bool IsStopping(int32_t running) const {
    return chosen_[running] || snapshot_.running[running].stopping;
  }

 private:
  // An attempt that may stop, and the slots that the job gets by it.
  struct Candidate {
    int32_t running = 0;
    int32_t slots = 0;
    StopCause cause = StopCause::kPreempted;
    absl::Duration lost;
  };

  bool MayPreempt(const PendingJob& job, const RunningJob& attempt) const;
  absl::Duration LostWork(const RunningJob& attempt) const;
  std::vector<Candidate> CandidatesFor(const PendingJob& job, const Demand& demand,
                                       const Board& board) const;

  const ClusterSnapshot& snapshot_;
  const SchedulingPolicy& policy_;
  const absl::Time now_;
  // By index of the attempt.
  std::vector<bool> chosen_;
};

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_PREEMPTION_H_
