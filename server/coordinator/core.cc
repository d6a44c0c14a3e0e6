#include "server/coordinator/core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"

namespace g2ll::coordinator {

using cluster::AttemptRecord;
using cluster::JobRecord;
using cluster::JobState;

Core::Core(CoreOptions options, store::JobStore* store, telemetry::TelemetryHub* hub,
           metrics::ServerMetrics* metrics)
    : options_(std::move(options)), store_(store), hub_(hub), metrics_(metrics) {}

absl::Status Core::Start(absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(term_, store_->NextTerm());
  G2LL_FAILPOINT("core.start.term");
  G2LL_RETURN_IF_ERROR(LoadState());
  G2LL_FAILPOINT("core.start.loaded");
  for (const auto& [uid, job] : jobs_) {
    hub_->PublishJob(*job);
  }
  ResetFeed();
  recovery_end_ = now + options_.recovery_window;
  AdoptWorkers(now);
  BoundTimes(now);
  UpdateGauges();
  must_schedule_ = true;
  G2LL_FAILPOINT("core.start.done");
  return absl::OkStatus();
}

absl::Status Core::LoadState() {
  G2LL_ASSIGN_OR_RETURN(store::StoredState state, store_->Load());
  jobs_.clear();
  uid_by_name_.clear();
  by_time_.clear();
  unfinished_.clear();
  unchecked_.clear();
  jobs_in_.clear();
  placed_.clear();
  placed_on_.clear();
  pending_.clear();
  waiting_in_project_.clear();
  waiting_in_queue_.clear();
  children_.clear();
  checkpoints_.clear();
  checkpoints_of_.clear();
  requests_.clear();
  for (JobRecord& job : state.jobs) {
    const std::string uid = job.uid;
    uid_by_name_[job.FullName()] = uid;
    by_time_.emplace(job.create_time, uid);
    CountJob(job.state, 1);
    if (!job.data_checked) {
      unchecked_.insert(uid);
    }
    if (!cluster::IsTerminal(job.state)) {
      unfinished_.insert(uid);
    }
    Derive(job);
    IndexPlacement(job);
    IndexChild(job);
    LearnRuntime(job);
    const auto stored = jobs_.emplace(uid, std::make_shared<JobRecord>(std::move(job))).first;
    IndexPending(*stored->second);
    if (stored->second->state == JobState::kPending &&
        stored->second->on_failed_dependency == cluster::OnFailedDependency::kFail) {
      to_settle_.insert(uid);
    }
  }
  for (cluster::CheckpointRecord& checkpoint : state.checkpoints) {
    checkpoints_of_[checkpoint.job_uid][checkpoint.step] = checkpoint.id;
    const std::string id = checkpoint.id;
    checkpoints_[id] = std::move(checkpoint);
  }
  for (cluster::RequestRecord& request : state.requests) {
    const std::string id = request.request_id;
    requests_[id] = std::move(request);
  }
  cursors_ = std::move(state.cursors);
  kept_ = std::move(state.kept);
  removed_jobs_ = {state.removed_jobs.begin(), state.removed_jobs.end()};
  purging_ = true;
  queues_.clear();
  for (cluster::QueueRecord& queue : state.queues) {
    const std::string name = queue.FullName();
    queues_[name] = std::move(queue);
  }
  projects_.clear();
  for (cluster::ProjectRecord& project : state.projects) {
    const std::string name = project.name;
    projects_[name] = std::move(project);
  }
  wishes_.clear();
  for (cluster::WorkerWish& wish : state.wishes) {
    const std::string worker = wish.worker;
    wishes_[worker] = std::move(wish);
  }
  tombstones_.clear();
  for (cluster::TombstoneRecord& tombstone : state.tombstones) {
    tombstones_[tombstone.change_seq] = std::move(tombstone);
  }
  // Numbers of changes that could not be stored are not given again.
  last_change_seq_ = std::max(last_change_seq_, state.last_change_seq);
  return absl::OkStatus();
}

// Workers that hold attempts are known from the start, so that they count as lost if they
// do not come back within the recovery window; and those of which an operator wants
// something, so that it can be taken back.
void Core::AdoptWorkers(absl::Time now) {
  std::set<std::string> names;
  for (const auto& [name, jobs] : placed_on_) {
    names.insert(name);
  }
  for (const auto& [name, wish] : wishes_) {
    names.insert(name);
  }
  for (const std::string& name : names) {
    const auto [entry, is_new] = workers_.try_emplace(name);
    if (!is_new) {
      continue;
    }
    Worker& worker = entry->second;
    worker.record.report.worker = name;
    worker.record.state = cluster::WorkerState::kSuspect;
    worker.record.message = "not heard of since the coordinator started";
    worker.heard = now;
  }
}

// Times that were stored by a clock that was ahead: nothing waits for them to come.
void Core::BoundTimes(absl::Time now) {
  const std::set<std::string> unfinished = unfinished_;
  for (const std::string& uid : unfinished) {
    const JobPtr job = Find(uid);
    const AttemptRecord* attempt = job->LiveAttempt();
    if (job->not_before > now + options_.longest_backoff) {
      Edit(uid).not_before = now;
    }
    if (attempt != nullptr && attempt->state_time > now) {
      Edit(uid).LiveAttempt()->state_time = now;
    }
    if (attempt != nullptr && attempt->stop_deadline > now + job->grace) {
      Edit(uid).LiveAttempt()->stop_deadline = now + job->grace;
    }
  }
}

JobRecord& Core::Edit(const std::string& job_uid) {
  std::shared_ptr<JobRecord>& edited = edited_[job_uid];
  if (edited == nullptr) {
    std::shared_ptr<JobRecord>& current = jobs_.at(job_uid);
    edited = std::make_shared<JobRecord>(*current);
    ++edited->revision;
    current = edited;
  }
  return *edited;
}

JobPtr Core::Find(const std::string& job_uid) const {
  const auto job = jobs_.find(job_uid);
  return job == jobs_.end() ? nullptr : job->second;
}

std::string Core::NameOf(const std::string& job_uid) const {
  const JobPtr job = Find(job_uid);
  return job == nullptr ? "" : job->FullName();
}

void Core::AddEvent(const std::string& job_uid, const std::string& actor, const std::string& type,
                    const std::string& message, absl::Time now) {
  batch_.events.push_back({job_uid, now, actor, type, message});
}

absl::Status Core::Move(JobRecord& job, cluster::JobEvent event, cluster::StateReason reason,
                        const std::string& actor, absl::Time now) {
  G2LL_ASSIGN_OR_RETURN(const JobState next, cluster::Transition(job.state, event));
  const JobState before = job.state;
  CountJob(before, -1);
  CountJob(next, 1);
  job.state = next;
  job.reason = std::move(reason);
  if (next == JobState::kRunning && job.start_time == absl::InfinitePast()) {
    job.start_time = now;
  }
  if (cluster::IsTerminal(next)) {
    job.end_time = now;
    unfinished_.erase(job.uid);
    IndexChild(job);
    LearnRuntime(job);
    if (const auto children = children_.find(job.uid); children != children_.end()) {
      to_settle_.insert(children->second.begin(), children->second.end());
    }
  } else if (next == JobState::kPending &&
             job.on_failed_dependency == cluster::OnFailedDependency::kFail) {
    // A job that it needs may have ended while it was not waiting.
    to_settle_.insert(job.uid);
  }
  IndexPending(job);
  std::string message =
      absl::StrCat(std::string(cluster::Name(before)), " -> ", std::string(cluster::Name(next)));
  if (!job.reason.message.empty()) {
    absl::StrAppend(&message, ": ", job.reason.message);
  }
  AddEvent(job.uid, actor, "STATE_CHANGED", message, now);
  log::Info("job changed", {{"job", job.FullName()},
                            {"from", cluster::Name(before)},
                            {"to", cluster::Name(next)},
                            {"reason", job.reason.message}});
  must_schedule_ = true;
  G2LL_FAILPOINT("core.job.moved");
  return absl::OkStatus();
}

absl::Status Core::Flush(absl::Time now) {
  SettleDependents(now);
  if (must_schedule_ && options_.cycle_clock() >= next_cycle_) {
    Schedule(now);
    SettleDependents(now);  // Of jobs that could not be placed and failed.
  }
  NoteStoredLogs(now);
  const auto changed = std::exchange(edited_, {});
  store::WriteBatch batch = std::exchange(batch_, {});
  for (const auto& [uid, job] : changed) {
    if (jobs_.contains(uid)) {
      job->change_seq = ++last_change_seq_;
      batch.jobs.push_back(job);
    }
  }
  absl::Status committed = absl::OkStatus();
  if (!batch.empty()) {
    G2LL_FAILPOINT("core.flush.before");
    const absl::Time start = absl::Now();
    committed = store_->Commit(batch);
    metrics_->ObserveCommit(absl::Now() - start);
    G2LL_FAILPOINT("core.flush.committed");
  }
  absl::Status usable = absl::OkStatus();
  if (committed.ok()) {
    Publish(batch, changed);
  } else {
    metrics_->AddCommitFailure();
    log::Error("changes could not be stored; they are taken back",
               {{"error", std::string(committed.message())}});
    usable = LoadState();
    if (!usable.ok()) {
      // What was stored is not known, so no answer would be true.
      answers_.clear();
      return usable;
    }
    committed = net::WithReason(
        absl::UnavailableError(absl::StrCat("the change could not be stored (",
                                            std::string(committed.message()), "); try again")),
        "STORE_FAILED");
  }
  G2LL_FAILPOINT("core.flush.published");
  for (const Answer& answer : std::exchange(answers_, {})) {
    answer(committed);
  }
  G2LL_FAILPOINT("core.flush.answered");
  PushDesired(now);
  G2LL_FAILPOINT("core.flush.pushed");
  if (!usable.ok()) {
    return usable;
  }
  return PurgeSome();
}

void Core::Publish(const store::WriteBatch& batch,
                   const std::map<std::string, std::shared_ptr<JobRecord>>& changed) {
  for (const auto& [uid, rows] : batch.telemetry) {
    hub_->PublishMetrics(uid, rows.metrics);
    hub_->PublishLogs(uid, rows.logs);
    metrics_->AddMetricPoints(static_cast<int64_t>(rows.metrics.size()));
    metrics_->AddLogLines(static_cast<int64_t>(rows.logs.size()));
  }
  PublishChanges(batch);
  for (const auto& [uid, job] : changed) {
    if (!jobs_.contains(uid)) {
      continue;
    }
    hub_->PublishJob(*job);
    const auto watches = watches_.find(uid);
    if (watches != watches_.end()) {
      for (const auto& [id, watch] : watches->second) {
        watch(job);
      }
    }
    if (!job->attempts.empty()) {
      stale_workers_.insert(job->attempts.back().workers.begin(),
                            job->attempts.back().workers.end());
    }
  }
  RemoveFiles(batch.deleted_jobs);
  purging_ = purging_ || !batch.deleted_jobs.empty() || !batch.forgotten_jobs.empty();
  for (const std::string& uid : batch.deleted_jobs) {
    hub_->PublishDeleted(uid);
    const auto watches = watches_.find(uid);
    if (watches != watches_.end()) {
      for (const auto& [id, watch] : watches->second) {
        watch(nullptr);
      }
    }
  }
}

void Core::UpdateGauges() {
  metrics_->SetJobs(jobs_in_);
  std::map<cluster::WorkerState, int64_t> workers;
  for (const auto& [name, worker] : workers_) {
    ++workers[worker.record.state];
  }
  metrics_->SetWorkers(workers);
}

int64_t Core::Watch(const std::string& job_uid, JobWatch watch) {
  const int64_t watcher = next_number_++;
  watches_[job_uid].emplace(watcher, std::move(watch));
  return watcher;
}

void Core::Unwatch(const std::string& job_uid, int64_t watcher) {
  const auto watches = watches_.find(job_uid);
  if (watches != watches_.end()) {
    watches->second.erase(watcher);
    if (watches->second.empty()) {
      watches_.erase(watches);
    }
  }
}

void Core::NoteSleep(absl::Duration slept) {
  log::Warning("the coordinator was asleep", {{"time", absl::FormatDuration(slept)}});
  for (auto& [name, worker] : workers_) {
    worker.heard += slept;
    worker.closed += slept;
  }
  recovery_end_ += slept;
}

void Core::Tick(absl::Time now) {
  for (auto& [name, worker] : workers_) {
    Judge(worker, now);
  }
  TickChecks(now);
  DrainWorkers(now);
  const std::set<std::string> placed = placed_;
  for (const std::string& uid : placed) {
    Reconcile(uid, now);
  }
  Scan(now);
  TickRetention(now);
  UpdateGauges();
  must_schedule_ = true;
}

}  // namespace g2ll::coordinator
