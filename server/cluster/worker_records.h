#ifndef SERVER_CLUSTER_WORKER_RECORDS_H_
#define SERVER_CLUSTER_WORKER_RECORDS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/records.h"
#include "server/cluster/states.h"

namespace g2ll::cluster {

// What a worker's host has, as its agent says.
struct Inventory {
  int32_t slots = 0;
  Device device = Device::kCpu;
  // CPU cores of the host that ranks may use.
  int32_t cpus = 0;
  int32_t pid = 0;
  std::string http_address;
  std::string advertise_host;
  std::string version;
  std::string storage_token;
  // Why the storage root cannot be used; empty if it can.
  std::string storage_error;
};

// One rank on one worker.
struct RankStatus {
  int32_t rank = 0;
  int32_t pid = 0;
  bool joined = false;
  bool exited = false;
  int32_t exit_code = 0;
  int32_t signal = 0;
};

// One attempt as one worker reports it.
struct AttemptStatus {
  std::string job_uid;
  int64_t epoch = 0;
  AttemptPhase phase = AttemptPhase::kPrepare;
  std::string store_address;
  int32_t store_pid = 0;
  std::string data_digest;
  std::vector<RankStatus> ranks;
  std::optional<FailureRecord> failure;
  absl::Time failure_time = absl::InfinitePast();
  std::string report_path;
  std::optional<JobProgress> progress;
  std::string message;
};

// What a data check found.
struct DataCheckResult {
  std::string id;
  bool ok = false;
  std::string message;
  std::string digest;
  int64_t images = 0;
};

// Complete current state of a worker, as reported.
struct WorkerReport {
  std::string worker;
  std::string incarnation;
  // Grows with every report of the incarnation, from 1; 0 is not numbered.
  int64_t sequence = 0;
  Inventory inventory;
  std::vector<AttemptStatus> attempts;
  std::vector<DataCheckResult> data_checks;
  bool draining = false;
};

// A worker as operators see it.
struct WorkerRecord {
  WorkerReport report;
  WorkerState state = WorkerState::kReady;
  std::string message;
  int32_t free_slots = 0;
  // Slots in which something of a lost attempt may still run.
  int32_t unknown_slots = 0;
  // What an operator wants.
  WorkerWish wish;
  absl::Time last_heartbeat = absl::InfinitePast();
};

// One attempt as one worker should have it.
struct DesiredAttempt {
  std::string job_uid;
  std::string job;
  int64_t epoch = 0;
  int32_t number = 0;
  AttemptPhase phase = AttemptPhase::kPrepare;
  int32_t world_size = 0;
  std::vector<int32_t> ranks;
  bool serves_store = false;
  std::string store_address;
  std::shared_ptr<const std::string> spec;
  std::string resume_path;
  std::string source_path;
  // With kDrain: until when the checkpoint must be written. Sent as the time that is left.
  absl::Time drain_deadline = absl::InfinitePast();

  bool operator==(const DesiredAttempt&) const = default;
};

// A data source that a worker should look at.
struct DataCheck {
  std::string id;
  std::string source;
  std::string split;
  bool needs_masks = false;
  std::shared_ptr<const std::string> spec;  // of the job that asks; may be null

  bool operator==(const DataCheck&) const = default;
};

// Complete state that a worker should have.
struct DesiredWorker {
  int64_t coordinator_term = 0;
  absl::Duration lease;
  absl::Duration heartbeat_interval;
  std::vector<DesiredAttempt> attempts;
  std::vector<DataCheck> data_checks;
  std::string storage_token;

  bool operator==(const DesiredWorker&) const = default;
};

// What goes with a desired state and is new every time.
struct PushStamp {
  // Grows with every push to a worker within a term, from 1.
  int64_t sequence = 0;
  // Number of the newest report of the worker.
  int64_t heard_sequence = 0;
  absl::Time now;
};

// One report of one rank; exactly one of the two kinds.
struct TelemetryItem {
  int64_t local_seq = 0;
  // `seq` and `attempt` are filled in by the coordinator.
  std::variant<MetricRecord, LogRecord> value;
};

// Reports of one rank, ascending `local_seq`.
struct TelemetryBatch {
  CursorKey key;
  std::vector<TelemetryItem> items;
};

}  // namespace g2ll::cluster

#endif  // SERVER_CLUSTER_WORKER_RECORDS_H_
