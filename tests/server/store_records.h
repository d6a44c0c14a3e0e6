#ifndef TESTS_SERVER_STORE_RECORDS_H_
#define TESTS_SERVER_STORE_RECORDS_H_

#include <limits>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/store/job_store.h"

// Records with every field set, for the tests of stores.
namespace g2ll::testing {

inline const absl::Time kRecordTime = absl::FromUnixMicros(1700000000123456);

inline cluster::JobRecord MakeJob(const std::string& uid) {
  cluster::JobRecord job;
  job.uid = uid;
  job.project = "default";
  job.name = "name-" + uid;
  job.kind = cluster::JobKind::kFinetune;
  job.labels = {{"study", "table1"}};
  job.spec = std::make_shared<const std::string>(std::string("\x01\x00\xff spec", 8));
  job.dependencies = {{"parent", "uid-0"}};
  job.create_time = kRecordTime;
  job.progress = {.step = 5,
                  .total_steps = 10,
                  .epoch = 0.5,
                  .images_per_second = 33.25,
                  .eta = absl::Seconds(3)};
  job.metrics = {{"loss", 0.125}, {"odd", std::numeric_limits<double>::infinity()}};
  job.best_metric = cluster::BestMetric{"val/dice", 0.75, 4};
  job.lineage = {{"job/parent", "parent-1", "abc"}};
  job.queue = "night";
  job.preemptible = false;
  job.max_runtime = absl::Hours(3);
  job.min_runtime = absl::Seconds(7);
  job.grace = absl::Milliseconds(1500);
  job.on_failed_dependency = cluster::OnFailedDependency::kHold;
  job.desired = cluster::Desired::kPause;
  job.held = true;
  job.preemptions = 2;
  job.without_progress = 1;
  job.failed_starts = 4;
  job.excluded_workers = {{"w3", "rank 0 on w3: killed by signal 9"}};
  job.change_seq = 17;
  cluster::AttemptRecord attempt;
  attempt.number = 1;
  attempt.epoch = 1;
  attempt.workers = {"w1", "w2"};
  attempt.start_time = kRecordTime;
  attempt.run_time = kRecordTime + absl::Seconds(1);
  attempt.stop_deadline = kRecordTime + absl::Seconds(2);
  attempt.stop_reason = "for a more important job";
  attempt.stopped_for = "uid-9";
  attempt.kill = true;
  attempt.lost_steps = 12;
  attempt.state = cluster::AttemptState::kEnded;
  attempt.outcome = cluster::AttemptOutcome::kLost;
  attempt.failure = cluster::FailureRecord{
      cluster::FailureClass::kWorkerLost, 1, 0, 9, "worker w2 was lost", "w2", ""};
  job.attempts.push_back(attempt);
  return job;
}

inline store::WriteBatch BatchOf(const cluster::JobRecord& job) {
  store::WriteBatch batch;
  batch.jobs.push_back(std::make_shared<const cluster::JobRecord>(job));
  return batch;
}

inline cluster::CheckpointRecord MakeCheckpoint(const std::string& job_uid, int64_t step) {
  cluster::CheckpointRecord checkpoint;
  checkpoint.id = absl::StrCat("c-", job_uid, "-", step);
  checkpoint.job_uid = job_uid;
  checkpoint.job = "projects/default/jobs/name-" + job_uid;
  checkpoint.step = step;
  checkpoint.epoch = 1;
  checkpoint.path = absl::StrCat("checkpoints/", job_uid, "/e1/s", step);
  checkpoint.sha256 = "abc";
  checkpoint.best = true;
  checkpoint.create_time = kRecordTime;
  checkpoint.metrics = {{"val/dice", 0.5}};
  return checkpoint;
}

// A job with one row of every kind, so that a commit touches every table.
inline store::WriteBatch FullBatch(const std::string& uid) {
  store::WriteBatch batch = BatchOf(MakeJob(uid));
  batch.events.push_back({uid, kRecordTime, "user", "CREATED", "stored"});
  batch.checkpoints.push_back(MakeCheckpoint(uid, 4));
  batch.requests.push_back({"request-" + uid, "print", uid, kRecordTime});
  batch.cursors[{uid, 1, 0}] = 2;
  batch.telemetry[uid].metrics.push_back({1, 1, 1, 0.5, "loss", 1, kRecordTime});
  batch.telemetry[uid].logs.push_back({1, 1, 0, kRecordTime, "info", "line"});
  return batch;
}

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_STORE_RECORDS_H_
