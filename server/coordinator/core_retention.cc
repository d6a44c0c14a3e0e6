// What is forgotten: ended jobs, telemetry beyond its limits, old requests.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {
namespace {

using cluster::JobRecord;

// What one tick looks at, so that a tick takes no longer with many jobs.
constexpr int kJobsPerTick = 200;
constexpr int kRequestsPerTick = 500;
// Rows that go with one commit: a few milliseconds.
constexpr int64_t kRowsPerPurge = 1000;

}  // namespace

absl::Status Core::CheckUnused(const JobRecord& job) const {
  const auto in_use = [&](const std::string& what) {
    return net::WithReason(
        absl::FailedPreconditionError(absl::StrCat(job.FullName(), " cannot go: ", what)), "IN_USE",
        {{"job", job.FullName()}});
  };
  const auto of_job = checkpoints_of_.find(job.uid);
  const std::string folder = absl::StrCat("checkpoints/", job.uid, "/");
  if (of_job != checkpoints_of_.end()) {
    for (const auto& [step, id] : of_job->second) {
      if (checkpoints_.at(id).pinned) {
        return in_use(absl::StrCat("its checkpoint ", id, " is pinned"));
      }
    }
  }
  for (const std::string& uid : unfinished_) {
    const JobRecord& other = *jobs_.at(uid);
    const bool depends = std::any_of(
        other.dependencies.begin(), other.dependencies.end(),
        [&](const cluster::Dependency& dependency) { return dependency.uid == job.uid; });
    const bool names = absl::StartsWith(other.source, "checkpoint/") && [&] {
      const auto named = checkpoints_.find(other.source.substr(sizeof("checkpoint/") - 1));
      return named != checkpoints_.end() && named->second.job_uid == job.uid;
    }();
    const cluster::AttemptRecord* attempt = other.LiveAttempt();
    const bool reads = absl::StrContains(other.source, folder) ||
                       (attempt != nullptr && absl::StrContains(attempt->source_path, folder));
    if (depends || names || reads) {
      return in_use(absl::StrCat(other.FullName(), " needs it and has not ended"));
    }
  }
  return absl::OkStatus();
}

void Core::RemoveJob(const std::string& job_uid) {
  const JobPtr job = Find(job_uid);
  CountJob(job->state, -1);
  uid_by_name_.erase(job->FullName());
  by_time_.erase({job->create_time, job_uid});
  jobs_.erase(job_uid);
  for (const auto& [step, id] : checkpoints_of_[job_uid]) {
    checkpoints_.erase(id);
  }
  checkpoints_of_.erase(job_uid);
  cursors_.erase(cursors_.lower_bound({job_uid, INT64_MIN, INT32_MIN}),
                 cursors_.upper_bound({job_uid, INT64_MAX, INT32_MAX}));
  kept_.erase(job_uid);
  // Rows of this batch that name the job would have no job to belong to.
  batch_.telemetry.erase(job_uid);
  batch_.kept.erase(job_uid);
  std::erase_if(batch_.cursors,
                [&](const auto& cursor) { return cursor.first.job_uid == job_uid; });
  std::erase_if(batch_.events, [&](const auto& event) { return event.job_uid == job_uid; });
  std::erase_if(batch_.checkpoints, [&](const auto& entry) { return entry.job_uid == job_uid; });
  batch_.deleted_jobs.push_back(job_uid);
  Bury(*job);
  told_of_series_.erase(job_uid);
  G2LL_FAILPOINT("core.job.deleted");
}

void Core::SetRemover(JobRemover remover) {
  remover_ = std::move(remover);
  for (const std::string& job_uid : removed_jobs_) {
    remover_(job_uid);
  }
}

void Core::FilesRemoved(const std::string& job_uid) {
  if (removed_jobs_.erase(job_uid) > 0) {
    batch_.forgotten_jobs.push_back(job_uid);
  }
}

// Rows first, bytes second: a crash in between leaves bytes, which the next start removes.
void Core::RemoveFiles(const std::vector<std::string>& deleted_jobs) {
  for (const std::string& job_uid : deleted_jobs) {
    removed_jobs_.insert(job_uid);
    if (remover_ != nullptr) {
      remover_(job_uid);
    }
  }
}

