#ifndef TESTS_SERVER_STORE_CONFORMANCE_H_
#define TESTS_SERVER_STORE_CONFORMANCE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/store/job_store.h"
#include "tests/server/store_records.h"

// What JobStore and TelemetryReader promise, for any store that keeps it. A store
// passes by instantiating StoreConformanceTest with a way to make one.
namespace g2ll::testing {

// One store and the place that it keeps things in.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual store::JobStore& store() = 0;
  virtual store::TelemetryReader& reader() = 0;
  // As after the end of one process and the start of another.
  virtual void Reopen() = 0;
};

struct StoreKind {
  const char* name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
};
inline void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }

class StoreConformanceTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  store::JobStore& store() { return kept_->store(); }
  store::TelemetryReader& reader() { return kept_->reader(); }
  void Reopen() { kept_->Reopen(); }
  store::StoredState Load() { return store().Load().value(); }
  void Commit(const store::WriteBatch& batch) {
    const absl::Status committed = store().Commit(batch);
    ASSERT_TRUE(committed.ok()) << committed;
  }

  void PurgeAll() {
    while (store().Purge(1000).value() > 0) {
    }
  }

 private:
  const std::unique_ptr<StoreUnderTest> kept_ = GetParam().make();
};

TEST_P(StoreConformanceTest, ANewStoreIsEmpty) {
  const store::StoredState state = Load();

  EXPECT_EQ(state.term, 0);
  EXPECT_TRUE(state.jobs.empty());
  EXPECT_TRUE(state.checkpoints.empty());
  EXPECT_TRUE(state.requests.empty());
  EXPECT_TRUE(state.cursors.empty());
}

TEST_P(StoreConformanceTest, TermsOnlyGrow) {
  EXPECT_EQ(store().NextTerm().value(), 1);
  EXPECT_EQ(store().NextTerm().value(), 2);
  Reopen();

  EXPECT_EQ(Load().term, 2);
  EXPECT_EQ(store().NextTerm().value(), 3);
}

TEST_P(StoreConformanceTest, EverythingIsThereAfterReopening) {
  const cluster::JobRecord expected = MakeJob("u1");
  store::WriteBatch batch = FullBatch("u1");
  Commit(batch);
  Reopen();

  const store::StoredState state = Load();

  ASSERT_EQ(state.jobs.size(), 1u);
  const cluster::JobRecord& job = state.jobs[0];
  EXPECT_EQ(*job.spec, *expected.spec);
  EXPECT_EQ(job.FullName(), expected.FullName());
  EXPECT_EQ(job.kind, expected.kind);
  EXPECT_EQ(job.labels, expected.labels);
  EXPECT_EQ(job.create_time, kRecordTime);
  EXPECT_EQ(job.start_time, absl::InfinitePast());
  EXPECT_EQ(job.progress, expected.progress);
  EXPECT_EQ(job.metrics, expected.metrics);
  EXPECT_EQ(job.best_metric->value, 0.75);
  EXPECT_EQ(job.dependencies.at(0).uid, "uid-0");
  EXPECT_EQ(job.lineage.at(0).checkpoint_id, "parent-1");
  EXPECT_EQ(job.queue, "night");
  EXPECT_FALSE(job.preemptible);
  EXPECT_EQ(job.max_runtime, absl::Hours(3));
  EXPECT_EQ(job.min_runtime, absl::Seconds(7));
  EXPECT_EQ(job.grace, absl::Milliseconds(1500));
  EXPECT_EQ(job.on_failed_dependency, cluster::OnFailedDependency::kHold);
  EXPECT_EQ(job.desired, cluster::Desired::kPause);
  EXPECT_TRUE(job.held);
  EXPECT_EQ(job.preemptions, 2);
  EXPECT_EQ(job.without_progress, 1);
  EXPECT_EQ(job.failed_starts, 4);
  EXPECT_EQ(job.excluded_workers, expected.excluded_workers);
  EXPECT_EQ(job.change_seq, 17);
  EXPECT_EQ(state.last_change_seq, 17);
  ASSERT_EQ(job.attempts.size(), 1u);
  EXPECT_EQ(job.attempts[0].workers, expected.attempts[0].workers);
  EXPECT_EQ(job.attempts[0].failure, expected.attempts[0].failure);
  EXPECT_EQ(job.attempts[0].run_time, kRecordTime + absl::Seconds(1));
  EXPECT_EQ(job.attempts[0].stop_deadline, kRecordTime + absl::Seconds(2));
  EXPECT_EQ(job.attempts[0].stop_reason, "for a more important job");
  EXPECT_EQ(job.attempts[0].stopped_for, "uid-9");
  EXPECT_TRUE(job.attempts[0].kill);
  EXPECT_EQ(job.attempts[0].lost_steps, 12);
  EXPECT_EQ(state.checkpoints.at(0).metrics.at("val/dice"), 0.5);
  EXPECT_TRUE(state.checkpoints.at(0).best);
  EXPECT_EQ(state.requests.at(0).fingerprint, "print");
  EXPECT_EQ((state.cursors.at({"u1", 1, 0})), 2);
  EXPECT_EQ(reader().ReadMetrics("u1", 1, 10)->at(0).name, "loss");
  EXPECT_EQ(reader().ReadLogs("u1", 1, 10)->at(0).message, "line");
  EXPECT_EQ(reader().ReadEvents("u1", 10)->at(0).type, "CREATED");
}

