#ifndef SERVER_SCHEDULER_PREEMPTION_H_
#define SERVER_SCHEDULER_PREEMPTION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/placement.h"
#include "server/scheduler/quota.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// Why an attempt is stopped at a checkpoint.
enum class StopCause {
  // For a job of higher priority.
  kPreempted,
  // Its project borrowed the slots from one that wants its guarantee.
  kReclaimed,
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
// time. Then, of those that have run their protected time:
//  - preemptible attempts of strictly lower priority;
//  - attempts of no higher priority that another project runs beyond its guarantee, if
//    the job's project stays within its own with the job. A project within its
//    guarantee is not touched, so two projects cannot take slots from each other in
//    turn.
// Borrowed work first, then the lowest priority, then the least lost work (time since the
// newest checkpoint, or since the start, times ranks), then the latest start. As
// few as are needed: those that turn out not to be needed are given back.
class RoomMaker {
 public:
  // The arguments outlive it. What is chosen is taken off the ledger.
  RoomMaker(const ClusterSnapshot& snapshot, absl::Time now, ProjectLedger* ledger);

  // What a job lacks.
  struct Want {
    // Index in `pending`.
    int32_t job = 0;
    Demand demand;
    // Slots of its smallest gang, and how many of them must still be freed (> 0).
    int32_t need = 0;
    int32_t missing = 0;
    // Only take back what the project is guaranteed.
    bool only_reclaim = false;
  };

  // Chooses attempts whose slots satisfy `want`. Empty if there are too few, and then
  // none is chosen.
  std::vector<StopGang> MakeRoom(const Want& want, const Board& board);
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
    bool borrowed = false;
    absl::Duration lost;
  };

  bool IsProtected(const RunningJob& attempt) const;
  absl::Duration LostWork(const RunningJob& attempt) const;
  std::optional<StopCause> CauseFor(const Want& want, const RunningJob& attempt) const;
  std::vector<Candidate> CandidatesFor(const Want& want, const Board& board) const;

  const ClusterSnapshot& snapshot_;
  const absl::Time now_;
  ProjectLedger* const ledger_;
  // By index of the attempt.
  std::vector<bool> chosen_;
};

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_PREEMPTION_H_
