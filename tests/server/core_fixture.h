#ifndef TESTS_SERVER_CORE_FIXTURE_H_
#define TESTS_SERVER_CORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/coordinator/core.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::testing {

// A session that keeps the last wish it got.
class FakeSession final : public coordinator::WorkerSession {
 public:
  void Push(const cluster::DesiredWorker& desired) override { desired_ = desired; }
  void Close(absl::Status status) override { closed_ = std::move(status); }

  const cluster::DesiredWorker& desired() const { return desired_; }
  const std::optional<absl::Status>& closed() const { return closed_; }

 private:
  cluster::DesiredWorker desired_;
  std::optional<absl::Status> closed_;
};

// An agent without processes: holds a report and sends it.
struct FakeWorker {
  std::shared_ptr<FakeSession> session = std::make_shared<FakeSession>();
  int64_t session_id = 0;
  cluster::WorkerReport report;
};

// A core on a real store with a clock that the test moves.
class CoreTest : public ::testing::Test {
 protected:
  static constexpr char kToken[] = "token";

  void SetUp() override { StartCore(); }

  // Opens the store again as a new coordinator would.
  void StartCore() {
    core_.reset();
    hub_.reset();
    store_.reset();
    store_ = store::SqliteJobStore::Open(directory_.path()).value();
    hub_ = std::make_unique<telemetry::TelemetryHub>();
    coordinator::CoreOptions options = options_;
    options.storage_token = kToken;
    core_ = std::make_unique<coordinator::Core>(options, store_.get(), hub_.get(), &metrics_);
    ASSERT_TRUE(core_->Start(now_).ok());
    Flush();
  }

  void Flush() { ASSERT_TRUE(core_->Flush(now_).ok()); }

  // Moves the clock in steps of a second, as the real one ticks.
  void Pass(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    while (now_ < end) {
      now_ += absl::Seconds(1);
      core_->Tick(now_);
      Flush();
    }
  }

  FakeWorker Connect(const std::string& name, int32_t slots = 1,
                     const std::string& incarnation = "i1") {
    FakeWorker worker;
    worker.report.worker = name;
    worker.report.incarnation = incarnation;
    worker.report.inventory.slots = slots;
    worker.report.inventory.cpus = slots;
    worker.report.inventory.storage_token = kToken;
    Reconnect(worker);
    return worker;
  }

  void Reconnect(FakeWorker& worker) {
    worker.session = std::make_shared<FakeSession>();
    worker.session_id = core_->OpenSession(worker.report, worker.session, now_).value();
    Flush();
  }

  // Sends the worker's report; data checks that it was asked for are answered.
  void Report(FakeWorker& worker, bool data_ok = true, const std::string& fault = "no images") {
    cluster::WorkerReport report = worker.report;
    for (const cluster::DataCheck& check : worker.session->desired().data_checks) {
      report.data_checks.push_back({check.id, data_ok, data_ok ? "fine" : fault, "d", 10});
    }
    core_->ReportWorker(report, worker.session_id, now_);
    Flush();
  }

  // Does what is wanted of the worker up to `phase`.
  void Reach(FakeWorker& worker, cluster::AttemptPhase phase) {
    worker.report.attempts.clear();
    for (const cluster::DesiredAttempt& wanted : worker.session->desired().attempts) {
      cluster::AttemptStatus status;
      status.job_uid = wanted.job_uid;
      status.epoch = wanted.epoch;
      status.phase = phase;
      status.data_digest = "digest";
      status.store_address = wanted.serves_store ? worker.report.worker + ":4000" : "";
      for (const int32_t rank : wanted.ranks) {
        const bool ended = phase == cluster::AttemptPhase::kEnded;
        status.ranks.push_back({.rank = rank, .pid = 100 + rank, .joined = true, .exited = ended});
      }
      worker.report.attempts.push_back(status);
    }
    Report(worker);
  }

  coordinator::CreateJobCommand MakeCommand(const std::string& name) {
    coordinator::CreateJobCommand command;
    command.job.project = "default";
    command.job.name = name;
    command.job.spec = std::make_shared<const std::string>("spec of " + name);
    command.job.data_source = "/data/" + name;
    command.job.max_infra_retries = 20;
    return command;
  }

  // Creates a job; the answer is empty while a data check runs.
  std::optional<absl::StatusOr<coordinator::JobPtr>> Create(
      const coordinator::CreateJobCommand& command) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<coordinator::JobPtr>>>();
    core_->CreateJob(
        command, [answer](absl::StatusOr<coordinator::JobPtr> job) { *answer = std::move(job); },
        now_);
    Flush();
    last_answer_ = answer;
    return *answer;
  }

  coordinator::JobPtr Job(const std::string& name) {
    return core_->GetJob("projects/default/jobs/" + name).value();
  }
  cluster::JobState StateOf(const std::string& name) { return Job(name)->state; }

  // Brings a job that one worker runs alone to RUNNING.
  void RunJob(FakeWorker& worker, const std::string& name) {
    Create(MakeCommand(name));
    Report(worker);
    Reach(worker, cluster::AttemptPhase::kPrepared);
    Reach(worker, cluster::AttemptPhase::kTraining);
    ASSERT_EQ(StateOf(name), cluster::JobState::kRunning);
  }

  coordinator::CommitCheckpointCommand MakeCommit(const std::string& name, int64_t step) {
    const coordinator::JobPtr job = Job(name);
    coordinator::CommitCheckpointCommand command;
    command.worker = "w1";
    command.incarnation = "i1";
    command.checkpoint.job_uid = job->uid;
    command.checkpoint.epoch = job->epoch;
    command.checkpoint.step = step;
    command.checkpoint.path = absl::StrCat("checkpoints/", job->uid, "/e", job->epoch, "/s", step);
    command.checkpoint.sha256 = "abc";
    return command;
  }
  absl::StatusOr<cluster::CheckpointRecord> Commit(
      const coordinator::CommitCheckpointCommand& command) {
    auto checkpoint = core_->CommitCheckpoint(command, now_);
    Flush();
    return checkpoint;
  }

  // Taken by StartCore.
  coordinator::CoreOptions options_;
  TemporaryDirectory directory_;
  metrics::ServerMetrics metrics_{"test"};
  std::unique_ptr<store::SqliteJobStore> store_;
  std::unique_ptr<telemetry::TelemetryHub> hub_;
  std::unique_ptr<coordinator::Core> core_;
  std::shared_ptr<std::optional<absl::StatusOr<coordinator::JobPtr>>> last_answer_;
  absl::Time now_ = absl::FromUnixSeconds(1700000000);
};

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_CORE_FIXTURE_H_
