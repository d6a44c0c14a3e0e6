#ifndef SERVER_STORE_SCHEMA_H_
#define SERVER_STORE_SCHEMA_H_

#include "absl/status/status.h"
#include "server/store/sqlite.h"

namespace g2ll::store {

// Brings the file to the newest schema, one transaction a version. A file of a
// newer program is FailedPrecondition and says what to do.
absl::Status Migrate(Database* database);

// Version that this program writes.
int SchemaVersion();

// Columns in the order in which rows are written and read.
inline constexpr char kJobColumns[] =
    "uid, project, name, kind, labels, spec, min_ranks, max_ranks, global_batch, priority, "
    "device, cpus_per_rank, max_retries, max_infra_retries, source, dependencies, data_source, "
    "data_split, needs_masks, create_time, revision, state, reason_code, reason_message, "
    "data_checked, start_time, end_time, not_before, used_retries, used_infra_retries, epoch, "
    "progress, metrics, best_metric, latest_checkpoint, latest_checkpoint_step, lineage, "
    "report_path, last_metric_seq, last_log_seq, last_metric_step, queue, preemptible, "
    "max_runtime, min_runtime, grace, on_failed_dependency, desired, held, preemptions, "
    "without_progress, failed_starts, excluded_workers, change_seq";
inline constexpr char kAttemptColumns[] =
    "job_uid, number, epoch, state, outcome, workers, start_time, end_time, state_time, failure, "
    "store_address, resume_path, resume_step, source_path, run_time, stop_deadline, stop_reason, "
    "stopped_for, kill, lost_steps";

}  // namespace g2ll::store

#endif  // SERVER_STORE_SCHEMA_H_
