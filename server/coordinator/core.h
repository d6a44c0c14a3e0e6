#ifndef SERVER_COORDINATOR_CORE_H_
#define SERVER_COORDINATOR_CORE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/cluster/explanation.h"
#include "server/cluster/records.h"
#include "server/cluster/worker_records.h"
#include "server/coordinator/commands.h"
#include "server/coordinator/cycle.h"
#include "server/coordinator/gang.h"
#include "server/coordinator/job_feed.h"
#include "server/coordinator/options.h"
#include "server/metrics/server_metrics.h"
#include "server/store/job_store.h"
#include "server/telemetry/hub.h"

namespace g2ll::coordinator {

// All state of the control plane and every rule that changes it. Used by one
// thread; time enters as an argument and never falls nor jumps (SteadyClock). A command changes
// memory and a batch of writes; Flush makes the batch durable and only then lets answers, watchers
// and workers see it. Collaborators outlive the core.
class Core {
 public:
  using Answer = std::function<void(const absl::Status& committed)>;
  using JobAnswer = std::function<void(absl::StatusOr<JobPtr>)>;
  using JobWatch = std::function<void(const JobPtr& job)>;

  Core(CoreOptions options, store::JobStore* store, telemetry::TelemetryHub* hub,
       metrics::ServerMetrics* metrics);

  // Loads the store and begins a new term.
  absl::Status Start(absl::Time now);

  // Jobs. Errors carry the reasons that job.proto names.
  void CreateJob(CreateJobCommand command, JobAnswer answer, absl::Time now);
  absl::StatusOr<JobPtr> GetJob(const std::string& full_name) const;
  // All jobs of a project (all projects if it is empty), newest last.
  std::vector<JobPtr> JobsOf(const std::string& project) const;
  // The verbs of job.proto. Repeating one has no further effect.
  absl::StatusOr<JobPtr> CancelJob(const JobRequest& request, bool kill, absl::Time now);
  absl::StatusOr<JobPtr> PauseJob(const JobRequest& request, absl::Time now);
  absl::StatusOr<JobPtr> ResumeJob(const JobRequest& request, absl::Time now);
  absl::StatusOr<JobPtr> RequeueJob(const JobRequest& request, const std::string& request_id,
                                    absl::Time now);
  absl::StatusOr<JobPtr> UpdateJob(const JobRequest& request, const JobChange& change,
                                   bool validate_only, absl::Time now);
  absl::Status DeleteJob(const JobRequest& request);
  // `watch` gets the job after every commit that changes it (null: deleted) until
  // Unwatch. MUST return at once and never call back.
  int64_t Watch(const std::string& job_uid, JobWatch watch);
  void Unwatch(const std::string& job_uid, int64_t watcher);

  // Why a job stands where it stands, with the numbers of the last scheduling cycle.
  absl::StatusOr<cluster::JobExplanation> ExplainJob(const std::string& full_name) const;
  // Waiting jobs of a project (all if it is empty) in scheduling order, `count` of them
  // behind the first `skip`.
  WaitingPage ListWaiting(const std::string& project, int64_t skip, int64_t count) const;

  // Queues and projects by their short names. Errors carry the reasons that queue.proto
  // names. `etag` empty is any; `change` sets fields and nothing else.
  absl::StatusOr<QueueState> CreateQueue(cluster::QueueRecord queue);
  absl::StatusOr<QueueState> GetQueue(const std::string& project, const std::string& queue) const;
  std::vector<QueueState> ListQueues(const std::string& project) const;
  absl::StatusOr<QueueState> UpdateQueue(const std::string& project, const std::string& queue,
                                         const std::string& etag,
                                         const std::function<void(cluster::QueueRecord&)>& change);
  absl::Status DeleteQueue(const std::string& project, const std::string& queue);
  absl::StatusOr<ProjectState> GetProject(const std::string& name, absl::Time now) const;
  std::vector<ProjectState> ListProjects(absl::Time now) const;
  absl::StatusOr<ProjectState> UpdateProject(
      const std::string& name, const std::string& etag,
      const std::function<void(cluster::ProjectRecord&)>& change, absl::Time now);

