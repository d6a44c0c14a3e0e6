#include "server/scheduler/quota.h"

#include <algorithm>
#include <limits>

namespace g2ll::scheduler {

ProjectLedger::ProjectLedger(const ClusterSnapshot& snapshot)
    : snapshot_(snapshot),
      slots_(snapshot.projects.size()),
      jobs_(snapshot.projects.size()),
      staying_(snapshot.projects.size()) {
  for (const RunningJob& attempt : snapshot.running) {
    Start(attempt.project, attempt.world_size());
    if (attempt.stopping) {
      Stop(attempt.project, attempt.world_size());
    }
  }
}

QuotaLimit ProjectLedger::Broken(int32_t project, int32_t slots) const {
  const ProjectView& view = snapshot_.projects[project];
  if (view.quota.max_slot_hours > 0 && view.used_slot_hours >= view.quota.max_slot_hours) {
    return QuotaLimit::kSlotHours;
  }
  if (view.quota.max_running_jobs > 0 && jobs_[project] >= view.quota.max_running_jobs) {
    return QuotaLimit::kRunningJobs;
  }
  return slots > Room(project) ? QuotaLimit::kRunningSlots : QuotaLimit::kNone;
}

int32_t ProjectLedger::Room(int32_t project) const {
  const int32_t most = snapshot_.projects[project].quota.max_running_slots;
  return most == 0 ? std::numeric_limits<int32_t>::max() : std::max(0, most - slots_[project]);
}

void ProjectLedger::Start(int32_t project, int32_t slots) {
  slots_[project] += slots;
  jobs_[project] += 1;
  staying_[project] += slots;
}

}  // namespace g2ll::scheduler
