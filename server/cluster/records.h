#ifndef SERVER_CLUSTER_RECORDS_H_
#define SERVER_CLUSTER_RECORDS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/states.h"

namespace g2ll::cluster {

// Why a job stands where it stands.
struct StateReason {
  // Stable and short, for example `WAITING_FOR_SLOTS`; empty if there is nothing to say.
  std::string code;
  // One sentence for people, with numbers.
  std::string message;

  bool operator==(const StateReason&) const = default;
};

// What broke an attempt.
struct FailureRecord {
  FailureClass failure_class = FailureClass::kUnknown;
  // First rank that failed; -1 where no rank is to blame.
  int32_t rank = -1;
  int32_t exit_code = 0;
  int32_t signal = 0;
  std::string message;
  std::string worker;
  // Stable code where it says more than the class, for example `DATA_DIFFERS`; else empty.
  std::string reason;

  bool operator==(const FailureRecord&) const = default;
};

// How far a job is.
struct JobProgress {
  // Optimiser updates finished, and updates in all.
  int64_t step = 0;
  int64_t total_steps = 0;
  // Passes over the data finished, with fraction.
  double epoch = 0;
  double images_per_second = 0;
  // Time left, if it can be told.
  std::optional<absl::Duration> eta;

  bool operator==(const JobProgress&) const = default;
};

// Best validation value of a run.
struct BestMetric {
  std::string name;
  double value = 0;
  int64_t step = 0;
};

// A checkpoint of another job that went into this one.
struct LineageRecord {
  // The spec's words, for example `job/skin-g2ll`.
  std::string from;
  std::string checkpoint_id;
  // SHA-256 of its manifest in hexadecimal.
  std::string sha256;
};

// One placement of a gang.
struct AttemptRecord {
  // From 1, without gaps.
  int32_t number = 0;
  // Fencing number, see JobRecord::epoch.
  int64_t epoch = 0;
  AttemptState state = AttemptState::kPreparing;
  AttemptOutcome outcome = AttemptOutcome::kNone;
  // Worker of each rank, by rank; its size is the world size.
  std::vector<std::string> workers;
  absl::Time start_time = absl::InfinitePast();
  absl::Time end_time = absl::InfinitePast();
  // When `state` was entered: the limits of the start count from here.
  absl::Time state_time = absl::InfinitePast();
  std::optional<FailureRecord> failure;
  // host:port of the rendezvous store, once known.
  std::string store_address;
  // Checkpoint directory to go on from, relative to the storage root; empty: from the start.
  std::string resume_path;
  int64_t resume_step = 0;
  // Checkpoint directory of `init` or `model`.
  std::string source_path;
  // When all its ranks were at work.
  absl::Time run_time = absl::InfinitePast();
  // Until when it may write a checkpoint, once it was asked to stop; then it is ended.
  absl::Time stop_deadline = absl::InfinitePast();
  // Why it was asked to stop, for people; empty if it was not.
  std::string stop_reason;
  // Uid of the job that its places are for; empty if for none.
  std::string stopped_for;
  // Its processes are killed instead of stopped.
  bool kill = false;
  // Updates that were made and then lost, because no checkpoint held them.
  int64_t lost_steps = 0;

  int32_t world_size() const { return static_cast<int32_t>(workers.size()); }
  bool ended() const { return state == AttemptState::kEnded; }
};

// Names another job that must have succeeded first.
struct Dependency {
  std::string name;
  // Fixed when the job is created, because names can be used again.
  std::string uid;
};

// A worker that a job is not placed on any more.
struct ExcludedWorker {
  std::string worker;
  std::string reason;