  // Checkpoints, newest first.
  absl::StatusOr<std::vector<cluster::CheckpointRecord>> ListCheckpoints(
      const std::string& full_name) const;
  absl::StatusOr<cluster::CheckpointRecord> GetCheckpoint(const std::string& id) const;
  absl::StatusOr<cluster::CheckpointRecord> PinCheckpoint(const std::string& id, bool pinned,
                                                          absl::Time now);
  // Records what a look at its files has shown.
  absl::StatusOr<cluster::CheckpointRecord> MarkCheckpoint(const std::string& id,
                                                           cluster::CheckpointState state,
                                                           const std::string& why, absl::Time now);
  // Whether a checkpoint may be written now; nothing changes.
  absl::StatusOr<CheckpointPlan> BeginCheckpoint(const BeginCheckpointCommand& command) const;
  // Whether the command may be committed now; nothing changes. An existing
  // checkpoint for the same directory is returned.
  absl::StatusOr<std::optional<cluster::CheckpointRecord>> CheckCommit(
      const CommitCheckpointCommand& command) const;
  absl::StatusOr<cluster::CheckpointRecord> CommitCheckpoint(CommitCheckpointCommand command,
                                                             absl::Time now);

  // Workers. Returns the number of the session or an error for a bad worker.
  absl::StatusOr<int64_t> OpenSession(const cluster::WorkerReport& report,
                                      std::shared_ptr<WorkerSession> session, absl::Time now);
  void ReportWorker(cluster::WorkerReport report, int64_t session_id, absl::Time now);
  void CloseSession(const std::string& worker, int64_t session_id, absl::Time now);
  std::vector<cluster::WorkerRecord> ListWorkers() const;
  // Errors: NotFound (WORKER_NOT_FOUND).
  absl::StatusOr<cluster::WorkerRecord> GetWorker(const std::string& name) const;
  // What an operator wants of a worker; kDraining also stops what runs there at a
  // checkpoint, kAllowed takes back every other wish. Errors: those of GetWorker.
  absl::StatusOr<cluster::WorkerRecord> SetWorkerWish(const std::string& name,
                                                      cluster::Schedulable schedulable,
                                                      const std::string& reason, absl::Time now);
  // Whether workers of running jobs are still awaited after the start.
  bool IsRecovering(absl::Time now) const;
  // Full name of a job; empty if there is none.
  std::string NameOf(const std::string& job_uid) const;
  // Ends all sessions and in-flight creations, and refuses new ones from now on.
  void CloseAll(const absl::Status& status);

  // Stores what is new of a batch. Returns the number up to which the reporter's
  // items are stored (once committed) or will never be.
  int64_t PushTelemetry(const cluster::TelemetryBatch& batch, absl::Time now);

  // Leases, limits, data checks and scheduling. Called about once a second.
  void Tick(absl::Time now);
  // The coordinator did not run for so long, for example because its process was stopped.
  // Nobody could be heard meanwhile, so this is no silence of theirs.
  void NoteSleep(absl::Duration slept);

  // So many commands go into the next commit.
  void NoteQueueDepth(size_t depth) { metrics_->SetStoreQueueDepth(depth); }
  // Runs after the next commit, with its result.
  void AfterCommit(Answer answer) { answers_.push_back(std::move(answer)); }
  // Schedules, commits, publishes and answers. Error: the commit failed and the
  // stored state could not be read back; nobody is answered, and the process must end.
  absl::Status Flush(absl::Time now);

  // Removes the folders of a deleted job and answers with FilesRemoved; called after the
  // commit that deletes it. MUST return at once.
  using JobRemover = std::function<void(const std::string& job_uid)>;
  // Hands it what earlier coordinators left, too.
  void SetRemover(JobRemover remover);
  void FilesRemoved(const std::string& job_uid);
  // When Flush has something to schedule; InfiniteFuture if nothing, InfinitePast if at
  // once. By CoreOptions::cycle_clock.
  absl::Time schedule_time() const { return must_schedule_ ? next_cycle_ : absl::InfiniteFuture(); }
  absl::Time cycle_time() const { return options_.cycle_clock(); }

  int64_t term() const { return term_; }
  // All jobs for those who watch them; thread safe.
  JobFeed& feed() { return feed_; }

