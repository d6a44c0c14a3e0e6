#include "client/api/watch_ledger.h"

namespace g2ll::client {

std::vector<JobChange> WatchLedger::Take(const v1::WatchJobsResponse& message) {
  std::vector<JobChange> changes;
  const v1::Job& job = message.job();
  switch (message.type()) {
    case v1::WatchJobsResponse::CHANGED: {
      Seen& seen = jobs_[job.uid()];
      const bool is_known = !job.etag().empty() && seen.etag == job.etag();
      seen = {job.name(), job.etag(), true};
      if (!is_known) changes.push_back({JobChange::Type::kChanged, job});
      break;
    }
    case v1::WatchJobsResponse::DELETED:
      // One that was never seen went away before it could be shown.
      if (jobs_.erase(job.uid()) > 0 || !saw_all_)
        changes.push_back({JobChange::Type::kDeleted, job});
      break;
    case v1::WatchJobsResponse::BOOKMARK:
      for (auto entry = jobs_.begin(); is_listing_anew_ && entry != jobs_.end();) {
        if (entry->second.again) {
          ++entry;
          continue;
        }
        JobChange gone{JobChange::Type::kDeleted, {}};
        gone.job.set_uid(entry->first);
        gone.job.set_name(entry->second.name);
        changes.push_back(std::move(gone));
        entry = jobs_.erase(entry);
      }
      is_listing_anew_ = false;
      break;
    default:
      break;  // of a newer server
  }
  if (!message.resume_token().empty()) resume_token_ = message.resume_token();
  return changes;
}

void WatchLedger::BeginAnew() {
  resume_token_.clear();
  is_listing_anew_ = true;
  for (auto& [uid, seen] : jobs_) seen.again = false;
}

}  // namespace g2ll::client