RetentionFacts Core::FactsOf(const JobRecord& job) const {
  RetentionFacts facts;
  facts.has_ended = cluster::IsTerminal(job.state);
  facts.end_time = job.end_time;
  facts.last_metric_seq = job.last_metric_seq;
  facts.last_log_seq = job.last_log_seq;
  const auto kept = kept_.find(job.uid);
  if (kept != kept_.end()) {
    facts.kept = kept->second;
  } else if (job.last_log_seq > 0 && facts.has_ended) {
    // Lines of a program that did not count them yet.
    facts.kept.log_segments = {{.first_seq = 1,
                                .last_seq = job.last_log_seq,
                                .first_time = job.end_time,
                                .last_time = job.end_time}};
  }
  return facts;
}

void Core::Cut(const JobRecord& job, const RetentionCut& cut, absl::Time now) {
  kept_[job.uid] = cut.kept;
  batch_.kept[job.uid] = cut.kept;
  purging_ = true;
  G2LL_FAILPOINT("core.retention.cut");
  for (const std::string& reason : cut.reasons) {
    AddEvent(job.uid, "coordinator", "RETENTION", reason, now);
  }
  for (const std::string& limit : cut.limits) {
    metrics_->AddLimitHit(limit);
  }
}

void Core::RetainJob(const std::string& job_uid, absl::Time now) {
  const JobPtr job = Find(job_uid);
  RetentionFacts facts = FactsOf(*job);
  RetentionCut cut = Retain(options_.retention, facts, now);
  if (cut.removes_job && CheckUnused(*job).ok()) {
    log::Info("job removed", {{"job", job->FullName()}, {"reason", cut.reasons.front()}});
    RemoveJob(job_uid);
    return;
  }
  if (cut.removes_job) {
    facts.is_in_use = true;
    cut = Retain(options_.retention, facts, now);
  }
  if (!cut.reasons.empty()) {
    Cut(*job, cut, now);
  }
}

void Core::TickRetention(absl::Time now) {
  auto job = jobs_.upper_bound(retained_job_);
  std::vector<std::string> looked_at;
  for (; job != jobs_.end() && looked_at.size() < kJobsPerTick; ++job) {
    looked_at.push_back(job->first);
  }
  retained_job_ = job == jobs_.end() || looked_at.empty() ? "" : looked_at.back();
  for (const std::string& job_uid : looked_at) {
    RetainJob(job_uid, now);
  }

  auto request = requests_.upper_bound(retained_request_);
  for (int i = 0; request != requests_.end() && i < kRequestsPerTick; ++i) {
    retained_request_ = request->first;
    if (request->second.time + options_.retention.requests <= now) {
      batch_.forgotten_requests.push_back(request->first);
      request = requests_.erase(request);
    } else {
      ++request;
    }
  }
  if (request == requests_.end()) {
    retained_request_.clear();
  }
  MakeSpace(now);
}

// One job a tick, and only when what was cut before has gone.
void Core::MakeSpace(absl::Time now) {
  if (options_.retention.total_bytes <= 0 || purging_) {
    return;
  }
  const absl::StatusOr<int64_t> used = store_->UsedBytes();
  if (!used.ok() || *used <= options_.retention.total_bytes) {
    return;
  }
  JobPtr oldest;
  for (const auto& [uid, job] : jobs_) {
    const RetentionFacts facts = FactsOf(*job);
    const bool has_some = facts.kept.first_metric_seq <= facts.last_metric_seq ||
                          facts.kept.first_log_seq <= facts.last_log_seq;
    if (facts.has_ended && has_some && (oldest == nullptr || job->end_time < oldest->end_time)) {
      oldest = job;
    }
  }
  if (oldest != nullptr) {
    Cut(*oldest, CutForSpace(options_.retention, FactsOf(*oldest), *used), now);
  }
}

// Counts the lines that the next commit stores.
void Core::NoteStoredLogs(absl::Time now) {
  for (const auto& [job_uid, rows] : batch_.telemetry) {
    if (rows.logs.empty()) {
      continue;
    }
    int64_t bytes = 0;
    for (const cluster::LogRecord& line : rows.logs) {
      bytes += static_cast<int64_t>(line.message.size());
    }
    cluster::KeptTelemetry& kept = kept_[job_uid];
    NoteLogs(options_.retention, rows.logs.back().seq, bytes, now, &kept);
    batch_.kept[job_uid] = kept;
  }
}

absl::Status Core::PurgeSome() {
  if (!purging_) {
    return absl::OkStatus();
  }
  const absl::StatusOr<int64_t> purged = store_->Purge(kRowsPerPurge);
  if (!purged.ok()) {
    // Only a store that is lost matters: the rest is tried again.
    return absl::IsDataLoss(purged.status()) ? purged.status() : absl::OkStatus();
  }
  purging_ = *purged > 0;
  return absl::OkStatus();
}

}  // namespace g2ll::coordinator