 private:
  // Job and epoch.
  using AttemptId = std::pair<std::string, int64_t>;
  // What a worker has shown of an attempt so far.
  struct Seen {
    std::string incarnation;
    int64_t step = -1;
    // When the step was above the one before.
    absl::Time step_time = absl::InfinitePast();
  };
  struct Worker {
    cluster::WorkerRecord record;
    std::shared_ptr<WorkerSession> session;
    int64_t session_id = 0;
    // Of the agent that opened the session.
    std::string incarnation;
    // It has spoken since this coordinator started.
    bool reported = false;
    // Silence counts from here.
    absl::Time heard = absl::InfinitePast();
    // Since when there is no session.
    absl::Time closed = absl::InfinitePast();
    // Earlier incarnations, newest last: they get no session any more.
    std::deque<std::string> superseded;
    // Attempts that it has reported at some time, by job and epoch.
    std::map<AttemptId, Seen> seen;
    // Ranks of attempts that were given up while it could not be heard: their slots are
    // not given out until it shows that they have ended.
    std::map<AttemptId, int32_t> unknown;
    // Attempts that it still holds although they are over, and since when.
    std::map<AttemptId, absl::Time> leftovers;
    cluster::DesiredWorker pushed;
    // Its last report is not answered yet.
    bool owes_answer = false;
    int64_t push_sequence = 0;
    // At the last scheduling cycle, and since when they have not been taken up.
    int32_t last_free_slots = 0;
    absl::Time free_since = absl::InfiniteFuture();
  };
  // A PENDING job, where it is stored and what it is counted under.
  struct Waiting {
    const std::shared_ptr<cluster::JobRecord>* job = nullptr;
    std::string project;
    // Full name of its queue.
    std::string queue;
  };
  struct Creation {
    CreateJobCommand command;
    JobAnswer answer;
  };
  // Who waits for an answer about data. Exactly one of the two: a job that is being
  // created, or a stored one.
  struct CheckWaiter {
    absl::Time deadline;
    std::optional<Creation> creation;
    std::string job_uid;
  };
  // A question to one worker about a data source.
  struct Check {
    cluster::DataCheck check;
    std::string worker;
    // JobRecord::data_key of those who wait.
    uint64_t key = 0;
    std::vector<CheckWaiter> waiters;
  };

  // core.cc
  absl::Status LoadState();
  void AdoptWorkers(absl::Time now);
  void BoundTimes(absl::Time now);
  // The job's record for changing; published by the next commit.
  cluster::JobRecord& Edit(const std::string& job_uid);
  JobPtr Find(const std::string& job_uid) const;
  void AddEvent(const std::string& job_uid, const std::string& actor, const std::string& type,
                const std::string& message, absl::Time now);
  // Moves a job and records it. A move that is not allowed changes nothing.
  absl::Status Move(cluster::JobRecord& job, cluster::JobEvent event, cluster::StateReason reason,
                    const std::string& actor, absl::Time now);
  void Publish(const store::WriteBatch& batch,
               const std::map<std::string, std::shared_ptr<cluster::JobRecord>>& changed);
  void UpdateGauges();
  // Counts a job of a state in, or with -1 out.
  void CountJob(cluster::JobState state, int64_t change) { jobs_in_[state] += change; }

  // core_watch.cc
  void ResetFeed();
  // Keeps for a while that a job was deleted.
  void Bury(const cluster::JobRecord& job);
  void PublishChanges(const store::WriteBatch& batch);

  // core_telemetry.cc
  // Whether a point of that name is stored.
  bool TakesMetric(const cluster::JobRecord& job, const std::string& name, absl::Time now);

  // core_jobs.cc
  absl::StatusOr<JobPtr> Lookup(const std::string& full_name) const;
  // The job that an equal earlier request made, or nothing.
  absl::StatusOr<std::optional<JobPtr>> FindEarlier(const CreateJobCommand& command) const;
  absl::Status ResolveDependencies(CreateJobCommand* command) const;
  // The record with what is derived from it alone.
  static void Derive(cluster::JobRecord& job);
  absl::Status CheckQueueExists(const std::string& project, const std::string& queue) const;
  void FinishCreation(Creation creation, const cluster::DataCheckResult* result, absl::Time now);
  JobPtr StoreJob(CreateJobCommand command, bool data_checked, absl::Time now);
  void AnswerJob(const JobAnswer& answer, absl::StatusOr<JobPtr> result);

  // core_control.cc
  // The job, if it still has the etag that is asked for.
  absl::StatusOr<JobPtr> LookupForChange(const JobRequest& request) const;
  // As above, and it has not ended.
  absl::StatusOr<JobPtr> LookupLive(const JobRequest& request) const;
  // Moves a job towards a stop: its attempt, if it has one, gets until the end of its
  // grace to write a checkpoint. Error: the state machine does not allow it.
  absl::Status AskToStop(const std::string& job_uid, const StopRequest& request, absl::Time now);
  void RememberRequest(cluster::RequestRecord request);

