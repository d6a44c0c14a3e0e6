#ifndef SERVER_SCHEDULER_QUOTA_H_
#define SERVER_SCHEDULER_QUOTA_H_

#include <cstdint>
#include <vector>

#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// Which limit of a project keeps a job from running.
enum class QuotaLimit { kNone, kRunningSlots, kRunningJobs, kSlotHours };

// What each project runs, counted on during a cycle.
class ProjectLedger {
 public:
  // `snapshot` outlives it.
  explicit ProjectLedger(const ClusterSnapshot& snapshot);

  // The limit that a further job with `slots` slots would break.
  QuotaLimit Broken(int32_t project, int32_t slots) const;
  // Slots that the project may take on top; a large number without a limit.
  int32_t Room(int32_t project) const;

  // A job of the project starts, or slots are held for it.
  void Start(int32_t project, int32_t slots);
  // An attempt is asked to stop: its slots no longer count for the guarantee.
  void Stop(int32_t project, int32_t slots) { staying_[project] -= slots; }

  // Whether what stays of the project's work is more than its guarantee, and part of
  // it borrowed. `without`: slots that do not count any more.
  bool Borrows(int32_t project, int32_t without) const {
    return staying_[project] - without > snapshot_.projects[project].quota.guaranteed_slots;
  }
  // Whether the project is still within its guarantee with `more` slots.
  bool IsGuaranteed(int32_t project, int32_t more) const {
    return staying_[project] + more <= snapshot_.projects[project].quota.guaranteed_slots;
  }

  int32_t slots(int32_t project) const { return slots_[project]; }
  int32_t jobs(int32_t project) const { return jobs_[project]; }

 private:
  const ClusterSnapshot& snapshot_;
  // By project: slots and jobs that run or stop, and the slots of those that stay.
  std::vector<int32_t> slots_;
  std::vector<int32_t> jobs_;
  std::vector<int32_t> staying_;
};

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_QUOTA_H_