TEST_P(StoreConformanceTest, ALaterBatchReplacesRowsOfTheSameKey) {
  Commit(FullBatch("u1"));
  cluster::JobRecord job = MakeJob("u1");
  job.state = cluster::JobState::kRunning;
  job.revision = 9;
  job.attempts[0].state = cluster::AttemptState::kRunning;
  job.attempts.push_back(job.attempts[0]);
  job.attempts[1].number = 2;
  store::WriteBatch batch = BatchOf(job);
  cluster::CheckpointRecord checkpoint = MakeCheckpoint("u1", 4);
  checkpoint.best = false;
  batch.checkpoints.push_back(checkpoint);
  batch.cursors[{"u1", 1, 0}] = 7;
  Commit(batch);
  Reopen();

  const store::StoredState state = Load();

  ASSERT_EQ(state.jobs.size(), 1u);
  EXPECT_EQ(state.jobs[0].revision, 9);
  EXPECT_EQ(state.jobs[0].state, cluster::JobState::kRunning);
  EXPECT_EQ(state.jobs[0].attempts.size(), 2u);
  EXPECT_EQ(state.jobs[0].attempts[0].state, cluster::AttemptState::kRunning);
  ASSERT_EQ(state.checkpoints.size(), 1u);
  EXPECT_FALSE(state.checkpoints[0].best);
  EXPECT_EQ((state.cursors.at({"u1", 1, 0})), 7);
}

TEST_P(StoreConformanceTest, NothingOfAFailedBatchIsStored) {
  store::WriteBatch batch = FullBatch("u1");
  batch.events.push_back({"no-such-job", kRecordTime, "user", "CREATED", "stored"});

  EXPECT_FALSE(store().Commit(batch).ok());

  EXPECT_TRUE(Load().jobs.empty());
  EXPECT_TRUE(Load().requests.empty());
  Commit(FullBatch("u1"));
  EXPECT_EQ(Load().jobs.size(), 1u);
}

TEST_P(StoreConformanceTest, ANumberOfTelemetryIsGivenOnce) {
  Commit(FullBatch("u1"));
  store::WriteBatch again;
  again.telemetry["u1"].metrics.push_back({1, 1, 1, 0.5, "loss", 2, kRecordTime});

  EXPECT_FALSE(store().Commit(again).ok());

  EXPECT_EQ(reader().ReadMetrics("u1", 1, 10)->at(0).value, 1);
}

TEST_P(StoreConformanceTest, DeletingAJobRemovesWhatBelongsToItAndNothingElse) {
  Commit(FullBatch("u1"));
  Commit(FullBatch("u2"));
  store::WriteBatch removal;
  removal.deleted_jobs = {"u1"};
  Commit(removal);
  Reopen();

  const store::StoredState state = Load();

  ASSERT_EQ(state.jobs.size(), 1u);
  EXPECT_EQ(state.jobs[0].uid, "u2");
  ASSERT_EQ(state.checkpoints.size(), 1u);
  EXPECT_EQ(state.checkpoints[0].job_uid, "u2");
  EXPECT_EQ(state.cursors.size(), 1u);
  EXPECT_EQ(state.requests.size(), 2u) << "a late retry must not make the job anew";
  PurgeAll();
  EXPECT_TRUE(reader().ReadMetrics("u1", 1, 10)->empty());
  EXPECT_TRUE(reader().ReadLogs("u1", 1, 10)->empty());
  EXPECT_TRUE(reader().ReadEvents("u1", 10)->empty());
  EXPECT_EQ(reader().ReadMetrics("u2", 1, 10)->size(), 1u);
}

TEST_P(StoreConformanceTest, TheNameOfADeletedJobIsFreeInTheSameBatch) {
  Commit(FullBatch("u1"));
  cluster::JobRecord next = MakeJob("u2");
  next.name = MakeJob("u1").name;
  store::WriteBatch batch = BatchOf(next);
  batch.deleted_jobs = {"u1"};
  Commit(batch);
  Reopen();

  ASSERT_EQ(Load().jobs.size(), 1u);
  EXPECT_EQ(Load().jobs[0].uid, "u2");
}