  // core_checkpoints.cc
  void ChooseLatest(cluster::JobRecord& job);

  // core_checks.cc
  std::string ChooseCheckWorker() const;
  // Equal data were found fine not long ago.
  bool IsKnownFine(const cluster::JobRecord& job, absl::Time now) const;
  // Asks a worker about the job's data, or joins an equal question that is open. False if
  // no worker can be asked; `waiter` is as it was then.
  bool Ask(const cluster::JobRecord& job, CheckWaiter& waiter);
  void SendCheckTo(const std::string& id, const std::string& worker);
  Check TakeCheck(const std::string& id);
  void AnswerWaiter(CheckWaiter waiter, const cluster::DataCheckResult* result,
                    const std::string& worker, absl::Time now);
  void TakeCheckResult(const std::string& worker, const cluster::DataCheckResult& result,
                       absl::Time now);
  // What is wrong as `spec.data.KEY: ...`, where KEY is the one that the worker names.
  static std::string DataFault(const cluster::DataCheckResult& result);
  void TickChecks(absl::Time now);
  void AskForStoredJobs(absl::Time now);

  // core_workers.cc
  void Judge(Worker& worker, absl::Time now);
  void SetWorkerState(Worker& worker, cluster::WorkerState state, std::string message);
  // Keeps `placed_` and `placed_on_` in step with the job's newest attempt.
  void IndexPlacement(const cluster::JobRecord& job);
  // Jobs that have ranks on a worker. Valid until a job is placed or its attempt ends.
  const std::set<std::string>& JobsOn(const std::string& worker) const;
  int32_t FreeSlots(const std::string& name, const Worker& worker) const;
  static int32_t UnknownSlots(const Worker& worker);
  // The attempt is live and has ranks on the worker.
  bool IsWanted(const std::string& name, const AttemptId& id) const;
  // Whether a gang may be placed there now.
  bool TakesWork(const std::string& name, const Worker& worker) const;
  cluster::WorkerRecord RecordOf(const std::string& name, const Worker& worker) const;
  std::set<std::string> NoteAttempts(Worker& worker, absl::Time now);
  cluster::DesiredWorker DesiredOf(const std::string& name) const;
  absl::Duration HeartbeatInterval() const;
  void PushDesired(absl::Time now);

  // core_nodes.cc
  void StoreWish(cluster::WorkerWish wish);
  void DrainWorkers(absl::Time now);
  // One more fault of a worker's hardware has been stored.
  void CountHardwareFault(const std::string& name, absl::Time now);
  // Whether the gang would fit on the workers that are left, were all of them free.
  bool CanHold(const cluster::JobRecord& job,
               const std::vector<cluster::ExcludedWorker>& excluded) const;
  // Lets waiting jobs use the workers that they avoid where they cannot do without.
  void LiftExclusions(absl::Time now);

  // core_scan.cc
  void Scan(absl::Time now);
  void CountStalls(const std::string& kind, const std::vector<std::string>& stalls);
  std::vector<std::string> FindUndriven(absl::Time now);
  std::vector<std::string> FindLateStops(absl::Time now);
  std::vector<std::string> FindLeftovers(absl::Time now);

  // core_fence.cc
  // Errors: Aborted (STALE_EPOCH or STALE_TERM), counted.
  absl::Status CheckFence(const Writer& writer) const;
  // Errors: FailedPrecondition (NOT_MONOTONIC).
  absl::Status CheckStep(const std::string& job_uid, int64_t step) const;
  static std::string CheckpointParent(const std::string& job_uid, int64_t epoch);

  // core_attempts.cc
  void Reconcile(const std::string& job_uid, absl::Time now);
  std::vector<GangMember> ViewGang(const cluster::JobRecord& job,
                                   const cluster::AttemptRecord& attempt, absl::Time now) const;
  void NoteContact(const std::string& job_uid, const std::string& contact_lost, absl::Time now);
  void Advance(const std::string& job_uid, const GangVerdict& verdict, absl::Time now);
  void Break(const std::string& job_uid, const cluster::FailureRecord& failure, absl::Time now);
  void FinishAttempt(const std::string& job_uid, const GangVerdict& verdict, absl::Time now);
  void Succeed(cluster::JobRecord& job, const GangVerdict& verdict, absl::Time now);
  void FinishStop(cluster::JobRecord& job, absl::Time now);
  void RetryOrFail(cluster::JobRecord& job, absl::Time now);
  void BlameWorker(cluster::JobRecord& job, const cluster::FailureRecord& failure, absl::Time now);

