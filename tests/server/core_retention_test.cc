// What the coordinator forgets, and what it must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "proto/common/grpc_status.h"
#include "server/store/restore.h"
#include "server/store/sqlite_backup.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptPhase;
using cluster::JobState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kDay = absl::Hours(24);

coordinator::JobRequest Ask(const std::string& name) {
  return {"projects/default/jobs/" + name, "", ""};
}

cluster::LogRecord Line() {
  cluster::LogRecord line;
  line.level = "info";
  line.message = std::string(100, 'x');
  return line;
}

cluster::MetricRecord Point(int64_t step) {
  cluster::MetricRecord point;
  point.step = step;
  point.name = "loss";
  return point;
}

class RetentionCoreTest : public CoreTest {
 protected:
  absl::Status Delete(const std::string& name) {
    const absl::Status deleted = core_->DeleteJob(Ask(name));
    Flush();
    return deleted;
  }
  void Cancel(const std::string& name) {
    ASSERT_TRUE(core_->CancelJob(Ask(name), /*kill=*/false, now_).ok());
    Flush();
  }
  // A job that never ran and has ended.
  void MakeEndedJob(const std::string& name) {
    Create(MakeCommand(name));
    Cancel(name);
    ASSERT_EQ(StateOf(name), JobState::kCancelled);
  }
  // One second of the coordinator's clock.
  void TickOnce() {
    now_ += absl::Seconds(1);
    core_->Tick(now_);
    Flush();
  }
  void PassAtOnce(absl::Duration duration) {
    now_ += duration;
    TickOnce();
  }
  // Lines or points `first` to `last` of rank 0.
  void Push(const std::string& job_uid, int64_t first, int64_t last, bool lines) {
    cluster::TelemetryBatch batch;
    batch.key = {job_uid, 1, 0};
    for (int64_t seq = first; seq <= last; ++seq) {
      cluster::TelemetryItem& item = batch.items.emplace_back();
      item.local_seq = seq;
      if (lines) {
        item.value = Line();
      } else {
        item.value = Point(seq);
      }
    }
    ASSERT_EQ(core_->PushTelemetry(batch, now_), last);
    Flush();
  }
  void KeepRemovals() {
    core_->SetRemover([this](const std::string& uid) { removals_.push_back(uid); });
  }
  std::unique_ptr<store::TelemetryReader> Reader() {
    return store::OpenSqliteReader(directory_.path()).value();
  }
  std::vector<std::string> EventsOf(const std::string& job_uid, const std::string& type) {
    std::vector<std::string> messages;
    const auto events = Reader()->ReadEvents(job_uid, 1000);
    for (const cluster::EventRecord& event : *events) {
      if (event.type == type) {
        messages.push_back(event.message);
      }
    }
    return messages;
  }

  // Jobs whose files were to be removed.
  std::vector<std::string> removals_;
};

TEST_F(RetentionCoreTest, AnEndedJobIsForgottenAfterItsTime) {
  MakeEndedJob("a");
  Create(MakeCommand("waits"));
  const std::string uid = Job("a")->uid;
  KeepRemovals();

  PassAtOnce(89 * kDay);
  EXPECT_EQ(StateOf("a"), JobState::kCancelled);
  EXPECT_THAT(removals_, IsEmpty());
  PassAtOnce(kDay);

  EXPECT_FALSE(core_->GetJob("projects/default/jobs/a").ok());
  EXPECT_EQ(StateOf("waits"), JobState::kPending) << "however old it is";
  EXPECT_THAT(removals_, ElementsAre(uid));
}

TEST_F(RetentionCoreTest, FilesAreAskedForAgainUntilTheyAreGone) {
  MakeEndedJob("a");
  const std::string uid = Job("a")->uid;
  KeepRemovals();
  ASSERT_TRUE(Delete("a").ok());
  ASSERT_THAT(removals_, ElementsAre(uid));

  // It died before they were removed.
  StartCore();
  removals_.clear();
  KeepRemovals();
  EXPECT_THAT(removals_, ElementsAre(uid));
  core_->FilesRemoved(uid);
  Flush();
  TickOnce();

  StartCore();
  removals_.clear();
  KeepRemovals();
  EXPECT_THAT(removals_, IsEmpty());
}

