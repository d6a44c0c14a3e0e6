// What trainers report for keeps: points, lines and checkpoints.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"
#include "server/storage/storage_root.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptRecord;
using cluster::CheckpointRecord;
using cluster::JobRecord;
using cluster::LogRecord;
using cluster::MetricRecord;

constexpr char kValidationDice[] = "val/dice";

const AttemptRecord* FindAttempt(const JobRecord& job, int64_t epoch) {
  const auto found =
      std::find_if(job.attempts.begin(), job.attempts.end(),
                   [&](const AttemptRecord& attempt) { return attempt.epoch == epoch; });
  return found == job.attempts.end() ? nullptr : &*found;
}

void NoteMetric(JobRecord& job, const MetricRecord& point) {
  job.metrics[point.name] = point.value;
  job.last_metric_step = std::max(job.last_metric_step, point.step);
  if (point.name == kValidationDice && std::isfinite(point.value) &&
      (!job.best_metric.has_value() || point.value > job.best_metric->value)) {
    job.best_metric = cluster::BestMetric{point.name, point.value, point.step};
  }
}

}  // namespace

// A job that makes up names without end must not fill the store. What it has goes on.
bool Core::TakesMetric(const JobRecord& job, const std::string& name, absl::Time now) {
  if (job.metrics.contains(name) ||
      static_cast<int64_t>(job.metrics.size()) < options_.max_metric_series) {
    return true;
  }
  metrics_->AddLimitHit("metric_series");
  // Told for the first name only: there may be any number of them.
  if (told_of_series_.insert(job.uid).second) {
    AddEvent(job.uid, "coordinator", "METRIC_SERIES_LIMIT",
             absl::StrCat("the job has ", job.metrics.size(),
                          " metrics, which is the limit: points of '", name,
                          "' and of other new names are not stored"),
             now);
  }
  return false;
}

int64_t Core::PushTelemetry(const cluster::TelemetryBatch& batch, absl::Time now) {
  const int64_t last = batch.items.empty() ? 0 : batch.items.back().local_seq;
  const JobPtr found = Find(batch.key.job_uid);
  const AttemptRecord* attempt = found == nullptr ? nullptr : FindAttempt(*found, batch.key.epoch);
  if (attempt == nullptr) {
    return last;  // The job was deleted: it will never be stored.
  }
  const auto cursor = cursors_.find(batch.key);
  int64_t stored = cursor == cursors_.end() ? 0 : cursor->second;
  const int64_t before = stored;
  const int32_t number = attempt->number;
  JobRecord* job = nullptr;
  store::TelemetryRows* rows = nullptr;
  for (const cluster::TelemetryItem& item : batch.items) {
    if (item.local_seq != stored + 1) {
      continue;  // Stored before, or behind a gap that the agent will fill again.
    }
    if (job == nullptr) {
      job = &Edit(batch.key.job_uid);
      rows = &batch_.telemetry[batch.key.job_uid];
    }
    ++stored;
    if (const auto* point = std::get_if<MetricRecord>(&item.value)) {
      if (!TakesMetric(*job, point->name, now)) {
        continue;
      }
      MetricRecord& row = rows->metrics.emplace_back(*point);
      row.seq = ++job->last_metric_seq;
      row.attempt = number;
      if (number == job->attempts.back().number) {
        NoteMetric(*job, row);  // What an older attempt still sends is not the newest value.
      }
    } else {
      LogRecord& row = rows->logs.emplace_back(std::get<LogRecord>(item.value));
      row.seq = ++job->last_log_seq;
      row.attempt = number;
      row.rank = batch.key.rank;
    }
  }
  if (stored > before) {
    cursors_[batch.key] = stored;
    batch_.cursors[batch.key] = stored;
    G2LL_FAILPOINT("core.telemetry.recorded");
  } else if (last > stored) {
    log::Warning("telemetry has a gap", {{"job", found->FullName()},
                                         {"rank", batch.key.rank},
                                         {"stored", stored},
                                         {"given", batch.items.front().local_seq},
                                         {"time", absl::FormatTime(now)}});
  }
  return stored;
}

