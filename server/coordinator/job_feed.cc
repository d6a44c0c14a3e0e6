#include "server/coordinator/job_feed.h"

#include <algorithm>
#include <utility>

namespace g2ll::coordinator {

void JobFeed::Put(const JobPtr& job) {
  JobPtr& current = jobs_[job->uid];
  if (current != nullptr) {
    by_seq_.erase(current->change_seq);
  }
  current = job;
  by_seq_[job->change_seq] = {job->change_seq, job, {}};
  last_seq_ = std::max(last_seq_, job->change_seq);
}

void JobFeed::Put(const cluster::TombstoneRecord& tombstone) {
  const auto job = jobs_.find(tombstone.uid);
  if (job != jobs_.end()) {
    by_seq_.erase(job->second->change_seq);
    jobs_.erase(job);
  }
  by_seq_[tombstone.change_seq] = {tombstone.change_seq, nullptr, tombstone};
  last_seq_ = std::max(last_seq_, tombstone.change_seq);
}

void JobFeed::Reset(const std::vector<JobPtr>& jobs,
                    const std::vector<cluster::TombstoneRecord>& tombstones, int64_t last_seq,
                    int64_t oldest_position) {
  absl::MutexLock lock(&mutex_);
  by_seq_.clear();
  jobs_.clear();
  for (const JobPtr& job : jobs) {
    Put(job);
  }
  for (const cluster::TombstoneRecord& tombstone : tombstones) {
    Put(tombstone);
  }
  last_seq_ = std::max(last_seq_, last_seq);
  oldest_position_ = oldest_position;
}

void JobFeed::Publish(const std::vector<JobPtr>& jobs,
                      const std::vector<cluster::TombstoneRecord>& tombstones) {
  if (jobs.empty() && tombstones.empty()) {
    return;
  }
  absl::MutexLock lock(&mutex_);
  for (const JobPtr& job : jobs) {
    Put(job);
  }
  for (const cluster::TombstoneRecord& tombstone : tombstones) {
    Put(tombstone);
  }
  for (const auto& [id, wake] : followers_) {
    wake();
  }
}

void JobFeed::Forget(int64_t up_to) {
  absl::MutexLock lock(&mutex_);
  for (auto change = by_seq_.begin(); change != by_seq_.end() && change->first <= up_to;) {
    change = change->second.job == nullptr ? by_seq_.erase(change) : std::next(change);
  }
  oldest_position_ = std::max(oldest_position_, up_to);
}

JobFeed::Slice JobFeed::Read(int64_t position, size_t limit) const {
  absl::MutexLock lock(&mutex_);
  Slice slice;
  slice.position = position;
  slice.is_expired = position < oldest_position_;
  auto change = by_seq_.upper_bound(position);
  for (; change != by_seq_.end() && slice.changes.size() < limit; ++change) {
    slice.changes.push_back(change->second);
    slice.position = change->first;
  }
  slice.has_more = change != by_seq_.end();
  if (!slice.has_more) {
    slice.position = std::max(position, last_seq_);
  }
  return slice;
}

std::vector<JobPtr> JobFeed::ReadJobs(const std::string& uid, size_t limit) const {
  absl::MutexLock lock(&mutex_);
  std::vector<JobPtr> jobs;
  for (auto job = jobs_.upper_bound(uid); job != jobs_.end() && jobs.size() < limit; ++job) {
    jobs.push_back(job->second);
  }
  return jobs;
}

int64_t JobFeed::last_seq() const {
  absl::MutexLock lock(&mutex_);
  return last_seq_;
}

int64_t JobFeed::oldest_position() const {
  absl::MutexLock lock(&mutex_);
  return oldest_position_;
}

int64_t JobFeed::Follow(Wake wake) {
  absl::MutexLock lock(&mutex_);
  const int64_t follower = next_follower_++;
  followers_.emplace(follower, std::move(wake));
  return follower;
}

void JobFeed::Unfollow(int64_t follower) {
  absl::MutexLock lock(&mutex_);
  followers_.erase(follower);
}

}  // namespace g2ll::coordinator
