// The reading half of SqliteJobStore.
#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "server/store/columns.h"
#include "server/store/schema.h"
#include "server/store/sqlite_job_store.h"

namespace g2ll::store {
namespace {

using cluster::AttemptRecord;
using cluster::CheckpointRecord;
using cluster::JobRecord;

JobRecord ReadJob(Query& query) {
  JobRecord job;
  job.uid = query.Text();
  job.project = query.Text();
  job.name = query.Text();
  job.kind = query.EnumValue<cluster::JobKind>();
  FromColumn(query.Text(), &job.labels);
  job.spec = std::make_shared<const std::string>(query.Text());
  job.min_ranks = query.Int32();
  job.max_ranks = query.Int32();
  job.global_batch = query.Int32();
  job.priority = query.EnumValue<cluster::Priority>();
  job.device = query.EnumValue<cluster::Device>();
  job.cpus_per_rank = query.Int32();
  job.max_retries = query.Int32();
  job.max_infra_retries = query.Int32();
  job.source = query.Text();
  FromColumn(query.Text(), &job.dependencies);
  job.data_source = query.Text();
  job.data_split = query.Text();
  job.needs_masks = query.Bool();
  job.create_time = query.Time();
  job.revision = query.Int();
  job.state = query.EnumValue<cluster::JobState>();
  job.reason.code = query.Text();
  job.reason.message = query.Text();
  job.data_checked = query.Bool();
  job.start_time = query.Time();
  job.end_time = query.Time();
  job.not_before = query.Time();
  job.used_retries = query.Int32();
  job.used_infra_retries = query.Int32();
  job.epoch = query.Int();
  FromColumn(query.Text(), &job.progress);
  FromColumn(query.Text(), &job.metrics);
  FromColumn(query.Text(), &job.best_metric);
  job.latest_checkpoint = query.Text();
  job.latest_checkpoint_step = query.Int();
  FromColumn(query.Text(), &job.lineage);
  job.report_path = query.Text();
  job.last_metric_seq = query.Int();
  job.last_log_seq = query.Int();
  job.last_metric_step = query.Int();
  job.queue = query.Text();
  job.preemptible = query.Bool();
  job.max_runtime = query.Duration();
  job.min_runtime = query.Duration();
  job.grace = query.Duration();
  job.on_failed_dependency = query.EnumValue<cluster::OnFailedDependency>();
  job.desired = query.EnumValue<cluster::Desired>();
  job.held = query.Bool();
  job.preemptions = query.Int32();
  job.without_progress = query.Int32();
  job.failed_starts = query.Int32();
  FromColumn(query.Text(), &job.excluded_workers);
  job.change_seq = query.Int();
  return job;
}

AttemptRecord ReadAttempt(Query& query) {
  AttemptRecord attempt;
  attempt.number = query.Int32();
  attempt.epoch = query.Int();
  attempt.state = query.EnumValue<cluster::AttemptState>();
  attempt.outcome = query.EnumValue<cluster::AttemptOutcome>();
  FromColumn(query.Text(), &attempt.workers);
  attempt.start_time = query.Time();
  attempt.end_time = query.Time();
  attempt.state_time = query.Time();
  FromColumn(query.Text(), &attempt.failure);
  attempt.store_address = query.Text();
  attempt.resume_path = query.Text();
  attempt.resume_step = query.Int();
  attempt.source_path = query.Text();
  attempt.run_time = query.Time();
  attempt.stop_deadline = query.Time();
  attempt.stop_reason = query.Text();
  attempt.stopped_for = query.Text();
  attempt.kill = query.Bool();
  attempt.lost_steps = query.Int();
  return attempt;
}

}  // namespace

absl::StatusOr<StoredState> SqliteJobStore::Load() {
  G2LL_RETURN_IF_ERROR(fault_);
  StoredState state;
  {
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database_->Prepare("SELECT value FROM meta WHERE key = 'term'"));
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    state.term = found ? query.Int() : 0;
  }
  G2LL_RETURN_IF_ERROR(LoadJobs(&state));
  G2LL_RETURN_IF_ERROR(LoadAttempts(&state));
  G2LL_RETURN_IF_ERROR(LoadCheckpoints(&state));
  G2LL_RETURN_IF_ERROR(LoadRequestsAndCursors(&state));
  G2LL_RETURN_IF_ERROR(LoadQueuesAndProjects(&state));
  G2LL_RETURN_IF_ERROR(LoadWishesAndTombstones(&state));
  G2LL_RETURN_IF_ERROR(LoadForgotten(&state));
  return state;
}

absl::Status SqliteJobStore::LoadJobs(StoredState* state) {
  static const std::string kSql =
      absl::StrCat("SELECT ", kJobColumns, " FROM jobs WHERE removed = 0");
  G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare(kSql.c_str()));
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    if (!found) {
      return absl::OkStatus();
    }
    state->jobs.push_back(ReadJob(query));
  }
}

