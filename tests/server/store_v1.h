#ifndef TESTS_SERVER_STORE_V1_H_
#define TESTS_SERVER_STORE_V1_H_

namespace g2ll::testing {

// A store as the first version of the program left it: its schema, and one job of every
// kind of row. Never changes.
inline constexpr char kStoreV1[] = R"sql(
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

UPDATE meta SET value = 12 WHERE key = 'term';
INSERT INTO jobs VALUES
  ('uid-done', 'default', 'skin-g2ll', 1, 5, '{"study":"table1"}', x'0a0102', 1, 4, 128, 2, 1, 2, 0,
   20, '', '[]', '/data/ISIC_2019', 'train', 0, 9, '', '', 1, 1700000000000000, 1700000001000000,
   1700000900000000, NULL, 0, 1, 2,
   '{"epoch":"3","imagesPerSecond":"50","step":200,"totalSteps":200}',
   '{"loss":"0.25"}', '{}', 'skin-g2ll-uid-done-200', 200, '[]', '', 2, 1, 200),
  ('uid-runs', 'default', 'skin-ft', 2, 3, '{}', x'0a0103', 1, 1, 16, 3, 1, 2, 0, 20,
   'job/skin-g2ll', '[{"name":"skin-g2ll","uid":"uid-done"}]', '/data/ISIC2017', 'train', 1, 3, '',
   '', 1, 1700000002000000, 1700000950000000, NULL, NULL, 0, 0, 1,
   '{"epoch":"0","imagesPerSecond":"0","step":0,"totalSteps":0}', '{}', '{}', '', -1,
   '[]', '', 0, 0, 0);
INSERT INTO attempts VALUES
  ('uid-done', 1, 1, 5, 5, '["w1","w2"]', 1700000001000000, 1700000400000000, 1700000001000000,
   '{"class":6,"exitCode":0,"message":"worker w2 was lost","rank":1,"signal":0,"worker":"w2","reason":""}',
   'w1:4000', '', 0, ''),
  ('uid-done', 2, 2, 5, 1, '["w1"]', 1700000401000000, 1700000900000000, 1700000401000000, '{}',
   'w1:4001', 'checkpoints/uid-done/e1/s100', 100, ''),
  ('uid-runs', 1, 1, 3, 0, '["w1"]', 1700000950000000, NULL, 1700000951000000, '{}', 'w1:4002', '', 0,
   'checkpoints/uid-done/e2/s200');
INSERT INTO events (job_uid, time, actor, type, message) VALUES
  ('uid-done', 1700000000000000, 'user', 'CREATED', 'stored'),
  ('uid-done', 1700000900000000, 'coordinator', 'STATE_CHANGED', 'RUNNING -> SUCCEEDED');
INSERT INTO requests VALUES ('request-1', 'print', 'uid-done', 1700000000000000);
INSERT INTO checkpoints VALUES
  ('skin-g2ll-uid-done-200', 'uid-done', 'projects/default/jobs/skin-g2ll', 200, 2,
   'checkpoints/uid-done/e2/s200', 1000, 'abc', 1, 1, 1, 1700000899000000, '{"val/dice":"0.75"}');
INSERT INTO metrics VALUES
  ('uid-done', 1, 1, 100, 1.5, 'loss', 0.5, 1700000300000000),
  ('uid-done', 2, 2, 200, 3.0, 'loss', NULL, 1700000890000000);
INSERT INTO logs VALUES ('uid-done', 1, 1, 0, 1700000300000000, 'info', 'step 100');
INSERT INTO cursors VALUES ('uid-done', 2, 0, 3);
PRAGMA user_version = 1;
)sql";

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_STORE_V1_H_
