#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/store/schema.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::store {
namespace {

using cluster::AttemptRecord;
using cluster::JobRecord;
using ::testing::HasSubstr;

const absl::Time kTime = absl::FromUnixMicros(1700000000123456);

std::unique_ptr<SqliteJobStore> OpenStore(const std::string& path) {
  absl::StatusOr<std::unique_ptr<SqliteJobStore>> store = SqliteJobStore::Open(path);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

JobRecord MakeJob(const std::string& uid) {
  JobRecord job;
  job.uid = uid;
  job.project = "default";
  job.name = "name-" + uid;
  job.kind = cluster::JobKind::kFinetune;
  job.labels = {{"study", "table1"}};
  job.spec = std::make_shared<const std::string>(std::string("\x01\x00\xff spec", 8));
  job.dependencies = {{"parent", "uid-0"}};
  job.create_time = kTime;
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
  AttemptRecord attempt;
  attempt.number = 1;
  attempt.epoch = 1;
  attempt.workers = {"w1", "w2"};
  attempt.start_time = kTime;
  attempt.run_time = kTime + absl::Seconds(1);
  attempt.stop_deadline = kTime + absl::Seconds(2);
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

WriteBatch BatchOf(const JobRecord& job) {
  WriteBatch batch;
  batch.jobs.push_back(std::make_shared<const JobRecord>(job));
  return batch;
}

TEST(SqliteJobStoreTest, EverythingIsThereAfterReopening) {
  const testing::TemporaryDirectory directory;
  {
    auto store = OpenStore(directory.path());
    WriteBatch batch = BatchOf(MakeJob("u1"));
    batch.requests.push_back({"request-1", "print", "u1", kTime});
    cluster::CheckpointRecord checkpoint;
    checkpoint.id = "c1";
    checkpoint.job_uid = "u1";
    checkpoint.step = 4;
    checkpoint.best = true;
    checkpoint.metrics = {{"val/dice", 0.5}};
    batch.checkpoints.push_back(checkpoint);
    batch.cursors[{"u1", 1, 0}] = 17;
    ASSERT_TRUE(store->Commit(batch).ok());
    ASSERT_EQ(store->NextTerm().value(), 1);
  }

  auto store = OpenStore(directory.path());
  const absl::StatusOr<StoredState> state = store->Load();

  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_EQ(state->jobs.size(), 1u);
  const JobRecord& job = state->jobs[0];
  const JobRecord expected = MakeJob("u1");
  EXPECT_EQ(*job.spec, *expected.spec);
  EXPECT_EQ(job.labels, expected.labels);
  EXPECT_EQ(job.create_time, kTime);
  EXPECT_EQ(job.start_time, absl::InfinitePast());
  EXPECT_EQ(job.progress, expected.progress);
  EXPECT_EQ(job.metrics, expected.metrics);
  EXPECT_EQ(job.best_metric->value, 0.75);
  EXPECT_EQ(job.dependencies[0].uid, "uid-0");
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
  EXPECT_EQ(state->last_change_seq, 17);
  EXPECT_EQ(job.lineage[0].checkpoint_id, "parent-1");
  ASSERT_EQ(job.attempts.size(), 1u);
  EXPECT_EQ(job.attempts[0].workers, expected.attempts[0].workers);
  EXPECT_EQ(job.attempts[0].failure, expected.attempts[0].failure);
  EXPECT_EQ(state->checkpoints[0].metrics.at("val/dice"), 0.5);
  EXPECT_TRUE(state->checkpoints[0].best);
  EXPECT_EQ(state->requests[0].fingerprint, "print");
  EXPECT_EQ((state->cursors.at({"u1", 1, 0})), 17);
  EXPECT_EQ(store->NextTerm().value(), 2);
}

TEST(SqliteJobStoreTest, AFailedCommitStoresNothingOfIt) {
  const testing::TemporaryDirectory directory;
  auto store = OpenStore(directory.path());
  WriteBatch batch = BatchOf(MakeJob("u1"));
  batch.events.push_back({"no-such-job", kTime, "user", "CREATED", "stored"});

  EXPECT_FALSE(store->Commit(batch).ok());

  EXPECT_TRUE(store->Load()->jobs.empty());
  EXPECT_TRUE(store->Commit(BatchOf(MakeJob("u1"))).ok());
}

TEST(SqliteJobStoreTest, DeletingAJobRemovesWhatBelongsToIt) {
  const testing::TemporaryDirectory directory;
  auto store = OpenStore(directory.path());
  WriteBatch batch = BatchOf(MakeJob("u1"));
  batch.telemetry["u1"].metrics.push_back({1, 1, 1, 0, "loss", 1, kTime});
  batch.events.push_back({"u1", kTime, "user", "CREATED", "stored"});
  batch.cursors[{"u1", 1, 0}] = 1;
  ASSERT_TRUE(store->Commit(batch).ok());

  WriteBatch removal;
  removal.deleted_jobs = {"u1"};
  ASSERT_TRUE(store->Commit(removal).ok());

  const auto reader = OpenSqliteReader(directory.path()).value();
  EXPECT_TRUE(reader->ReadMetrics("u1", 1, 10)->empty());
  EXPECT_TRUE(reader->ReadEvents("u1", 10)->empty());
  EXPECT_TRUE(store->Load()->cursors.empty());
}

TEST(SqliteJobStoreTest, ReadersSeeEveryCommitWhileTheWriterGoesOn) {
  const testing::TemporaryDirectory directory;
  auto store = OpenStore(directory.path());
  ASSERT_TRUE(store->Commit(BatchOf(MakeJob("u1"))).ok());
  const auto reader = OpenSqliteReader(directory.path()).value();

  for (int64_t seq = 1; seq <= 50; ++seq) {
    WriteBatch batch;
    batch.telemetry["u1"].metrics.push_back({seq, 1, seq, 0.5, "loss", std::nan(""), kTime});
    batch.telemetry["u1"].logs.push_back({seq, 1, -1, kTime, "info", absl::StrCat("line ", seq)});
    ASSERT_TRUE(store->Commit(batch).ok());

    const auto points = reader->ReadMetrics("u1", seq - 1, 100);
    ASSERT_TRUE(points.ok()) << points.status();
    EXPECT_EQ(points->back().seq, seq);
    EXPECT_TRUE(std::isnan(points->back().value));
  }

  const auto lines = reader->ReadLogs("u1", 10, 3);
  ASSERT_EQ(lines->size(), 3u);
  EXPECT_EQ(lines->front().message, "line 10");
}

TEST(SqliteJobStoreTest, ASecondCoordinatorIsRefusedWithTheFirstOnesPid) {
  const testing::TemporaryDirectory directory;
  auto store = OpenStore(directory.path());

  const absl::Status refused = SqliteJobStore::Open(directory.path()).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(absl::StrCat("pid ", getpid())));
}

TEST(SqliteJobStoreTest, AStoreOfANewerProgramIsRefusedWithWhatToDo) {
  const testing::TemporaryDirectory directory;
  OpenStore(directory.path()).reset();
  auto database = Database::Open(directory.path() + "/g2ll.db", Database::Mode::kReadWrite);
  ASSERT_TRUE((*database)->Execute("PRAGMA user_version = 1000").ok());
  database->reset();

  const absl::Status refused = SqliteJobStore::Open(directory.path()).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("start the newer g2ll-coordinator"));
}

TEST(SqliteJobStoreTest, ADamagedFileIsRefusedAndNamed) {
  const testing::TemporaryDirectory directory;
  OpenStore(directory.path()).reset();
  std::ofstream(directory.path() + "/g2ll.db", std::ios::trunc) << "this is not a database";

  const absl::Status refused = SqliteJobStore::Open(directory.path()).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("g2ll.db"));
}

TEST(SqliteJobStoreTest, ADataDirectoryThatIsAFileIsRefused) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  std::ofstream(path) << "x";

  const absl::Status refused = SqliteJobStore::Open(path).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("Not a directory"));
}

// Stored means stored: the writer is killed right after its commit returned.
TEST(SqliteJobStoreTest, ACommittedJobSurvivesAKilledWriter) {
  const testing::TemporaryDirectory directory;
  const pid_t writer = fork();
  if (writer == 0) {
    auto store = SqliteJobStore::Open(directory.path());
    if (store.ok() && (*store)->Commit(BatchOf(MakeJob("u1"))).ok()) {
      kill(getpid(), SIGKILL);
    }
    _exit(1);
  }
  int status = 0;
  waitpid(writer, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));

  auto store = OpenStore(directory.path());

  EXPECT_EQ(store->Load()->jobs.size(), 1u);
}

}  // namespace
}  // namespace g2ll::store
