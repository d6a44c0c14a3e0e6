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
  // It goes on with fewer ranks so that the job has room.
  kShrunk,
  // It goes on with more ranks because slots are idle.
  kGrown,
};

// An attempt to stop at a checkpoint.
struct StopGang {
  // Index in ClusterSnapshot::running.
  int32_t running = 0;
  // Pending job that gets its slots.
  int32_t for_job = -1;
  StopCause cause = StopCause::kPreempted;
  // With how many ranks it goes on at once; 0 if it has to wait.
  int32_t ranks = 0;
};

// Chooses the attempts that make room for a job. One for a whole cycle: an attempt
// is chosen at most once.
//
// First come recallable attempts of jobs behind this one, which have no protected
// time. Then preemptible attempts of no higher priority that run with more ranks than
// they need give some up, unless they were resized lately. Then, of those that have run their
// protected time:
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
  RoomMaker(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now,
            ProjectLedger* ledger);

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

  // An attempt that was chosen, and the places that it keeps if it only shrinks.
  struct Stop {
    StopGang gang;
    std::vector<Share> kept;
  };

  // Chooses attempts whose slots satisfy `want`. Empty if there are too few, and then
  // none is chosen.
  std::vector<Stop> MakeRoom(const Want& want, const Board& board);
  // Whether the attempt went before the job on condition that it stops for it.
  bool MayRecall(const PendingJob& job, const RunningJob& attempt) const;
  // Whether the slots of an attempt come free: it stops, or was chosen.
  bool IsStopping(int32_t running) const {
    return chosen_[running] || snapshot_.running[running].stopping;
  }

 private:
  // What an attempt may be asked, and the slots that the job gets by it.
  struct Candidate {
    int32_t running = 0;
    int32_t slots = 0;
    // Ranks and places that it keeps if it shrinks.
    int32_t ranks = 0;
    std::vector<Share> kept;
    StopCause cause = StopCause::kPreempted;
  };

  bool IsProtected(const RunningJob& attempt) const;
  absl::Duration LostWork(const RunningJob& attempt) const;
  bool MayShrink(const Want& want, const RunningJob& attempt) const;
  int32_t UsableOf(const Demand& demand, const Board& board,
                   const std::vector<Share>& places) const;
  // Gives up as many ranks as are missing, or all that it can.
  void Shrink(const Want& want, const Board& board, int32_t missing, Candidate& candidate) const;
  // Attempts by what stopping them costs, the cheapest first. Made when the first job
  // asks, because most cycles need it not at all and a burst needs it often.
  const std::vector<int32_t>& ByCost();
  std::vector<Candidate> Choose(const Want& want, const Board& board);
  std::optional<StopCause> CauseFor(const Want& want, const RunningJob& attempt) const;
  std::vector<Candidate> CandidatesFor(const Want& want, const Board& board);

  const ClusterSnapshot& snapshot_;
  const SchedulingPolicy& policy_;
  const absl::Time now_;
  ProjectLedger* const ledger_;
  // By index of the attempt.
  std::vector<bool> chosen_;
  std::vector<int32_t> by_cost_;
};

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_PREEMPTION_H_
