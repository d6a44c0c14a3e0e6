#ifndef WORKER_AGENT_AGENT_H_
#define WORKER_AGENT_AGENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "worker/agent/attempt_runner.h"
#include "worker/agent/data_check_queue.h"
#include "worker/agent/data_checker.h"
#include "worker/agent/lease.h"
#include "worker/agent/process_spawner.h"
#include "worker/agent/session_client.h"
#include "worker/agent/settings.h"
#include "worker/agent/slot_table.h"
#include "worker/agent/telemetry_outbox.h"
#include "worker/agent/telemetry_pusher.h"

namespace g2ll::agent {

// The worker agent: brings what runs on this host to what the coordinator wants.
//
// An attempt that the coordinator does not want is killed and forgotten. Losing the
// coordinator ends nothing for `orphan_timeout`. Thread safe.
class Agent : private SessionHandler {
 public:
  struct Identity {
    std::string version;
    int pid = 0;
    std::string http_address;  // host:port where metrics are served
  };
  struct Hooks {
    std::function<void()> on_registered;                   // once, after the first answer
    std::function<void(const absl::Status&)> on_rejected;  // refused for good
  };
  // A moment's numbers, for metrics and health.
  struct Snapshot {
    int slots = 0;
    int ranks_running = 0;
    TelemetryOutbox::Stats telemetry;
    std::optional<absl::Duration> lease_age;
    bool registered = false;  // has been answered once
    bool connected = false;   // the session is open now
  };

  // Connects at once. `settings` is complete; it and `stub` outlive this object.
  Agent(const AgentSettings& settings, const Identity& identity,
        v1::WorkerService::StubInterface& stub, Hooks hooks);
  // Kills what still runs.
  ~Agent() override;

  // Ends in order: no new work, ranks are told to stop, what they reported is sent,
  // a last state says that the worker drains. Bounded by the grace periods.
  void Shutdown() ABSL_LOCKS_EXCLUDED(mutex_);

  Snapshot snapshot() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  v1::SessionRequest State() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDesired(const v1::DesiredState& desired) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnTick() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnRejected(const absl::Status& status) override;

  void ApplyAttempts(const v1::DesiredState& desired) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KillUnwanted(const v1::DesiredState& desired) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Inventory MakeInventory() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  AttemptServices MakeServices();
  void NotifyChange() ABSL_LOCKS_EXCLUDED(session_mutex_);
  bool AllFinished() const ABSL_LOCKS_EXCLUDED(mutex_);

  const AgentSettings& settings_;
  const Identity identity_;
  const std::string incarnation_;
  const Hooks hooks_;
  v1::WorkerService::StubInterface& stub_;

  ProcessSpawner spawner_;
  DataChecker data_checker_;
  TelemetryOutbox outbox_;
  SlotTable slots_;
  Lease lease_;

  mutable absl::Mutex mutex_;
  std::map<AttemptKey, std::unique_ptr<AttemptRunner>> attempts_ ABSL_GUARDED_BY(mutex_);
  // Wanted attempts that this incarnation never held; reported as ended.
  std::map<AttemptKey, v1::AttemptStatus> not_held_ ABSL_GUARDED_BY(mutex_);
  // Killed attempts, until their processes are gone.
  std::vector<std::unique_ptr<AttemptRunner>> dying_ ABSL_GUARDED_BY(mutex_);
  // Written under mutex_, so that an old word cannot overtake a newer one.
  std::atomic<int64_t> term_ = 0;
  int64_t desired_sequence_ ABSL_GUARDED_BY(mutex_) = 0;  // of the newest word of the term
  int64_t state_sequence_ ABSL_GUARDED_BY(mutex_) = 0;    // of the newest state
  std::string wanted_token_ ABSL_GUARDED_BY(mutex_);
  Lease::Clock::time_point last_contact_ ABSL_GUARDED_BY(mutex_);
  bool registered_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;

  // Apart from mutex_, because changes are told while attempts are looked at.
  mutable absl::Mutex session_mutex_;
  SessionClient* notified_ ABSL_GUARDED_BY(session_mutex_) = nullptr;

  DataCheckQueue data_checks_;
  TelemetryPusher pusher_;
  std::unique_ptr<SessionClient> session_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_AGENT_H_