TEST_P(StoreConformanceTest, ADeletedJobIsRememberedUntilItIsForgotten) {
  Commit(FullBatch("u1"));
  store::WriteBatch removal;
  removal.deleted_jobs = {"u1"};
  Commit(removal);
  PurgeAll();
  Reopen();
  EXPECT_THAT(Load().removed_jobs, ::testing::ElementsAre("u1"));

  store::WriteBatch last;
  last.forgotten_jobs = {"u1"};
  Commit(last);
  PurgeAll();
  Reopen();

  EXPECT_TRUE(Load().removed_jobs.empty());
  EXPECT_TRUE(Load().jobs.empty());
  Commit(FullBatch("u1"));
  EXPECT_EQ(Load().jobs.size(), 1u) << "nothing of it is left";
}

TEST_P(StoreConformanceTest, WhatIsNotKeptGoesAFewRowsAtATime) {
  Commit(FullBatch("u2"));
  store::WriteBatch batch = BatchOf(MakeJob("u1"));
  for (int64_t seq = 1; seq <= 100; ++seq) {
    batch.telemetry["u1"].metrics.push_back({seq, 1, seq, 0.5, "loss", 1, kRecordTime});
    batch.telemetry["u1"].logs.push_back({seq, 1, 0, kRecordTime, "info", "line"});
  }
  cluster::KeptTelemetry kept;
  kept.log_segments = {{1, 100, 400, kRecordTime, kRecordTime + absl::Seconds(1)}};
  batch.kept["u1"] = kept;
  Commit(batch);
  EXPECT_EQ(store().Purge(1000).value(), 0) << "all is kept";

  store::WriteBatch cut;
  cut.kept["u1"] = kept;
  cut.kept["u1"].first_metric_seq = 51;
  cut.kept["u1"].first_log_seq = 101;
  Commit(cut);
  EXPECT_EQ(store().Purge(30).value(), 30);
  Reopen();
  EXPECT_EQ(Load().kept.at("u1"), cut.kept.at("u1"));
  EXPECT_EQ(store().Purge(100).value(), 100) << "a new process goes on";
  EXPECT_EQ(store().Purge(100).value(), 20);
  EXPECT_EQ(store().Purge(100).value(), 0);

  EXPECT_EQ(reader().ReadMetrics("u1", 1, 100)->size(), 50u);
  EXPECT_EQ(reader().ReadMetrics("u1", 1, 100)->front().seq, 51);
  EXPECT_TRUE(reader().ReadLogs("u1", 1, 100)->empty());
  EXPECT_EQ(reader().ReadMetrics("u2", 1, 100)->size(), 1u);
}

TEST_P(StoreConformanceTest, ForgottenRequestsAreGone) {
  Commit(FullBatch("u1"));
  store::WriteBatch batch;
  batch.forgotten_requests = {"request-u1", "no-such-request"};
  Commit(batch);
  Reopen();

  EXPECT_TRUE(Load().requests.empty());
}

TEST_P(StoreConformanceTest, RowsTakeRoomAndGiveItBack) {
  Commit(FullBatch("u1"));
  const int64_t before = store().UsedBytes().value();
  store::WriteBatch batch;
  for (int64_t seq = 2; seq <= 2000; ++seq) {
    batch.telemetry["u1"].logs.push_back({seq, 1, 0, kRecordTime, "info", std::string(100, 'x')});
  }
  Commit(batch);
  const int64_t full = store().UsedBytes().value();
  EXPECT_GT(full, before);

  store::WriteBatch cut;
  cut.kept["u1"].first_log_seq = 2001;
  Commit(cut);
  PurgeAll();

  EXPECT_LT(store().UsedBytes().value(), full);
}

TEST_P(StoreConformanceTest, ReadersSeeACommitAtOnceAndPagesHaveNoHoles) {
  Commit(BatchOf(MakeJob("u1")));
  for (int64_t seq = 1; seq <= 50; ++seq) {
    store::WriteBatch batch;
    batch.telemetry["u1"].metrics.push_back({seq, 1, seq, 0.5, "loss", std::nan(""), kRecordTime});
    batch.telemetry["u1"].logs.push_back(
        {seq, 1, -1, kRecordTime, "info", absl::StrCat("line ", seq)});
    Commit(batch);
    ASSERT_EQ(reader().ReadMetrics("u1", seq - 1, 100)->back().seq, seq);
  }

  const auto lines = reader().ReadLogs("u1", 10, 3).value();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines.front().message, "line 10");
  EXPECT_EQ(lines.back().seq, 12);
  EXPECT_TRUE(std::isnan(reader().ReadMetrics("u1", 50, 1)->at(0).value));
  EXPECT_TRUE(reader().ReadMetrics("u1", 51, 10)->empty());
  EXPECT_TRUE(reader().ReadMetrics("no-such-job", 1, 10)->empty());
}

