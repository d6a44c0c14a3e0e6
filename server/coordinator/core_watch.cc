// What those see who watch all jobs.
#include <utility>

#include "server/coordinator/core.h"

namespace g2ll::coordinator {

// Where as many deletions are kept as may be, older ones can have been forgotten.
void Core::ResetFeed() {
  std::vector<JobPtr> jobs;
  for (const auto& [uid, job] : jobs_) {
    jobs.push_back(job);
  }
  std::vector<cluster::TombstoneRecord> tombstones;
  for (const auto& [seq, tombstone] : tombstones_) {
    tombstones.push_back(tombstone);
  }
  const bool may_miss_some = static_cast<int64_t>(tombstones.size()) >= options_.max_tombstones;
  feed_.Reset(jobs, tombstones, last_change_seq_,
              may_miss_some ? tombstones.front().change_seq - 1 : 0);
}

void Core::Bury(const cluster::JobRecord& job) {
  cluster::TombstoneRecord tombstone{++last_change_seq_, job.uid, job.project, job.name};
  batch_.tombstones.push_back(tombstone);
  tombstones_[tombstone.change_seq] = std::move(tombstone);
  while (static_cast<int64_t>(tombstones_.size()) > options_.max_tombstones) {
    batch_.forgotten_tombstones = tombstones_.begin()->first;
    tombstones_.erase(tombstones_.begin());
  }
}

void Core::PublishChanges(const store::WriteBatch& batch) {
  feed_.Publish({batch.jobs.begin(), batch.jobs.end()}, batch.tombstones);
  if (batch.forgotten_tombstones > 0) {
    feed_.Forget(batch.forgotten_tombstones);
  }
}

}  // namespace g2ll::coordinator