TEST_F(RetentionCoreTest, NoFileIsRemovedBeforeTheRowIsGone) {
  MakeEndedJob("a");
  KeepRemovals();

  ASSERT_TRUE(core_->DeleteJob(Ask("a")).ok());
  EXPECT_THAT(removals_, IsEmpty());
  Flush();

  EXPECT_EQ(removals_.size(), 1u);
}

TEST_F(RetentionCoreTest, ANameCanBeUsedAgainInTheCommitThatDeletesIt) {
  MakeEndedJob("a");
  const std::string uid = Job("a")->uid;

  ASSERT_TRUE(core_->DeleteJob(Ask("a")).ok());
  const auto answer = Create(MakeCommand("a"));

  ASSERT_TRUE(answer.has_value() && answer->ok());
  EXPECT_NE(Job("a")->uid, uid);
}

TEST_F(RetentionCoreTest, AJobWithAPinnedCheckpointStays) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  const std::string checkpoint = Commit(MakeCommit("a", 10))->id;
  ASSERT_TRUE(core_->PinCheckpoint(checkpoint, true, now_).ok());
  Cancel("a");
  Reach(worker, AttemptPhase::kEnded);
  ASSERT_EQ(StateOf("a"), JobState::kCancelled);

  const absl::Status refused = Delete("a");
  EXPECT_EQ(net::ReasonOf(refused), "IN_USE");
  EXPECT_THAT(std::string(refused.message()), HasSubstr(checkpoint));
  PassAtOnce(1000 * kDay);
  EXPECT_EQ(StateOf("a"), JobState::kCancelled);

  ASSERT_TRUE(core_->PinCheckpoint(checkpoint, false, now_).ok());
  EXPECT_TRUE(Delete("a").ok());
}

TEST_F(RetentionCoreTest, AJobStaysWhileAnotherIsGoingToUseItsCheckpoint) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  const std::string checkpoint = Commit(MakeCommit("a", 10))->id;
  Cancel("a");
  Reach(worker, AttemptPhase::kEnded);
  auto command = MakeCommand("child");
  command.job.source = "checkpoint/" + checkpoint;
  command.job.device = cluster::Device::kCuda;  // There is none, so it waits.
  Create(command);
  Report(worker);
  ASSERT_EQ(StateOf("child"), JobState::kPending);

  EXPECT_EQ(net::ReasonOf(Delete("a")), "IN_USE");
  PassAtOnce(1000 * kDay);
  EXPECT_EQ(StateOf("a"), JobState::kCancelled);
}

TEST_F(RetentionCoreTest, PointsBeyondTheLimitGoAndTheJobIsTold) {
  options_.retention.points_per_job = 100;
  StartCore();
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  const std::string uid = Job("a")->uid;
  Push(uid, 1, 250, /*lines=*/false);

  TickOnce();
  TickOnce();

  const auto points = Reader()->ReadMetrics(uid, 1, 1000).value();
  EXPECT_EQ(points.size(), 99u);
  EXPECT_EQ(points.front().seq, 152);
  EXPECT_EQ(points.back().seq, 250) << "numbers go on";
  EXPECT_THAT(metrics_.Serialize(), HasSubstr("g2ll_limit_hits_total{limit=\"points_per_job\"} 1"));
  EXPECT_THAT(EventsOf(uid, "RETENTION"), ElementsAre(HasSubstr("metric points up to number 151")));
}

TEST_F(RetentionCoreTest, LogsAreRotatedAndStayRotatedAfterARestart) {
  options_.retention.log_bytes_per_job = 16000;
  StartCore();
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  const std::string uid = Job("a")->uid;
  for (int64_t first = 1; first < 400; first += 10) {
    Push(uid, first, first + 9, /*lines=*/true);
  }
  TickOnce();
  TickOnce();
  const auto before = Reader()->ReadLogs(uid, 1, 1000).value();
  EXPECT_LE(before.size(), 160u);
  EXPECT_GE(before.size(), 140u);
  EXPECT_EQ(before.back().seq, 400);

  StartCore();
  TickOnce();

  EXPECT_EQ(Reader()->ReadLogs(uid, 1, 1000)->size(), before.size());
}