absl::Status SqliteJobStore::LoadAttempts(StoredState* state) {
  std::unordered_map<std::string, JobRecord*> by_uid;
  for (JobRecord& job : state->jobs) {
    by_uid[job.uid] = &job;
  }
  static const std::string kSql =
      absl::StrCat("SELECT ", kAttemptColumns, " FROM attempts ORDER BY job_uid, number");
  G2LL_ASSIGN_OR_RETURN(Query query, database_->Prepare(kSql.c_str()));
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    if (!found) {
      return absl::OkStatus();
    }
    const auto job = by_uid.find(query.Text());
    if (job != by_uid.end()) {
      job->second->attempts.push_back(ReadAttempt(query));
    }
  }
}

absl::Status SqliteJobStore::LoadCheckpoints(StoredState* state) {
  G2LL_ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("SELECT id, job_uid, job, step, epoch, path, size_bytes, sha256, state, "
                         "pinned, best, create_time, metrics FROM checkpoints ORDER BY job_uid, "
                         "step"));
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    if (!found) {
      return absl::OkStatus();
    }
    CheckpointRecord checkpoint;
    checkpoint.id = query.Text();
    checkpoint.job_uid = query.Text();
    checkpoint.job = query.Text();
    checkpoint.step = query.Int();
    checkpoint.epoch = query.Int();
    checkpoint.path = query.Text();
    checkpoint.size_bytes = query.Int();
    checkpoint.sha256 = query.Text();
    checkpoint.state = query.EnumValue<cluster::CheckpointState>();
    checkpoint.pinned = query.Bool();
    checkpoint.best = query.Bool();
    checkpoint.create_time = query.Time();
    FromColumn(query.Text(), &checkpoint.metrics);
    state->checkpoints.push_back(std::move(checkpoint));
  }
}

absl::Status SqliteJobStore::LoadRequestsAndCursors(StoredState* state) {
  {
    G2LL_ASSIGN_OR_RETURN(
        Query query,
        database_->Prepare("SELECT request_id, fingerprint, job_uid, time FROM requests"));
    while (true) {
      G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
      if (!found) {
        break;
      }
      cluster::RequestRecord request;
      request.request_id = query.Text();
      request.fingerprint = query.Text();
      request.job_uid = query.Text();
      request.time = query.Time();
      state->requests.push_back(std::move(request));
    }
  }
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database_->Prepare("SELECT job_uid, epoch, rank, local_seq FROM cursors"));
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    if (!found) {
      return absl::OkStatus();
    }
    cluster::CursorKey key;
    key.job_uid = query.Text();
    key.epoch = query.Int();
    key.rank = query.Int32();
    state->cursors[std::move(key)] = query.Int();
  }
}

absl::Status SqliteJobStore::LoadQueuesAndProjects(StoredState* state) {
  {
    G2LL_ASSIGN_OR_RETURN(
        Query query, database_->Prepare("SELECT project, name, revision, stop, reason, "
                                        "max_waiting_jobs FROM queues ORDER BY project, name"));
    while (true) {
      G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
      if (!found) {
        break;
      }
      cluster::QueueRecord& queue = state->queues.emplace_back();
      queue.project = query.Text();
      queue.name = query.Text();
      queue.revision = query.Int();
      queue.stop = query.EnumValue<cluster::QueueStop>();
      queue.reason = query.Text();
      queue.max_waiting_jobs = query.Int32();
    }
  }
  G2LL_ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("SELECT name, revision, weight, guaranteed_slots, max_slots, "
                         "max_running_jobs, max_waiting_jobs, max_slot_hours, slot_seconds, "
                         "recent_usage, usage_time FROM projects ORDER BY name"));
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    if (!found) {
      return absl::OkStatus();
    }
    cluster::ProjectRecord& project = state->projects.emplace_back();
    project.name = query.Text();
    project.revision = query.Int();
    project.weight = query.Real();
    project.guaranteed_slots = query.Int32();
    project.max_slots = query.Int32();
    project.max_running_jobs = query.Int32();
    project.max_waiting_jobs = query.Int32();
    project.max_slot_hours = query.Real();
    project.slot_seconds = query.Real();
    project.recent_usage = query.Real();
    project.usage_time = query.Time();
  }
}

absl::Status SqliteJobStore::LoadWishesAndTombstones(StoredState* state) {
  {
    G2LL_ASSIGN_OR_RETURN(Query query,
                          database_->Prepare("SELECT worker, schedulable, reason, time FROM "
                                             "worker_wishes ORDER BY worker"));
    while (true) {
      G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
      if (!found) {
        break;
      }
      cluster::WorkerWish& wish = state->wishes.emplace_back();
      wish.worker = query.Text();
      wish.schedulable = query.EnumValue<cluster::Schedulable>();
      wish.reason = query.Text();
      wish.time = query.Time();
    }
  }
  for (const JobRecord& job : state->jobs) {
    state->last_change_seq = std::max(state->last_change_seq, job.change_seq);
  }
  G2LL_ASSIGN_OR_RETURN(Query query,
                        database_->Prepare("SELECT change_seq, uid, project, name FROM tombstones "
                                           "ORDER BY change_seq"));
  while (true) {
    G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
    if (!found) {
      return absl::OkStatus();
    }
    cluster::TombstoneRecord& tombstone = state->tombstones.emplace_back();
    tombstone.change_seq = query.Int();
    tombstone.uid = query.Text();
    tombstone.project = query.Text();
    tombstone.name = query.Text();
    state->last_change_seq = std::max(state->last_change_seq, tombstone.change_seq);
  }
}

}  // namespace g2ll::store