TEST_P(StoreConformanceTest, ValuesThatAreNoNumbersAndOddTextComeBackAsTheyWent) {
  Commit(BatchOf(MakeJob("u1")));
  const std::string odd("a\0b\x1b[31m\xff ' \" \n", 14);
  store::WriteBatch batch;
  const double infinity = std::numeric_limits<double>::infinity();
  batch.telemetry["u1"].metrics.push_back({1, 1, 1, 0, odd, infinity, kRecordTime});
  batch.telemetry["u1"].metrics.push_back({2, 1, 1, 0, "", -infinity, absl::InfinitePast()});
  batch.telemetry["u1"].logs.push_back({1, 1, 0, kRecordTime, "info", odd});
  Commit(batch);

  const auto points = reader().ReadMetrics("u1", 1, 10).value();
  EXPECT_EQ(points.at(0).name, odd);
  EXPECT_EQ(points.at(0).value, infinity);
  EXPECT_EQ(points.at(1).value, -infinity);
  EXPECT_EQ(points.at(1).time, absl::InfinitePast());
  EXPECT_EQ(reader().ReadLogs("u1", 1, 1)->at(0).message, odd);
}

TEST_P(StoreConformanceTest, EventsAreTheNewestInTheOrderTheyHappened) {
  store::WriteBatch batch = BatchOf(MakeJob("u1"));
  for (int i = 1; i <= 5; ++i) {
    batch.events.push_back({"u1", kRecordTime, "user", absl::StrCat("E", i), ""});
  }
  Commit(batch);

  const auto events = reader().ReadEvents("u1", 2).value();

  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].type, "E4");
  EXPECT_EQ(events[1].type, "E5");
}

TEST_P(StoreConformanceTest, QueuesProjectsWishesAndTombstonesAreKept) {
  store::WriteBatch batch;
  batch.queues = {{"default", "day", 1, cluster::QueueStop::kNone, "", 0},
                  {"default", "night", 3, cluster::QueueStop::kHold, "nobody watches", 5}};
  cluster::ProjectRecord project;
  project.name = "default";
  project.weight = 2.5;
  project.max_slots = 8;
  project.recent_usage = 12.25;
  project.usage_time = kRecordTime;
  batch.projects = {project};
  batch.wishes = {{"w1", cluster::Schedulable::kDraining, "new disk", kRecordTime},
                  {"w2", cluster::Schedulable::kCordoned, "", kRecordTime}};
  batch.tombstones = {{30, "u0", "default", "gone"}};
  Commit(batch);
  store::WriteBatch later;
  later.deleted_queues = {"projects/default/queues/day"};
  later.wishes = {{"w2", cluster::Schedulable::kAllowed, "", kRecordTime}};
  Commit(later);
  Reopen();

  const store::StoredState state = Load();

  ASSERT_EQ(state.queues.size(), 1u);
  EXPECT_EQ(state.queues[0].FullName(), "projects/default/queues/night");
  EXPECT_EQ(state.queues[0].stop, cluster::QueueStop::kHold);
  EXPECT_EQ(state.queues[0].max_waiting_jobs, 5);
  ASSERT_EQ(state.projects.size(), 1u);
  EXPECT_EQ(state.projects[0].weight, 2.5);
  EXPECT_EQ(state.projects[0].max_slots, 8);
  EXPECT_EQ(state.projects[0].recent_usage, 12.25);
  EXPECT_EQ(state.projects[0].usage_time, kRecordTime);
  ASSERT_EQ(state.wishes.size(), 1u);
  EXPECT_EQ(state.wishes[0].worker, "w1");
  EXPECT_EQ(state.wishes[0].reason, "new disk");
  ASSERT_EQ(state.tombstones.size(), 1u);
  EXPECT_EQ(state.tombstones[0].name, "gone");
  EXPECT_EQ(state.last_change_seq, 30);
}

TEST_P(StoreConformanceTest, TombstonesAreForgottenUpToAChange) {
  store::WriteBatch batch;
  batch.tombstones = {{30, "u0", "default", "a"}, {31, "u1", "default", "b"}};
  Commit(batch);
  store::WriteBatch later;
  later.forgotten_tombstones = 30;
  Commit(later);
  Reopen();

  ASSERT_EQ(Load().tombstones.size(), 1u);
  EXPECT_EQ(Load().tombstones[0].uid, "u1");
}

TEST_P(StoreConformanceTest, AnEmptyBatchIsNothing) {
  EXPECT_TRUE(store().Commit({}).ok());
  EXPECT_TRUE(Load().jobs.empty());
}

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_STORE_CONFORMANCE_H_
