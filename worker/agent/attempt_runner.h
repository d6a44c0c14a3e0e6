#ifndef WORKER_AGENT_ATTEMPT_RUNNER_H_
#define WORKER_AGENT_ATTEMPT_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "proto/common/steady_time.h"
#include "worker/agent/checkpoint_committer.h"
#include "worker/agent/data_checker.h"
#include "worker/agent/lease.h"
#include "worker/agent/process_spawner.h"
#include "worker/agent/rank_process.h"
#include "worker/agent/settings.h"
#include "worker/agent/slot_table.h"
#include "worker/agent/store_process.h"
#include "worker/agent/telemetry_outbox.h"

namespace g2ll::agent {

// What every attempt of this agent uses; all of it outlives the attempts.
struct AttemptServices {
  const AgentSettings& settings;
  std::string incarnation;
  ProcessSpawner& spawner;
  DataChecker& data_checker;
  TelemetryOutbox& outbox;
  SlotTable& slots;
  const Lease& lease;
  // Newest term in which the coordinator has spoken to this agent.
  const std::atomic<int64_t>& term;
  v1::WorkerService::StubInterface& stub;
  // Called, from any thread and without locks held, when status() has changed.
  std::function<void()> on_change;
};

// One attempt on this worker, from PREPARE to ENDED. A thread of its own drives it
// towards what is wanted. Thread safe.
class AttemptRunner : private RankListener {
 public:
  AttemptRunner(const AttemptServices& services, const v1::DesiredAttempt& desired);
  // Kills what still runs and waits for it.
  ~AttemptRunner() override;

  // What the coordinator wants now; repeating it has no effect. A wish to end is not
  // taken back: only a more urgent one (DRAIN, then STOP, then KILL) takes its place.
  void SetDesired(const v1::DesiredAttempt& desired) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the ranks in order, because the agent itself is going away: they are told,
  // then SIGTERM, then SIGKILL. An attempt cut short so is reported as WORKER_LOST.
  void Shutdown() ABSL_LOCKS_EXCLUDED(mutex_);

  // Kills everything at once and forgets what is not stored: nobody wants it.
  void Kill();

  // As it is reported to the coordinator.
  v1::AttemptStatus status() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Nothing of it runs any more and its thread is about to end.
  bool finished() const ABSL_LOCKS_EXCLUDED(mutex_);

  const AttemptKey& key() const { return key_; }

 private:
  struct RankState {
    v1::RankStatus status;
    bool signalled = false;  // by us; its end says nothing about the job
  };

  void Run(std::stop_token kill);
  // The steps of Run, in order.
  absl::Status Prepare(std::stop_token stop) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CheckData(std::stop_token stop) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status StartStore(std::stop_token stop) ABSL_LOCKS_EXCLUDED(mutex_);
  bool AwaitRun(std::stop_token kill) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status StartRanks() ABSL_LOCKS_EXCLUDED(mutex_);
  void AwaitEndOrStop(std::stop_token kill) ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets the ranks end at a checkpoint while there is time. Returns whether they were
  // asked to.
  bool DrainRanks(std::stop_token kill) ABSL_LOCKS_EXCLUDED(mutex_);
  // `told`: they know already that they should end.
  void StopRanks(bool told, std::stop_token kill) ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish(std::stop_token kill) ABSL_LOCKS_EXCLUDED(mutex_);

  bool AwaitAllEnded(absl::Duration timeout, std::stop_token kill) ABSL_LOCKS_EXCLUDED(mutex_);
  bool AllEnded() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WantsEnd() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WantsKill() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(const trainer::v1::ToTrainer& message);
  void SignalRunning(int signal) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetPhase(v1::AttemptPhase phase) ABSL_LOCKS_EXCLUDED(mutex_);
  void RecordFailure(v1::Failure failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordPreparationFailure(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // A line of the agent in the job's log.
  void Say(const std::string& level, const std::string& message);

  void OnJoined(int rank) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnProgress(int rank, const v1::Progress& progress) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCheckpoint(int rank, const trainer::v1::CheckpointWritten& checkpoint) override;
  void OnReport(int rank, const std::string& path) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnEnded(const RankEnd& ended) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnVerdict(int rank, const trainer::v1::CheckpointVerdict& verdict);
  RankState* FindRank(int rank) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AttemptServices services_;
  const AttemptKey key_;
  std::stop_source cancel_preparation_;

  mutable absl::Mutex mutex_;
  steady::Condition changed_;  // of what mutex_ guards
  v1::DesiredAttempt desired_ ABSL_GUARDED_BY(mutex_);
  v1::AttemptStatus status_ ABSL_GUARDED_BY(mutex_);  // without `ranks`
  std::vector<RankState> ranks_ ABSL_GUARDED_BY(mutex_);
  std::optional<steady::Deadline> drain_end_ ABSL_GUARDED_BY(mutex_);
  // Rank whose progress is reported: the lowest of those that say how far they are.
  std::optional<int> progress_rank_ ABSL_GUARDED_BY(mutex_);
  // Of before the ranks started.
  std::optional<int64_t> oom_kills_ ABSL_GUARDED_BY(mutex_);
  bool shutting_down_ ABSL_GUARDED_BY(mutex_) = false;
  bool fenced_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;

  // Made and used by the driving thread; it adds processes under mutex_, because the
  // committer's thread looks for the receiver of a verdict there.
  std::unique_ptr<StoreProcess> store_;
  std::vector<int> slots_;
  std::vector<std::unique_ptr<RankProcess>> processes_;
  // Destroyed before the processes: its thread writes verdicts to them.
  std::unique_ptr<CheckpointCommitter> committer_;
  std::jthread driver_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_ATTEMPT_RUNNER_H_