TEST_F(RetentionCoreTest, AFullStoreLosesTheTelemetryOfTheJobThatEndedFirst) {
  FakeWorker worker = Connect("w1");
  std::vector<std::string> uids;
  for (const std::string name : {"first", "second", "runs"}) {
    RunJob(worker, name);
    uids.push_back(Job(name)->uid);
    Push(uids.back(), 1, 2000, /*lines=*/true);
    if (name != "runs") {
      Cancel(name);
      Reach(worker, AttemptPhase::kEnded);
      ASSERT_EQ(StateOf(name), JobState::kCancelled);
    }
    Pass(absl::Seconds(1));
  }
  options_.retention.total_bytes = store_->UsedBytes().value() - 1;
  worker = FakeWorker();
  StartCore();

  for (int i = 0; i < 10; ++i) {
    TickOnce();
  }

  EXPECT_TRUE(Reader()->ReadLogs(uids[0], 1, 10)->empty());
  EXPECT_EQ(Reader()->ReadLogs(uids[1], 1, 10)->size(), 10u) << "there is room again";
  EXPECT_EQ(Reader()->ReadLogs(uids[2], 1, 10)->size(), 10u);
  EXPECT_EQ(StateOf("first"), JobState::kCancelled) << "the job itself stays";
}

TEST_F(RetentionCoreTest, ARequestIsRememberedForItsTime) {
  auto command = MakeCommand("a");
  command.request_id = "r1";
  Create(command);
  Cancel("a");
  ASSERT_TRUE(Delete("a").ok());

  PassAtOnce(6 * kDay);
  EXPECT_EQ(net::ReasonOf(Create(command)->status()), "JOB_DELETED");
  PassAtOnce(2 * kDay);
  EXPECT_TRUE(Create(command)->ok());
  StartCore();
  EXPECT_EQ(Job("a")->name, "a");
}

TEST_F(RetentionCoreTest, AfterARestoreNothingThatRanBeforeCanCommit) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  ASSERT_TRUE(Commit(MakeCommit("a", 10)).ok());
  const std::string file = directory_.path() + "/.copy";
  {
    const auto maker = store::MakeSqliteBackupMaker(directory_.path());
    const auto backup = maker->Begin().value();
    while (!backup->Step().value()) {
    }
    std::filesystem::copy_file(backup->path(), file);
  }
  const auto of_backup = MakeCommit("a", 30);
  ASSERT_TRUE(Commit(MakeCommit("a", 20)).ok());
  cluster::TelemetryBatch telemetry;
  telemetry.key = {Job("a")->uid, 1, 0};
  telemetry.items.push_back({5, Line()});
  core_.reset();
  store_.reset();
  ASSERT_TRUE(store::RestoreStore(file, directory_.path(), now_).ok());
  StartCore();

  EXPECT_EQ(StateOf("a"), JobState::kPending);
  EXPECT_EQ(Job("a")->latest_checkpoint_step, 10) << "as it was";
  EXPECT_EQ(net::ReasonOf(Commit(of_backup).status()), "STALE_EPOCH");
  EXPECT_EQ(core_->PushTelemetry(telemetry, now_), 5) << "dropped, so that nobody waits for it";

  // The worker comes back with what it ran, is told to end it, and starts the job anew.
  Pass(absl::Seconds(30));
  Reconnect(worker);
  EXPECT_THAT(worker.session->desired().attempts, IsEmpty());
  worker.report.attempts.clear();
  Report(worker);
  TickOnce();
  ASSERT_EQ(worker.session->desired().attempts.size(), 1u);
  EXPECT_GT(worker.session->desired().attempts[0].epoch, 1'000'000);
  EXPECT_EQ(net::ReasonOf(Commit(of_backup).status()), "STALE_EPOCH");
}

}  // namespace
}  // namespace g2ll::testing