  bool operator==(const ExcludedWorker&) const = default;
};

// What the control plane knows of a job. The spec is opaque here; the fields that
// decisions need are copied out of it once, when the job is created.
struct JobRecord {
  // Unique for ever.
  std::string uid;
  std::string project;
  // Short name, unique in its project.
  std::string name;
  JobKind kind = JobKind::kPretrain;
  // Grows with every stored change.
  int64_t revision = 0;
  std::map<std::string, std::string> labels;
  // Serialized spec with all defaults; never null. UpdateJob replaces it.
  std::shared_ptr<const std::string> spec;
  // To find jobs with an equal spec; derived from it and not stored.
  uint64_t spec_hash = 0;

  // Read out of the spec.
  int32_t min_ranks = 1;
  int32_t max_ranks = 1;
  int32_t global_batch = 1;
  Priority priority = Priority::kNormal;
  Device device = Device::kAuto;
  int32_t cpus_per_rank = 0;
  int32_t max_retries = 0;
  // -1 is no limit.
  int32_t max_infra_retries = 0;
  // Short name of the queue in which it waits.
  std::string queue = "default";
  bool preemptible = true;
  // Zero is no limit.
  absl::Duration max_runtime = absl::ZeroDuration();
  absl::Duration min_runtime = absl::Minutes(5);
  absl::Duration grace = absl::Minutes(2);
  OnFailedDependency on_failed_dependency = OnFailedDependency::kFail;
  // `job/NAME`, `checkpoint/ID`, `file:PATH`, `none` or empty.
  std::string source;
  std::vector<Dependency> dependencies;
  std::string data_source;
  std::string data_split;
  bool needs_masks = false;
  // Equal for jobs about whose data a worker would be asked the same; 0 if unknown, as
  // after a restart.
  uint64_t data_key = 0;

  JobState state = JobState::kPending;
  StateReason reason;
  Desired desired = Desired::kRun;
  // It waits and is not placed until a user resumes it; `reason` says why.
  bool held = false;
  // A worker has read the data source.
  bool data_checked = false;
  absl::Time create_time = absl::InfinitePast();
  absl::Time start_time = absl::InfinitePast();
  absl::Time end_time = absl::InfinitePast();
  // Not placed before this (back-off after a failure).
  absl::Time not_before = absl::InfinitePast();
  int32_t used_retries = 0;
  int32_t used_infra_retries = 0;
  // Stops for other jobs, drains and requeues.
  int32_t preemptions = 0;
  // Attempts in a row that broke without a newer checkpoint, and that did not start.
  int32_t without_progress = 0;
  int32_t failed_starts = 0;
  std::vector<ExcludedWorker> excluded_workers;
  // Number of its last change among the changes of all jobs.
  int64_t change_seq = 0;
  // Fencing number: grows with every placement; writes of older ones are refused.
  int64_t epoch = 0;
  // Oldest first. Only the last one can be live.
  std::vector<AttemptRecord> attempts;
  JobProgress progress;
  // Newest value by name.
  std::map<std::string, double> metrics;
  std::optional<BestMetric> best_metric;
  // Newest committed checkpoint; empty and -1 if none.
  std::string latest_checkpoint;
  int64_t latest_checkpoint_step = -1;
  std::vector<LineageRecord> lineage;
  // Directory of the report relative to the storage root; empty if none.
  std::string report_path;
  // Last numbers given to its metric points and log lines.
  int64_t last_metric_seq = 0;
  int64_t last_log_seq = 0;
  // Largest step of any metric point so far.
  int64_t last_metric_step = 0;

