// What users do with committed checkpoints.
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {

using cluster::CheckpointRecord;
using cluster::CheckpointState;
using cluster::JobRecord;

absl::StatusOr<CheckpointRecord> Core::PinCheckpoint(const std::string& id, bool pinned,
                                                     absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(CheckpointRecord checkpoint, GetCheckpoint(id));
  if (checkpoint.pinned == pinned) {
    return checkpoint;
  }
  checkpoint.pinned = pinned;
  checkpoints_[id] = checkpoint;
  batch_.checkpoints.push_back(checkpoint);
  AddEvent(checkpoint.job_uid, "user", pinned ? "CHECKPOINT_PINNED" : "CHECKPOINT_UNPINNED", id,
           now);
  return checkpoint;
}

absl::StatusOr<CheckpointRecord> Core::MarkCheckpoint(const std::string& id, CheckpointState state,
                                                      const std::string& why, absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(CheckpointRecord checkpoint, GetCheckpoint(id));
  if (checkpoint.state == state) {
    return checkpoint;
  }
  checkpoint.state = state;
  checkpoints_[id] = checkpoint;
  batch_.checkpoints.push_back(checkpoint);
  const bool damaged = state == CheckpointState::kDamaged;
  AddEvent(checkpoint.job_uid, "coordinator",
           damaged ? "CHECKPOINT_DAMAGED" : "CHECKPOINT_REPAIRED", absl::StrCat(id, ": ", why),
           now);
  ChooseLatest(Edit(checkpoint.job_uid));
  return checkpoint;
}

// The newest checkpoint that can be used is the one that the next attempt goes on from.
void Core::ChooseLatest(JobRecord& job) {
  job.latest_checkpoint.clear();
  job.latest_checkpoint_step = -1;
  for (const auto& [step, id] : checkpoints_of_[job.uid]) {
    if (checkpoints_.at(id).state == CheckpointState::kCommitted) {
      job.latest_checkpoint = id;
      job.latest_checkpoint_step = step;
    }
  }
}

}  // namespace g2ll::coordinator
