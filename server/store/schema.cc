#include "server/store/schema.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/status_macros.h"

namespace g2ll::store {
namespace {

// Step i brings version i to version i + 1. Steps are never changed once released.
// Times are microseconds since 1970; enums have the numbers of the proto.
constexpr std::array kSteps = {
    R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES ('term', 0);

CREATE TABLE jobs (
  uid TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  kind INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  labels TEXT NOT NULL,
  spec BLOB NOT NULL,
  min_ranks INTEGER NOT NULL,
  max_ranks INTEGER NOT NULL,
  global_batch INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  device INTEGER NOT NULL,
  cpus_per_rank INTEGER NOT NULL,
  max_retries INTEGER NOT NULL,
  max_infra_retries INTEGER NOT NULL,
  source TEXT NOT NULL,
  dependencies TEXT NOT NULL,
  data_source TEXT NOT NULL,
  data_split TEXT NOT NULL,
  needs_masks INTEGER NOT NULL,
  state INTEGER NOT NULL,
  reason_code TEXT NOT NULL,
  reason_message TEXT NOT NULL,
  data_checked INTEGER NOT NULL,
  create_time INTEGER,
  start_time INTEGER,
  end_time INTEGER,
  not_before INTEGER,
  used_retries INTEGER NOT NULL,
  used_infra_retries INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  progress TEXT NOT NULL,
  metrics TEXT NOT NULL,
  best_metric TEXT NOT NULL,
  latest_checkpoint TEXT NOT NULL,
  latest_checkpoint_step INTEGER NOT NULL,
  lineage TEXT NOT NULL,
  report_path TEXT NOT NULL,
  last_metric_seq INTEGER NOT NULL,
  last_log_seq INTEGER NOT NULL,
  last_metric_step INTEGER NOT NULL,
  UNIQUE (project, name)
) STRICT;

CREATE TABLE attempts (
  job_uid TEXT NOT NULL REFERENCES jobs (uid) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  state INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  workers TEXT NOT NULL,
  start_time INTEGER,
  end_time INTEGER,
  state_time INTEGER,
  failure TEXT NOT NULL,
  store_address TEXT NOT NULL,
  resume_path TEXT NOT NULL,
  resume_step INTEGER NOT NULL,
  source_path TEXT NOT NULL,
  PRIMARY KEY (job_uid, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  job_uid TEXT NOT NULL REFERENCES jobs (uid) ON DELETE CASCADE,
  time INTEGER,
  actor TEXT NOT NULL,
  type TEXT NOT NULL,
  message TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_job ON events (job_uid, id);

-- Outlives its job: a late retry of a deleted job's request must not make it anew.
CREATE TABLE requests (
  request_id TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  job_uid TEXT NOT NULL,
  time INTEGER
) STRICT;

CREATE TABLE checkpoints (
  id TEXT PRIMARY KEY,
  job_uid TEXT NOT NULL REFERENCES jobs (uid) ON DELETE CASCADE,
  job TEXT NOT NULL,
  step INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  path TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  state INTEGER NOT NULL,
  pinned INTEGER NOT NULL,
  best INTEGER NOT NULL,
  create_time INTEGER,
  metrics TEXT NOT NULL,
  UNIQUE (job_uid, step)
) STRICT;

CREATE TABLE metrics (
  job_uid TEXT NOT NULL REFERENCES jobs (uid) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  step INTEGER NOT NULL,
  epoch REAL,
  name TEXT NOT NULL,
  value REAL,
  time INTEGER,
  PRIMARY KEY (job_uid, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
  job_uid TEXT NOT NULL REFERENCES jobs (uid) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  time INTEGER,
  level TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (job_uid, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
  job_uid TEXT NOT NULL REFERENCES jobs (uid) ON DELETE CASCADE,
  epoch INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  local_seq INTEGER NOT NULL,
  PRIMARY KEY (job_uid, epoch, rank)
) STRICT, WITHOUT ROWID;
)sql",
    // Queues, projects, wishes of operators, and what jobs need for them. Durations are
    // microseconds.
    R"sql(
ALTER TABLE jobs ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
ALTER TABLE jobs ADD COLUMN preemptible INTEGER NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN max_runtime INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN min_runtime INTEGER NOT NULL DEFAULT 300000000;
ALTER TABLE jobs ADD COLUMN grace INTEGER NOT NULL DEFAULT 120000000;
ALTER TABLE jobs ADD COLUMN on_failed_dependency INTEGER NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN desired INTEGER NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN preemptions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN without_progress INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN failed_starts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN excluded_workers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN change_seq INTEGER NOT NULL DEFAULT 0;

ALTER TABLE attempts ADD COLUMN run_time INTEGER;
ALTER TABLE attempts ADD COLUMN stop_deadline INTEGER;
ALTER TABLE attempts ADD COLUMN stop_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN stopped_for TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN kill INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN lost_steps INTEGER NOT NULL DEFAULT 0;

CREATE TABLE queues (
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  revision INTEGER NOT NULL,
  stop INTEGER NOT NULL,
  reason TEXT NOT NULL,
  max_waiting_jobs INTEGER NOT NULL,
  PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
  name TEXT PRIMARY KEY,
  revision INTEGER NOT NULL,
  weight REAL NOT NULL,
  guaranteed_slots INTEGER NOT NULL,
  max_slots INTEGER NOT NULL,
  max_running_jobs INTEGER NOT NULL,
  max_waiting_jobs INTEGER NOT NULL,
  max_slot_hours REAL NOT NULL,
  slot_seconds REAL NOT NULL,
  recent_usage REAL NOT NULL,
  usage_time INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE worker_wishes (
  worker TEXT PRIMARY KEY,
  schedulable INTEGER NOT NULL,
  reason TEXT NOT NULL,
  time INTEGER
) STRICT, WITHOUT ROWID;

-- Jobs that are gone, for those who watch all jobs.
CREATE TABLE tombstones (
  change_seq INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  project TEXT NOT NULL,
  name TEXT NOT NULL
) STRICT;
)sql",
    // What is kept of a job's telemetry; deleted jobs stay, marked, until all of them is
    // gone: 1 while they may have folders, 2 afterwards.
    R"sql(
ALTER TABLE jobs ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX removed_jobs ON jobs (removed) WHERE removed > 0;

CREATE TABLE kept (
  job_uid TEXT PRIMARY KEY REFERENCES jobs (uid) ON DELETE CASCADE,
  first_metric_seq INTEGER NOT NULL,
  first_log_seq INTEGER NOT NULL,
  log_segments TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql"};

absl::StatusOr<int64_t> ReadVersion(Database* database) {
  G2LL_ASSIGN_OR_RETURN(Query query, database->Prepare("PRAGMA user_version"));
  G2LL_ASSIGN_OR_RETURN(const bool found, query.Step());
  return found ? query.Int() : 0;
}

}  // namespace

int SchemaVersion() { return static_cast<int>(kSteps.size()); }

absl::Status Migrate(Database* database) {
  G2LL_ASSIGN_OR_RETURN(const int64_t version, ReadVersion(database));
  if (version > SchemaVersion()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the store has schema ", version, ", but this program knows only up to ", SchemaVersion(),
        ": start the newer g2ll-coordinator that wrote it, or choose another data directory"));
  }
  for (int64_t step = version; step < SchemaVersion(); ++step) {
    G2LL_FAILPOINT_STATUS("store.migrate.before");
    // An error leaves the transaction open; closing the connection rolls it back.
    G2LL_RETURN_IF_ERROR(
        database->Execute(absl::StrCat("BEGIN EXCLUSIVE;", kSteps[static_cast<size_t>(step)],
                                       "PRAGMA user_version = ", step + 1, ";")));
    G2LL_FAILPOINT_STATUS("store.migrate.written");
    G2LL_RETURN_IF_ERROR(database->Execute("COMMIT"));
    G2LL_FAILPOINT_STATUS("store.migrate.after");
  }
  return absl::OkStatus();
}

}  // namespace g2ll::store