  // core_projects.cc
  // Keep `pending_` and its counts, and `children_`, in step with a job.
  void IndexPending(const cluster::JobRecord& job);
  void IndexChild(const cluster::JobRecord& job);
  void LearnRuntime(const cluster::JobRecord& job);
  // Room for one more waiting job. Error: ResourceExhausted.
  absl::Status CheckQueue(const std::string& project, const std::string& queue) const;
  int64_t WaitingInProject(const std::string& project) const;
  int64_t WaitingInQueue(const std::string& full_name) const;
  cluster::ProjectRecord& ProjectFor(const std::string& name);
  // Charges projects for what ran since the last time, and for a placement in advance.
  void ChargeUsage(absl::Time now);
  void ChargeEntry(const std::string& project, int32_t slots, absl::Time now);

  // core_queues.cc
  QueueState StateOf(const cluster::QueueRecord& queue) const;
  ProjectState StateOf(const cluster::ProjectRecord& project) const;
  // Of all projects that have jobs or settings.
  std::set<std::string> ProjectNames() const;

  // core_explain.cc
  // `waiting` is of `cycle_`, or null.
  cluster::JobExplanation Explained(const cluster::JobRecord& job,
                                    const scheduler::KeepWaiting* waiting) const;

  // core_snapshot.cc
  std::shared_ptr<Cycle> TakeSnapshot(absl::Time now);
  void AddWorkers(Cycle& cycle, absl::Time now);
  void AddStoppedQueues(Cycle& cycle);
  void AddPending(Cycle& cycle, const std::shared_ptr<cluster::JobRecord>& record, absl::Time now);
  void AddRunning(Cycle& cycle, const std::shared_ptr<cluster::JobRecord>& record, absl::Time now);
  int32_t ProjectIndex(Cycle& cycle, const std::string& name, absl::Time now);
  int32_t HoldIndex(Cycle& cycle, const std::string& job_uid) const;
  absl::Duration LearnedRuntime(const cluster::JobRecord& job) const;
  // The same text at a place where it stays for ever.
  std::string_view Intern(const std::string& name);

  // core_schedule.cc
  void Schedule(absl::Time now);
  // Fails or holds waiting jobs whose dependencies cannot succeed any more.
  void SettleDependents(absl::Time now);
  void SettleOne(const cluster::JobRecord& job, absl::Time now);
  // Keeps a waiting job from being placed until a user resumes it.
  void HoldJob(const std::string& job_uid, const std::string& why, absl::Time now);
  void DrainQueues(absl::Time now);
  // False if a gang could not be placed after all.
  bool CarryOut(const Cycle& cycle, absl::Time now);
  void KeepHolds(const Cycle& cycle);
  void StoreReason(const Cycle& cycle, const scheduler::KeepWaiting& waiting);
  // `workers` holds the worker of each rank, by rank. False if the job failed instead.
  bool Place(const std::string& job_uid, std::vector<std::string> workers, absl::Time now);
  // Directory and lineage of the job's `from`. Errors: FailedPrecondition.
  absl::StatusOr<std::string> ResolveSource(cluster::JobRecord& job) const;
  const cluster::CheckpointRecord* ResultOf(const std::string& job_uid) const;
  void RecordRollback(cluster::JobRecord& job, const cluster::AttemptRecord& attempt,
                      absl::Time now);

  // core_retention.cc
  // Error: FailedPrecondition (IN_USE), a checkpoint of the job is pinned or needed by a
  // job that has not ended.
  absl::Status CheckUnused(const cluster::JobRecord& job) const;
  // Forgets an ended job; its files go after the commit.
  void RemoveJob(const std::string& job_uid);
  void RemoveFiles(const std::vector<std::string>& deleted_jobs);
  RetentionFacts FactsOf(const cluster::JobRecord& job) const;
  void Cut(const cluster::JobRecord& job, const RetentionCut& cut, absl::Time now);
  void RetainJob(const std::string& job_uid, absl::Time now);
  void TickRetention(absl::Time now);
  void MakeSpace(absl::Time now);
  void NoteStoredLogs(absl::Time now);
  // Lets some rows go that are not kept any more. Error: the store is lost.
  absl::Status PurgeSome();

