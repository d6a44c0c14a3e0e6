#ifndef TESTS_SIM_FLEET_H_
#define TESTS_SIM_FLEET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/sim/sim_worker.h"

namespace g2ll::sim {

// Simulated workers in this process, hundreds on one thread of their own. They speak
// the real protocol to a coordinator: each has a connection with a session and a
// telemetry stream, registers its slots, answers data checks, takes attempts from
// PREPARE to ENDED as the script says, and commits checkpoints that the coordinator
// accepts. After a lost connection a worker connects again by itself. Workers are named
// by the caller; a name that is not there ends the program. Thread safe.
//
//   Fleet fleet({.address = coordinator->address(), .storage_root = ...});
//   fleet.Add({.name = "w1", .slots = 4});
//   fleet.WaitFor([](const FleetCounts& counts) { return counts.connected == 1; });
class Fleet {
 public:
  struct Options {
    std::string address;
    // The coordinator's storage root, which holds its token file by now.
    std::string storage_root;
    // What an attempt does; AttemptScript's defaults if empty. Called on the fleet's
    // thread.
    std::function<AttemptScript(const v1::DesiredAttempt&)> script = nullptr;
    // What a data check finds; everything is fine if empty. The id is filled in.
    std::function<v1::DataCheckResult(const v1::DataCheck&)> check_data = nullptr;
  };

  explicit Fleet(Options options);
  // Cuts all connections.
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Adds a worker and connects it.
  void Add(const SimWorkerOptions& worker);
  // Adds `count` workers PREFIX0, PREFIX1, ...
  void AddMany(int count, const std::string& prefix, int32_t slots);

  // What can happen to a worker, see SimWorker.
  void Disconnect(const std::string& worker);
  void Connect(const std::string& worker);
  void Die(const std::string& worker);
  void Restart(const std::string& worker);
  void Stall(const std::string& worker);
  void Wake(const std::string& worker);
  void Drain(const std::string& worker);
  // Of every worker.
  void DisconnectAll();
  void ConnectAll();

  // Ends one rank of a job (full name) with a code, 128 + signal for a signal, wherever it
  // runs. The coordinator takes 81 for an infrastructure fault.
  void FailRank(const std::string& job, int32_t rank, int exit_code);
  // Lets the attempts of a job (full name; empty: of all) end that hold, now and later.
  void Release(const std::string& job = "");
  // Writes a checkpoint directory and asks to commit it as `worker`, whether or not it
  // holds the attempt. Waits for the answer.
  absl::Status Commit(const std::string& worker, const std::string& job_uid, int64_t epoch,
                      int64_t step);

  // Workers of an attempt that are in training, and the step of its rank 0.
  int TrainingWorkers(const std::string& job);
  int64_t StepOf(const std::string& job);

  FleetCounts counts() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until the counts have the property; false after `limit`.
  bool WaitFor(const std::function<bool(const FleetCounts&)>& property,
               absl::Duration limit = absl::Minutes(1)) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Runs `action` on the fleet's thread and waits for it.
  void With(const std::string& worker, const std::function<void(SimWorker&)>& action);
  void WithAll(const std::function<void(SimWorker&)>& action);

  mutable absl::Mutex mutex_;
  FleetCounts counts_ ABSL_GUARDED_BY(mutex_);
  FleetShared shared_;
  // Of the loop's thread.
  std::map<std::string, std::shared_ptr<SimWorker>> workers_;
  EventLoop loop_;
};

}  // namespace g2ll::sim

#endif  // TESTS_SIM_FLEET_H_
