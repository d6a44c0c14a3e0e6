#ifndef TESTS_SIM_SIM_WORKER_H_
#define TESTS_SIM_SIM_WORKER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "tests/sim/bidi_stream.h"
#include "tests/sim/event_loop.h"
#include "tests/sim/script.h"
#include "tests/sim/sim_attempt.h"

namespace g2ll::sim {

// Job uid and epoch.
using AttemptKey = std::pair<std::string, int64_t>;

// What happened in a fleet so far.
struct FleetCounts {
  int64_t connected = 0;  // sessions on which the coordinator has answered, now
  int64_t sessions = 0;   // opened in all
  int64_t states = 0;     // sent in all
  int64_t attempts_started = 0;
  int64_t attempts_ended = 0;
  int64_t items_made = 0;  // points and lines, each once
  int64_t items_acknowledged = 0;
  int64_t checkpoints_committed = 0;
  // By reason, for example STALE_EPOCH.
  std::map<std::string, int64_t> commits_refused;
};

// A simulated worker's host.
struct SimWorkerOptions {
  std::string name;
  int32_t slots = 1;
  std::string device = "cpu";
};

// What workers of a fleet share. All members outlive the workers.
struct FleetShared {
  EventLoop* loop = nullptr;
  std::string address;
  std::string storage_root;
  std::string storage_token;
  std::function<AttemptScript(const v1::DesiredAttempt&)> script;
  std::function<v1::DataCheckResult(const v1::DataCheck&)> check_data;
  // Changes the counts, under their lock.
  std::function<void(const std::function<void(FleetCounts&)>&)> count;
  // Rank 0 of an attempt has ended by itself with a code: all ranks do.
  std::function<void(const AttemptKey&, int)> attempt_finished;
};

// One simulated agent: a session, a telemetry stream and attempts. It behaves like
// g2ll-worker on the wire but starts no process, and it commits without looking at its
// lease, as a worker that was asleep would. Used on the loop's thread.
class SimWorker : public std::enable_shared_from_this<SimWorker> {
 public:
  using CommitDone = std::function<void(const absl::Status&)>;

  SimWorker(const FleetShared* shared, SimWorkerOptions options);

  // Opens connections and keeps them open; nothing if it is connected.
  void Connect();
  // Cuts the connections; the attempts go on. Ends a stall.
  void Disconnect();
  // Cuts the connections and forgets everything, as a host that lost power.
  void Die();
  // Dies and comes back as a new incarnation.
  void Restart();
  // Does nothing until Wake, but the connections stay, as after SIGSTOP.
  void Stall() { stalled_ = true; }
  void Wake();
  // Announces that it goes away.
  void Drain();

  void FailRank(const std::string& job, int32_t rank, int exit_code);
  // Of all jobs if `job` is empty. Also for attempts that start later.
  void Release(const std::string& job);
  void Finish(const AttemptKey& key, int exit_code);
  // Writes a checkpoint of a step for an attempt, held or not, and asks to commit it.
  void Commit(const std::string& job_uid, int64_t epoch, int64_t step, const CommitDone& done);

  const std::map<AttemptKey, std::unique_ptr<SimAttempt>>& attempts() const { return attempts_; }
  const std::string& name() const { return options_.name; }
  const std::string& incarnation() const { return incarnation_; }

 private:
  using Session = BidiStream<v1::SessionRequest, v1::DesiredState>;
  using Telemetry = BidiStream<v1::PushTelemetryRequest, v1::TelemetryAck>;

  void OpenSession();
  void OpenTelemetry();
  // Runs `task` now, or at Wake if the worker is stalled; drops it if the connection
  // of number `connection` is gone by then.
  void Deliver(int64_t connection, EventLoop::Task task);
  // Runs `task` at a time, as Deliver does.
  void At(absl::Time when, EventLoop::Task task);

  void OnDesired(const v1::DesiredState& desired);
  void OnAck(const v1::TelemetryAck& ack);
  void Apply(const v1::DesiredAttempt& wanted);
  void TakeChecks(const v1::DesiredState& desired);
  // Moves every attempt on and sends what there is to send.
  void Work();
  void WorkOn(SimAttempt& attempt, absl::Time now);
  void CommitAnswered(const absl::Status& status, const CommitDone& done);
  void StartCommit(const AttemptKey& key, SimAttempt& attempt);
  // An attempt is over here.
  void Ended();
  void SendState();
  void Beat();
  void SendTelemetry();
  v1::SessionRequest State() const;

  const FleetShared* const shared_;
  const SimWorkerOptions options_;
  std::string incarnation_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  std::shared_ptr<Session> session_;
  std::shared_ptr<Telemetry> telemetry_;
  // Grows when connections are opened or cut.
  int64_t connection_ = 0;
  bool wants_connection_ = false;
  bool answered_ = false;
  bool draining_ = false;
  bool stalled_ = false;
  std::deque<std::pair<int64_t, EventLoop::Task>> deferred_;

  // Of the newest state sent, and term and number of the newest one heard.
  int64_t sequence_ = 0;
  std::pair<int64_t, int64_t> heard_;
  absl::Duration heartbeat_ = absl::Seconds(2);
  absl::Duration reconnect_wait_;
  // The state has changed since it was sent.
  bool dirty_ = false;
  absl::Time sent_time_ = absl::InfinitePast();
  absl::Time work_time_ = absl::InfiniteFuture();
  std::map<AttemptKey, std::unique_ptr<SimAttempt>> attempts_;
  // Wanted attempts that a worker that was started again does not have.
  std::map<AttemptKey, v1::AttemptStatus> not_held_;
  std::map<std::string, v1::DataCheckResult> checks_;
  // Of the telemetry stream: the attempt that was served last.
  AttemptKey last_served_;
  // Jobs that need not hold any more; an empty name is all.
  std::map<std::string, bool> released_;
};

}  // namespace g2ll::sim

#endif  // TESTS_SIM_SIM_WORKER_H_
