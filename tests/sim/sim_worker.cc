#include "tests/sim/sim_worker.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"
#include "server/storage/sha256.h"
#include "tests/sim/checkpoint_files.h"

namespace g2ll::sim {
namespace {

constexpr int kBatchItems = 1000;
constexpr absl::Duration kFirstReconnect = absl::Milliseconds(50);
constexpr absl::Duration kLongestReconnect = absl::Seconds(1);
// Steps that are due within this time are taken together.
constexpr absl::Duration kWorkEvery = absl::Milliseconds(10);

std::unique_ptr<v1::WorkerService::Stub> MakeStub(const std::string& address) {
  grpc::ChannelArguments arguments;
  // A connection of its own, as every worker has.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return v1::WorkerService::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace

SimWorker::SimWorker(const FleetShared* shared, SimWorkerOptions options)
    : shared_(shared),
      options_(std::move(options)),
      incarnation_(storage::RandomHex(8)),
      stub_(MakeStub(shared->address)),
      reconnect_wait_(kFirstReconnect) {}

void SimWorker::Deliver(int64_t connection, EventLoop::Task task) {
  if (connection != connection_) {
    return;
  }
  if (stalled_) {
    deferred_.emplace_back(connection, std::move(task));
  } else {
    task();
  }
}

void SimWorker::At(absl::Time when, EventLoop::Task task) {
  shared_->loop->PostAt(
      when, [weak = weak_from_this(), connection = connection_, task = std::move(task)] {
        if (const auto self = weak.lock()) {
          self->Deliver(connection, task);
        }
      });
}

void SimWorker::Connect() {
  if (wants_connection_) {
    return;
  }
  wants_connection_ = true;
  ++connection_;
  OpenSession();
  OpenTelemetry();
  Beat();
}

void SimWorker::Disconnect() {
  wants_connection_ = false;
  stalled_ = false;
  deferred_.clear();
  ++connection_;
  if (answered_) {
    answered_ = false;
    shared_->count([](FleetCounts& counts) { --counts.connected; });
  }
  if (session_ != nullptr) {
    std::exchange(session_, nullptr)->Cancel();
  }
  if (telemetry_ != nullptr) {
    std::exchange(telemetry_, nullptr)->Cancel();
  }
}

void SimWorker::Die() {
  Disconnect();
  attempts_.clear();
  not_held_.clear();
  checks_.clear();
  draining_ = false;
}

void SimWorker::Restart() {
  Die();
  incarnation_ = storage::RandomHex(8);
  Connect();
}

void SimWorker::Wake() {
  stalled_ = false;
  for (auto& [connection, task] : std::exchange(deferred_, {})) {
    Deliver(connection, std::move(task));
  }
}

void SimWorker::Drain() {
  draining_ = true;
  dirty_ = true;
  SendState();
}

void SimWorker::OpenSession() {
  shared_->count([](FleetCounts& counts) { ++counts.sessions; });
  const auto deliver = [weak = weak_from_this(), connection = connection_](EventLoop::Task task) {
    if (const auto self = weak.lock()) {
      self->Deliver(connection, std::move(task));
    }
  };
  Session::Events events;
  events.on_read = [this, deliver](v1::DesiredState desired) {
    deliver([this, desired = std::move(desired)] {
      OnDesired(desired);
      if (session_ != nullptr) {
        session_->Read();
      }
    });
  };
  events.on_written = [this, deliver] { deliver([this] { SendState(); }); };
  events.on_closed = [this, deliver](const absl::Status& status) {
    deliver([this, status] {
      session_ = nullptr;
      if (answered_) {
        answered_ = false;
        shared_->count([](FleetCounts& counts) { --counts.connected; });
      }
      if (net::ReasonOf(status) == "SUPERSEDED") {
        return Disconnect();  // A newer incarnation has taken the name.
      }
      At(absl::Now() + reconnect_wait_, [this] { OpenSession(); });
      reconnect_wait_ = std::min(2 * reconnect_wait_, kLongestReconnect);
    });
  };
  session_ = Session::Open(shared_->loop, std::move(events), [this](auto* context, auto* reactor) {
    stub_->async()->Session(context, reactor);
  });
  dirty_ = true;
  SendState();
}

void SimWorker::OpenTelemetry() {
  for (auto& [key, attempt] : attempts_) {
    attempt->outbox().Rewind();
  }
  const auto deliver = [weak = weak_from_this(), connection = connection_](EventLoop::Task task) {
    if (const auto self = weak.lock()) {
      self->Deliver(connection, std::move(task));
    }
  };
  Telemetry::Events events;
  events.on_read = [this, deliver](v1::TelemetryAck ack) {
    deliver([this, ack = std::move(ack)] {
      OnAck(ack);
      if (telemetry_ != nullptr) {
        telemetry_->Read();
      }
    });
  };
  events.on_written = [this, deliver] { deliver([this] { SendTelemetry(); }); };
  events.on_closed = [this, deliver](const absl::Status&) {
    deliver([this] {
      telemetry_ = nullptr;
      At(absl::Now() + reconnect_wait_, [this] { OpenTelemetry(); });
    });
  };
  telemetry_ = Telemetry::Open(
      shared_->loop, std::move(events),
      [this](auto* context, auto* reactor) { stub_->async()->PushTelemetry(context, reactor); });
  SendTelemetry();
}

void SimWorker::OnDesired(const v1::DesiredState& desired) {
  const std::pair number(desired.coordinator_term(), desired.sequence());
  if (number.first < heard_.first || (desired.sequence() != 0 && number <= heard_)) {
    return;  // The word of a coordinator that was replaced, or one that was overtaken.
  }
  heard_ = number;
  reconnect_wait_ = kFirstReconnect;
  if (const absl::Duration heartbeat = FromProto(desired.heartbeat_interval());
      heartbeat > absl::ZeroDuration()) {
    heartbeat_ = heartbeat;
  }
  if (!std::exchange(answered_, true)) {
    shared_->count([](FleetCounts& counts) { ++counts.connected; });
  }
  std::set<AttemptKey> wanted;
  for (const v1::DesiredAttempt& attempt : desired.attempts()) {
    wanted.insert({attempt.job_uid(), attempt.epoch()});
  }
  const auto unwanted = [&](const auto& entry) { return !wanted.contains(entry.first); };
  std::erase_if(attempts_, unwanted);
  std::erase_if(not_held_, unwanted);
  for (const v1::DesiredAttempt& attempt : desired.attempts()) {
    Apply(attempt);
  }
  TakeChecks(desired);
  Work();
}

void SimWorker::Apply(const v1::DesiredAttempt& wanted) {
  const AttemptKey key(wanted.job_uid(), wanted.epoch());
  if (const auto held = attempts_.find(key); held != attempts_.end()) {
    dirty_ |= held->second->SetWanted(wanted, absl::Now());
    return;
  }
  if (not_held_.contains(key)) {
    return;
  }
  dirty_ = true;
  if (wanted.phase() == v1::ATTEMPT_PHASE_PREPARE && !draining_) {
    auto attempt = std::make_unique<SimAttempt>(wanted, shared_->script(wanted));
    if (released_.contains("") || released_.contains(wanted.job())) {
      attempt->Release();
    }
    attempts_.emplace(key, std::move(attempt));
    shared_->count([](FleetCounts& counts) { ++counts.attempts_started; });
    return;
  }
  v1::AttemptStatus status;
  status.set_job_uid(wanted.job_uid());
  status.set_epoch(wanted.epoch());
  status.set_phase(v1::ATTEMPT_PHASE_ENDED);
  if (wanted.phase() != v1::ATTEMPT_PHASE_STOP) {
    status.mutable_failure()->set_class_(v1::Failure::WORKER_LOST);
    status.mutable_failure()->set_rank(-1);
    status.mutable_failure()->set_worker(options_.name);
    status.mutable_failure()->set_message("the worker was started again and lost the attempt");
  }
  not_held_.emplace(key, std::move(status));
}

void SimWorker::TakeChecks(const v1::DesiredState& desired) {
  std::map<std::string, v1::DataCheckResult> results;
  for (const v1::DataCheck& check : desired.data_checks()) {
    const auto known = checks_.find(check.id());
    if (known != checks_.end()) {
      results.insert(*known);
      continue;
    }
    v1::DataCheckResult result = shared_->check_data(check);
    result.set_id(check.id());
    results.emplace(check.id(), std::move(result));
    dirty_ = true;
  }
  checks_ = std::move(results);
}

void SimWorker::OnAck(const v1::TelemetryAck& ack) {
  const auto found = attempts_.find({ack.job_uid(), ack.epoch()});
  if (found == attempts_.end()) {
    return;
  }
  Outbox& outbox = found->second->outbox();
  const int64_t before = outbox.acknowledged();
  outbox.Acknowledge(ack.local_seq());
  const int64_t grown = outbox.acknowledged() - before;
  shared_->count([&](FleetCounts& counts) { counts.items_acknowledged += grown; });
  Work();
}

void SimWorker::Work() {
  const absl::Time now = absl::Now();
  absl::Time next = absl::InfiniteFuture();
  std::map<AttemptKey, int> finished;
  for (auto& [key, attempt] : attempts_) {
    WorkOn(*attempt, now);
    next = std::min(next, attempt->next_step_time());
    if (attempt->is_finished()) {
      finished.emplace(key, attempt->exit_code());
    }
  }
  for (const auto& [key, exit_code] : finished) {
    shared_->attempt_finished(key, exit_code);
  }
  SendTelemetry();
  SendState();
  if (next < work_time_ && next != absl::InfiniteFuture()) {
    work_time_ = std::max(next, now + kWorkEvery);
    At(work_time_, [this] {
      work_time_ = absl::InfiniteFuture();
      Work();
    });
  }
}

void SimWorker::WorkOn(SimAttempt& attempt, absl::Time now) {
  const int64_t before = attempt.outbox().last_seq();
  const bool had_ended = attempt.ended();
  attempt.Advance(now);
  if (attempt.ended() && !had_ended) {
    Ended();
  }
  const int64_t made = attempt.outbox().last_seq() - before;
  if (made > 0) {
    shared_->count([&](FleetCounts& counts) { counts.items_made += made; });
  }
  if (attempt.wants_commit()) {
    StartCommit({attempt.wanted().job_uid(), attempt.wanted().epoch()}, attempt);
  }
}

void SimWorker::FailRank(const std::string& job, int32_t rank, int exit_code) {
  for (auto& [key, attempt] : attempts_) {
    const auto& ranks = attempt->wanted().ranks();
    if (attempt->wanted().job() == job && !attempt->is_over() &&
        std::find(ranks.begin(), ranks.end(), rank) != ranks.end()) {
      attempt->FailRank(rank, exit_code);
      dirty_ = true;
    }
  }
  Work();
}

void SimWorker::Release(const std::string& job) {
  released_[job] = true;
  for (auto& [key, attempt] : attempts_) {
    if (job.empty() || attempt->wanted().job() == job) {
      attempt->Release();
    }
  }
  Work();
}

void SimWorker::Finish(const AttemptKey& key, int exit_code) {
  const auto found = attempts_.find(key);
  if (found == attempts_.end() || found->second->is_over()) {
    return;
  }
  SimAttempt& attempt = *found->second;
  if (attempt.evaluates() && attempt.has_rank_zero() && exit_code == 0) {
    attempt.set_report_path(WriteReport(shared_->storage_root, key.first, key.second));
  }
  attempt.Finish(exit_code);
  Ended();
  SendState();
}

void SimWorker::Ended() {
  dirty_ = true;
  shared_->count([](FleetCounts& counts) { ++counts.attempts_ended; });
}

v1::SessionRequest SimWorker::State() const {
  v1::SessionRequest state;
  state.set_worker(options_.name);
  state.set_incarnation(incarnation_);
  state.set_sequence(sequence_);
  v1::Inventory* inventory = state.mutable_inventory();
  inventory->set_slots(options_.slots);
  inventory->set_device(options_.device);
  inventory->set_cpus(options_.slots);
  inventory->set_pid(1);
  inventory->set_advertise_host("127.0.0.1");
  inventory->set_version("sim");
  inventory->set_storage_token(shared_->storage_token);
  for (const auto& [key, attempt] : attempts_) {
    *state.add_attempts() = attempt->Status();
  }
  for (const auto& [key, status] : not_held_) {
    *state.add_attempts() = status;
  }
  for (const auto& [id, result] : checks_) {
    *state.add_data_checks() = result;
  }
  state.set_draining(draining_);
  return state;
}

// Sends the state if it has changed or a heartbeat is due.
void SimWorker::SendState() {
  if (session_ == nullptr || !session_->can_write() || stalled_) {
    return;
  }
  const absl::Time now = absl::Now();
  if (!dirty_ && now - sent_time_ < heartbeat_) {
    return;
  }
  dirty_ = false;
  sent_time_ = now;
  ++sequence_;
  session_->Write(State());
  shared_->count([](FleetCounts& counts) { ++counts.states; });
}

// Sends the state at every heartbeat, for as long as the worker wants to be connected.
void SimWorker::Beat() {
  SendState();
  const absl::Time now = absl::Now();
  const absl::Time next = sent_time_ + heartbeat_;
  At(next > now ? next : now + heartbeat_ / 4, [this] { Beat(); });
}

// Sends one batch of one attempt; attempts take turns.
void SimWorker::SendTelemetry() {
  if (telemetry_ == nullptr || !telemetry_->can_write() || stalled_ || attempts_.empty()) {
    return;
  }
  auto position = attempts_.upper_bound(last_served_);
  for (size_t i = 0; i < attempts_.size(); ++i, ++position) {
    if (position == attempts_.end()) {
      position = attempts_.begin();
    }
    const auto& [key, attempt] = *position;
    if (attempt->outbox().has_unsent()) {
      v1::PushTelemetryRequest batch;
      batch.set_job_uid(key.first);
      batch.set_epoch(key.second);
      batch.set_rank(0);
      attempt->outbox().Take(kBatchItems, &batch);
      last_served_ = key;
      telemetry_->Write(std::move(batch));
      return;
    }
  }
}

}  // namespace g2ll::sim