absl::StatusOr<std::vector<CheckpointRecord>> Core::ListCheckpoints(
    const std::string& full_name) const {
  G2LL_ASSIGN_OR_RETURN(const JobPtr job, Lookup(full_name));
  std::vector<CheckpointRecord> checkpoints;
  const auto of_job = checkpoints_of_.find(job->uid);
  if (of_job != checkpoints_of_.end()) {
    for (auto entry = of_job->second.rbegin(); entry != of_job->second.rend(); ++entry) {
      checkpoints.push_back(checkpoints_.at(entry->second));
    }
  }
  return checkpoints;
}

absl::StatusOr<CheckpointRecord> Core::GetCheckpoint(const std::string& id) const {
  const auto found = checkpoints_.find(id);
  if (found == checkpoints_.end()) {
    return net::WithReason(absl::NotFoundError(absl::StrCat("checkpoint ", id, " does not exist")),
                           "CHECKPOINT_NOT_FOUND", {{"checkpoint", id}});
  }
  return found->second;
}

absl::StatusOr<std::optional<CheckpointRecord>> Core::CheckCommit(
    const CommitCheckpointCommand& command) const {
  const CheckpointRecord& wanted = command.checkpoint;
  const auto of_job = checkpoints_of_.find(wanted.job_uid);
  if (of_job != checkpoints_of_.end()) {
    const auto same = of_job->second.find(wanted.step);
    if (same != of_job->second.end() && checkpoints_.at(same->second).path == wanted.path) {
      return std::optional<CheckpointRecord>(checkpoints_.at(same->second));
    }
  }
  G2LL_RETURN_IF_ERROR(CheckFence({.worker = command.worker,
                                   .incarnation = command.incarnation,
                                   .job_uid = wanted.job_uid,
                                   .epoch = wanted.epoch,
                                   .coordinator_term = command.coordinator_term}));
  const std::string folder = CheckpointParent(wanted.job_uid, wanted.epoch);
  if (!storage::IsInside(wanted.path, folder)) {
    return net::WithReason(absl::InvalidArgumentError(absl::StrCat(
                               "path: '", wanted.path, "' does not lie below ", folder, "/")),
                           "INVALID_CHECKPOINT");
  }
  G2LL_RETURN_IF_ERROR(CheckStep(wanted.job_uid, wanted.step));
  return std::optional<CheckpointRecord>();
}

absl::StatusOr<CheckpointRecord> Core::CommitCheckpoint(CommitCheckpointCommand command,
                                                        absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(const std::optional<CheckpointRecord> existing, CheckCommit(command));
  if (existing.has_value()) {
    return *existing;
  }
  JobRecord& job = Edit(command.checkpoint.job_uid);
  CheckpointRecord checkpoint = std::move(command.checkpoint);
  checkpoint.id = absl::StrCat(job.name, "-", job.uid.substr(0, 8), "-", checkpoint.step);
  checkpoint.job = job.FullName();
  checkpoint.create_time = now;
  std::map<int64_t, std::string>& of_job = checkpoints_of_[job.uid];
  if (checkpoint.best) {
    for (const auto& [step, id] : of_job) {
      CheckpointRecord& older = checkpoints_.at(id);
      if (std::exchange(older.best, false)) {
        batch_.checkpoints.push_back(older);
      }
    }
  }
  of_job[checkpoint.step] = checkpoint.id;
  checkpoints_[checkpoint.id] = checkpoint;
  batch_.checkpoints.push_back(checkpoint);
  job.latest_checkpoint = checkpoint.id;
  job.latest_checkpoint_step = checkpoint.step;
  AddEvent(job.uid, absl::StrCat("worker/", command.worker), "CHECKPOINT_COMMITTED",
           absl::StrCat(checkpoint.id, " at step ", checkpoint.step), now);
  G2LL_FAILPOINT("core.checkpoint.recorded");
  return checkpoint;
}

}  // namespace g2ll::coordinator