  // `projects/{project}/jobs/{name}`.
  std::string FullName() const { return "projects/" + project + "/jobs/" + name; }
  // The attempt that may run now, or null.
  AttemptRecord* LiveAttempt() {
    return attempts.empty() || attempts.back().ended() ? nullptr : &attempts.back();
  }
  const AttemptRecord* LiveAttempt() const {
    return attempts.empty() || attempts.back().ended() ? nullptr : &attempts.back();
  }
};

// One change of a job, for people.
struct EventRecord {
  std::string job_uid;
  absl::Time time;
  // `user`, `scheduler`, `worker/NAME` or `coordinator`.
  std::string actor;
  std::string type;
  std::string message;
};

// Remembers which job a CreateJob request made.
struct RequestRecord {
  std::string request_id;
  // Digest of everything that was asked for.
  std::string fingerprint;
  std::string job_uid;
  absl::Time time;
};

// One committed checkpoint.
struct CheckpointRecord {
  std::string id;
  std::string job_uid;
  // Full name of the job.
  std::string job;
  int64_t step = 0;
  int64_t epoch = 0;
  // Directory relative to the storage root.
  std::string path;
  int64_t size_bytes = 0;
  // SHA-256 of `manifest.json` in hexadecimal.
  std::string sha256;
  CheckpointState state = CheckpointState::kCommitted;
  bool pinned = false;
  bool best = false;
  absl::Time create_time;
  std::map<std::string, double> metrics;
};

// One stored value of one metric.
struct MetricRecord {
  // Number within the job, from 1 without gaps.
  int64_t seq = 0;
  int32_t attempt = 0;
  int64_t step = 0;
  double epoch = 0;
  std::string name;
  double value = 0;
  absl::Time time;
};

// One stored log line.
struct LogRecord {
  // Number within the job, from 1 without gaps.
  int64_t seq = 0;
  int32_t attempt = 0;
  // -1 is the agent.
  int32_t rank = 0;
  absl::Time time;
  std::string level;
  std::string message;
};

// A job that was deleted, for those who watch all jobs.
struct TombstoneRecord {
  // As JobRecord::change_seq.
  int64_t change_seq = 0;
  std::string uid;
  std::string project;
  std::string name;
};

// Where jobs of a project wait.
struct QueueRecord {
  std::string project;
  // Short name, unique in its project.
  std::string name;
  // Grows with every stored change.
  int64_t revision = 0;
  QueueStop stop = QueueStop::kNone;
  // Why it is stopped, for people.
  std::string reason;
  // 0 is the project's limit alone.
  int32_t max_waiting_jobs = 0;

  // `projects/{project}/queues/{name}`.
  std::string FullName() const { return "projects/" + project + "/queues/" + name; }
};

// Share and limits of a project, and what it has used. A limit of 0 is none.
struct ProjectRecord {
  std::string name;
  // Grows with every stored change of the settings.
  int64_t revision = 0;
  double weight = 1;
  int32_t guaranteed_slots = 0;
  int32_t max_slots = 0;
  int32_t max_running_jobs = 0;
  int32_t max_waiting_jobs = 0;
  double max_slot_hours = 0;
  // Slot-seconds in all.
  double slot_seconds = 0;
  // Slot-seconds that fade with time, as of `usage_time`.
  double recent_usage = 0;
  absl::Time usage_time = absl::InfinitePast();
};

// What an operator wants of a worker; kept while it is not kAllowed.
struct WorkerWish {
  std::string worker;
  Schedulable schedulable = Schedulable::kAllowed;
  std::string reason;
  absl::Time time = absl::InfinitePast();
};

// A stretch of a job's log that goes as a whole.
struct LogSegment {
  int64_t first_seq = 0;
  int64_t last_seq = 0;
  // Of text.
  int64_t bytes = 0;
  // When its first and its last line were stored.
  absl::Time first_time = absl::InfinitePast();
  absl::Time last_time = absl::InfinitePast();

  bool operator==(const LogSegment&) const = default;
};

// Which telemetry of a job is kept: everything from these numbers on.
struct KeptTelemetry {
  int64_t first_metric_seq = 1;
  int64_t first_log_seq = 1;
  // All kept lines, oldest first.
  std::vector<LogSegment> log_segments;

  bool operator==(const KeptTelemetry&) const = default;
};

// Whose telemetry a cursor counts.
struct CursorKey {
  std::string job_uid;
  int64_t epoch = 0;
  int32_t rank = 0;

  auto operator<=>(const CursorKey&) const = default;
};

}  // namespace g2ll::cluster

#endif  // SERVER_CLUSTER_RECORDS_H_