  const CoreOptions options_;
  store::JobStore* const store_;
  telemetry::TelemetryHub* const hub_;
  metrics::ServerMetrics* const metrics_;

  // Durable state.
  int64_t term_ = 0;
  std::map<std::string, std::shared_ptr<cluster::JobRecord>> jobs_;
  std::map<std::string, cluster::CheckpointRecord> checkpoints_;
  std::map<std::string, cluster::RequestRecord> requests_;
  std::map<cluster::CursorKey, int64_t> cursors_;
  std::map<std::string, cluster::KeptTelemetry> kept_;
  // Deleted jobs whose folders may still be there.
  std::set<std::string> removed_jobs_;
  // By full name.
  std::map<std::string, cluster::QueueRecord> queues_;
  std::map<std::string, cluster::ProjectRecord> projects_;
  // By worker; only those that are not kAllowed.
  std::map<std::string, cluster::WorkerWish> wishes_;
  // By change_seq.
  std::map<int64_t, cluster::TombstoneRecord> tombstones_;
  int64_t last_change_seq_ = 0;

  // Derived from it.
  std::map<std::string, std::string> uid_by_name_;
  // Newest last.
  std::set<std::pair<absl::Time, std::string>> by_time_;
  std::set<std::string> unfinished_;
  // Those of them that have a live attempt; in all, and by worker (never an empty set).
  std::set<std::string> placed_;
  std::map<std::string, std::set<std::string>> placed_on_;
  // Unfinished jobs whose data nobody has looked at, and perhaps some more.
  std::set<std::string> unchecked_;
  std::map<cluster::JobState, int64_t> jobs_in_;
  // Checkpoint ids of a job by step.
  std::map<std::string, std::map<int64_t, std::string>> checkpoints_of_;
  // Those that are PENDING, and how many by project and by full name of the queue.
  std::map<std::string, Waiting> pending_;
  std::map<std::string, int64_t> waiting_in_project_;
  std::map<std::string, int64_t> waiting_in_queue_;
  // Unfinished jobs that depend on a job, by its uid.
  std::map<std::string, std::set<std::string>> children_;
  // What jobs with an equal spec took, by JobRecord::spec_hash.
  std::unordered_map<uint64_t, absl::Duration> runtimes_;

  // Of this process.
  std::map<std::string, Worker> workers_;
  JobFeed feed_;
  std::map<std::string, Check> checks_;
  // Ids of open checks by worker, and by data key where it is known.
  std::map<std::string, std::set<std::string>> checks_at_;
  std::map<uint64_t, std::string> check_of_data_;
  // Until when data that were fine need not be looked at again, by data key.
  std::map<uint64_t, absl::Time> fine_until_;
  std::map<std::string, std::map<int64_t, JobWatch>> watches_;
  JobRemover remover_;
  // Where the next tick goes on looking for what may go.
  std::string retained_job_;
  std::string retained_request_;
  // Rows may be left that the store can purge.
  bool purging_ = true;
  // Jobs whose refused metrics have been told of.
  std::set<std::string> told_of_series_;
  int64_t next_number_ = 1;
  absl::Time recovery_end_ = absl::InfinitePast();
  absl::Time next_scan_ = absl::InfinitePast();
  // Of the scheduler: the last cycle, when the next may be, slots that are kept and
  // since when jobs have been blocked heads of the line (by uid), attempts that may be
  // recalled, waiting jobs to look at because a job that they need has ended, slots in
  // use by project, when usage was stored, and names.
  std::shared_ptr<const Cycle> cycle_;
  absl::Time next_cycle_ = absl::InfinitePast();
  std::map<std::string, HeldPlaces> holds_;
  std::map<std::string, absl::Time> blocked_since_;
  std::set<std::string> recallable_;
  std::set<std::string> to_settle_;
  std::map<std::string, int32_t> used_slots_;
  absl::Time usage_stored_ = absl::InfinitePast();
  std::set<std::string> names_;

  // Of the batch that the next commit writes.
  store::WriteBatch batch_;
  std::map<std::string, std::shared_ptr<cluster::JobRecord>> edited_;
  std::vector<Answer> answers_;
  std::set<std::string> stale_workers_;
  bool must_schedule_ = false;
  // Not OK once CloseAll was called.
  absl::Status closed_;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_CORE_H_
