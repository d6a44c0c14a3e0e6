#ifndef SERVER_COORDINATOR_CORE_H_
#define SERVER_COORDINATOR_CORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/cluster/records.h"
#include "server/cluster/worker_records.h"
#include "server/coordinator/gang.h"
#include "server/coordinator/options.h"
#include "server/metrics/server_metrics.h"
#include "server/store/job_store.h"
#include "server/telemetry/hub.h"

namespace g2ll::coordinator {

// A job as it stands after a commit. Never changes.
using JobPtr = std::shared_ptr<const cluster::JobRecord>;

// What CreateJob is asked for. `job` holds what the request and its spec say;
// uid, dependencies, state and times are filled in by the core.
struct CreateJobCommand {
  cluster::JobRecord job;
  // Short names from `dependsOn`, in order.
  std::vector<std::string> depends_on;
  std::string request_id;
  // Digest of everything that was asked for.
  std::string fingerprint;
  bool validate_only = false;
};

// What a user asks of one job.
struct JobRequest {
  // Full name.
  std::string name;
  // For the event; may be empty.
  std::string reason;
  // Only if the job still has this etag; empty is always.
  std::string etag;
};

// Applies a change of settings to a copy of a job; an error leaves the job as it was.
using JobChange = std::function<absl::Status(cluster::JobRecord& job)>;

// How and why a job is asked to stop.
struct StopRequest {
  // kCancelAsked, kPauseAsked or kPreemptAsked; the last two stop at a checkpoint.
  cluster::JobEvent event = cluster::JobEvent::kPreemptAsked;
  cluster::StateReason reason;
  // As in EventRecord.
  std::string actor;
  // Uid of the job that the places are for; empty: for none.
  std::string stopped_for = {};
  // Processes are killed at once.
  bool kill = false;
};

// What a worker asks to be made a checkpoint. The directory has been verified.
struct CommitCheckpointCommand {
  std::string worker;
  std::string incarnation;
  cluster::CheckpointRecord checkpoint;
};

// The coordinator's end of a worker's stream. Called on the coordinator's thread;
// MUST return at once.
class WorkerSession {
 public:
  virtual ~WorkerSession() = default;
  // The newest desired state replaces one that is not sent yet.
  virtual void Push(const cluster::DesiredWorker& desired) = 0;
  // Ends the stream.
  virtual void Close(absl::Status status) = 0;
};

// All state of the control plane and every rule that changes it. Used by one
// thread; time enters as an argument. A command changes memory and a batch of
// writes; Flush makes the batch durable and only then lets answers, watchers and
// workers see it. Collaborators outlive the core.
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
  void CloseSession(const std::string& worker, int64_t session_id);
  std::vector<cluster::WorkerRecord> ListWorkers() const;
  // Full name of a job; empty if there is none.
  std::string NameOf(const std::string& job_uid) const;
  // Ends all sessions and in-flight creations, and refuses new ones from now on.
  void CloseAll(const absl::Status& status);

  // Stores what is new of a batch. Returns the number up to which the reporter's
  // items are stored (once committed) or will never be.
  int64_t PushTelemetry(const cluster::TelemetryBatch& batch, absl::Time now);

  // Leases, limits, data checks and scheduling. Called about once a second.
  void Tick(absl::Time now);
  // The coordinator did not run for so long: its process was stopped, or the clock was set
  // forward. Nobody could be heard meanwhile, so this is no silence of theirs.
  void NoteSleep(absl::Duration slept);

  // Runs after the next commit, with its result.
  void AfterCommit(Answer answer) { answers_.push_back(std::move(answer)); }
  // Schedules, commits, publishes and answers. Error: the commit failed and the
  // stored state could not be read back; the process must end.
  absl::Status Flush(absl::Time now);
  // When Flush has something to do although no command came; see options.long_cycle.
  absl::Time wake_time() const;

  int64_t term() const { return term_; }

 private:
  struct Worker {
    cluster::WorkerRecord record;
    std::shared_ptr<WorkerSession> session;
    int64_t session_id = 0;
    // It has spoken since this coordinator started.
    bool reported = false;
    // Silence counts from here.
    absl::Time heard = absl::InfinitePast();
    // Attempts that it has reported at some time.
    std::set<std::pair<std::string, int64_t>> seen;
    cluster::DesiredWorker pushed;
    absl::Time push_time = absl::InfinitePast();
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
  void CountJob(const std::string& project, cluster::JobState state, int64_t change);

  // core_jobs.cc
  absl::StatusOr<JobPtr> Lookup(const std::string& full_name) const;
  // The job that an equal earlier request made, or nothing.
  absl::StatusOr<std::optional<JobPtr>> FindEarlier(const CreateJobCommand& command) const;
  absl::Status ResolveDependencies(CreateJobCommand* command) const;
  // Room for one more waiting job.
  absl::Status CheckQueue(const std::string& project) const;
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
  cluster::DesiredWorker DesiredOf(const std::string& name) const;
  absl::Duration HeartbeatInterval() const;
  void PushDesired(absl::Time now);

  // core_attempts.cc
  void Reconcile(const std::string& job_uid, absl::Time now);
  std::vector<GangMember> ViewGang(const cluster::JobRecord& job,
                                   const cluster::AttemptRecord& attempt) const;
  void Advance(const std::string& job_uid, const GangVerdict& verdict, absl::Time now);
  void Break(const std::string& job_uid, const cluster::FailureRecord& failure, absl::Time now);
  void FinishAttempt(const std::string& job_uid, const GangVerdict& verdict, absl::Time now);
  void Succeed(cluster::JobRecord& job, const GangVerdict& verdict, absl::Time now);
  void RetryOrFail(cluster::JobRecord& job, absl::Time now);

  // core_schedule.cc
  void Schedule(absl::Time now);
  // Fails a pending job whose dependency cannot succeed any more.
  bool FailedByDependency(const std::string& job_uid, absl::Time now);
  scheduler::PendingJob PendingView(const cluster::JobRecord& job) const;
  void Place(const scheduler::StartGang& gang, absl::Time now);
  // Directory and lineage of the job's `from`. Errors: FailedPrecondition.
  absl::StatusOr<std::string> ResolveSource(cluster::JobRecord& job) const;
  const cluster::CheckpointRecord* ResultOf(const std::string& job_uid) const;
  void RecordRollback(cluster::JobRecord& job, const cluster::AttemptRecord& attempt,
                      absl::Time now);

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
  // Waiting jobs by project.
  std::map<std::string, int64_t> waiting_in_;
  // Checkpoint ids of a job by step.
  std::map<std::string, std::map<int64_t, std::string>> checkpoints_of_;

  // Of this process.
  std::map<std::string, Worker> workers_;
  std::map<std::string, Check> checks_;
  // Ids of open checks by worker, and by data key where it is known.
  std::map<std::string, std::set<std::string>> checks_at_;
  std::map<uint64_t, std::string> check_of_data_;
  // Until when data that were fine need not be looked at again, by data key.
  std::map<uint64_t, absl::Time> fine_until_;
  std::map<std::string, std::map<int64_t, JobWatch>> watches_;
  int64_t next_number_ = 1;
  absl::Time recovery_end_ = absl::InfinitePast();

  // Of the batch that the next commit writes.
  store::WriteBatch batch_;
  std::map<std::string, std::shared_ptr<cluster::JobRecord>> edited_;
  std::vector<Answer> answers_;
  std::set<std::string> stale_workers_;
  bool must_schedule_ = false;
  // No cycle before this.
  absl::Time schedule_after_ = absl::InfinitePast();
  // Not OK once CloseAll was called.
  absl::Status closed_;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_CORE_H_
