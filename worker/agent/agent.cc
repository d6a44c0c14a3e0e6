#include "worker/agent/agent.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/log.h"
#include "proto/common/steady_time.h"
#include "worker/agent/backoff.h"
#include "worker/agent/proto_time.h"
#include "worker/agent/storage.h"

namespace g2ll::agent {
namespace {

// How long the end of the agent waits for acknowledgements and the last state.
constexpr absl::Duration kFlushTimeout = absl::Seconds(5);

std::string RandomIncarnation() {
  absl::BitGen random;
  return absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16),
                      absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
}

// Status of an attempt that the coordinator wants and this agent does not have.
v1::AttemptStatus NotHeld(const v1::DesiredAttempt& desired, const std::string& worker,
                          const std::string& reason) {
  v1::AttemptStatus status;
  status.set_job_uid(desired.job_uid());
  status.set_epoch(desired.epoch());
  status.set_phase(v1::ATTEMPT_PHASE_ENDED);
  if (desired.phase() == v1::ATTEMPT_PHASE_STOP || desired.phase() == v1::ATTEMPT_PHASE_KILL) {
    return status;
  }
  v1::Failure& failure = *status.mutable_failure();
  failure.set_class_(v1::Failure::WORKER_LOST);
  failure.set_rank(-1);
  failure.set_worker(worker);
  failure.set_message("worker " + worker + " " + reason);
  *status.mutable_failure_time() = ToProto(absl::Now());
  return status;
}

}  // namespace

Agent::Agent(const AgentSettings& settings, const Identity& identity,
             v1::WorkerService::StubInterface& stub, Hooks hooks)
    : settings_(settings),
      identity_(identity),
      incarnation_(RandomIncarnation()),
      hooks_(std::move(hooks)),
      stub_(stub),
      data_checker_(spawner_, settings_),
      slots_(settings.slots),
      last_contact_(Lease::Clock::now()),
      data_checks_(data_checker_, [this] { NotifyChange(); }),
      pusher_(outbox_, stub_),
      session_(std::make_unique<SessionClient>(settings.coordinator, stub_, lease_,
                                               static_cast<SessionHandler&>(*this))) {
  {
    absl::MutexLock lock(&session_mutex_);
    notified_ = session_.get();
  }
  // What changed while there was nobody to tell.
  NotifyChange();
}

Agent::~Agent() {
  {
    absl::MutexLock lock(&session_mutex_);
    notified_ = nullptr;
  }
  session_.reset();
  std::map<AttemptKey, std::unique_ptr<AttemptRunner>> attempts;
  std::vector<std::unique_ptr<AttemptRunner>> dying;
  {
    absl::MutexLock lock(&mutex_);
    attempts.swap(attempts_);
    dying.swap(dying_);
  }
  // All are killed before the first is waited for.
  for (const auto& [key, runner] : attempts) runner->Kill();
}

void Agent::NotifyChange() {
  absl::MutexLock lock(&session_mutex_);
  if (notified_ != nullptr) notified_->NotifyChange();
}

AttemptServices Agent::MakeServices() {
  return AttemptServices{.settings = settings_,
                         .incarnation = incarnation_,
                         .spawner = spawner_,
                         .data_checker = data_checker_,
                         .outbox = outbox_,
                         .slots = slots_,
                         .lease = lease_,
                         .term = term_,
                         .stub = stub_,
                         .on_change = [this] { NotifyChange(); }};
}

v1::Inventory Agent::MakeInventory() const {
  v1::Inventory inventory;
  inventory.set_slots(settings_.slots);
  inventory.set_device(settings_.device);
  inventory.set_cpus(settings_.cpus);
  inventory.set_pid(identity_.pid);
  inventory.set_http_address(identity_.http_address);
  inventory.set_advertise_host(settings_.advertise_host);
  inventory.set_version(identity_.version);
  const auto token = ReadStorageToken(settings_.storage_root);
  if (!token.ok()) {
    inventory.set_storage_error(std::string(token.status().message()));
    return inventory;
  }
  inventory.set_storage_token(*token);
  if (!wanted_token_.empty() && *token != wanted_token_) {
    inventory.set_storage_error("storage root " + settings_.storage_root +
                                " is not the coordinator's: its token file differs");
  }
  return inventory;
}

v1::SessionRequest Agent::State() {
  v1::SessionRequest state;
  state.set_worker(settings_.name);
  state.set_incarnation(incarnation_);
  for (v1::DataCheckResult& result : data_checks_.Results()) {
    *state.add_data_checks() = std::move(result);
  }
  absl::MutexLock lock(&mutex_);
  state.set_sequence(++state_sequence_);
  *state.mutable_inventory() = MakeInventory();
  for (const auto& [key, runner] : attempts_) *state.add_attempts() = runner->status();
  for (const auto& [key, status] : not_held_) *state.add_attempts() = status;
  state.set_draining(draining_);
  return state;
}

void Agent::OnDesired(const v1::DesiredState& desired) {
  bool first = false;
  {
    absl::MutexLock lock(&mutex_);
    // The word of a coordinator that was replaced no longer counts, nor an old word of this one.
    const int64_t term = desired.coordinator_term();
    const int64_t sequence = desired.sequence();
    if (term < term_ || (term == term_ && sequence != 0 && sequence <= desired_sequence_)) return;
    term_ = term;
    desired_sequence_ = sequence;
    last_contact_ = Lease::Clock::now();
    wanted_token_ = desired.storage_token();
    first = !std::exchange(registered_, true);
    KillUnwanted(desired);
    ApplyAttempts(desired);
  }
  data_checks_.SetWanted(desired.data_checks());
  if (first && hooks_.on_registered) hooks_.on_registered();
}

void Agent::KillUnwanted(const v1::DesiredState& desired) {
  std::set<AttemptKey> wanted;
  for (const auto& attempt : desired.attempts())
    wanted.insert({attempt.job_uid(), attempt.epoch()});
  std::erase_if(not_held_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  for (auto entry = attempts_.begin(); entry != attempts_.end();) {
    if (wanted.contains(entry->first)) {
      ++entry;
      continue;
    }
    if (!entry->second->finished()) {
      log::Warning("attempt is not wanted any more: killed",
                   {{"job_uid", entry->first.job_uid}, {"epoch", entry->first.epoch}});
    }
    entry->second->Kill();
    dying_.push_back(std::move(entry->second));
    entry = attempts_.erase(entry);
  }
}

void Agent::ApplyAttempts(const v1::DesiredState& desired) {
  for (const auto& attempt : desired.attempts()) {
    const AttemptKey key{attempt.job_uid(), attempt.epoch()};
    if (const auto found = attempts_.find(key); found != attempts_.end()) {
      found->second->SetDesired(attempt);
    } else if (attempt.phase() == v1::ATTEMPT_PHASE_PREPARE && !draining_ &&
               !not_held_.contains(key)) {
      log::Info("preparing attempt", {{"job", attempt.job()}, {"epoch", attempt.epoch()}});
      attempts_.emplace(key, std::make_unique<AttemptRunner>(MakeServices(), attempt));
    } else if (!not_held_.contains(key)) {
      // An agent that was started again holds nothing of what the one before it held.
      not_held_.emplace(
          key, NotHeld(attempt, settings_.name,
                       draining_ ? "is shutting down" : "was started again and lost the attempt"));
      NotifyChange();
    }
  }
}

void Agent::OnTick() {
  std::vector<std::unique_ptr<AttemptRunner>> gone;
  absl::MutexLock lock(&mutex_);
  // Their threads are about to end, so destroying them does not wait.
  const auto alive = std::partition(dying_.begin(), dying_.end(),
                                    [](const auto& runner) { return runner->finished(); });
  gone.assign(std::make_move_iterator(dying_.begin()), std::make_move_iterator(alive));
  dying_.erase(dying_.begin(), alive);

  const absl::Duration silence = absl::FromChrono(Lease::Clock::now() - last_contact_);
  if (attempts_.empty() || silence < settings_.orphan_timeout) return;
  log::Error("no coordinator for " + absl::FormatDuration(settings_.orphan_timeout) +
             ": attempts are killed");
  for (auto& [key, runner] : attempts_) {
    runner->Kill();
    dying_.push_back(std::move(runner));
  }
  attempts_.clear();
}

void Agent::OnRejected(const absl::Status& status) {
  if (hooks_.on_rejected) hooks_.on_rejected(status);
}

bool Agent::AllFinished() const {
  absl::MutexLock lock(&mutex_);
  return std::all_of(attempts_.begin(), attempts_.end(),
                     [](const auto& entry) { return entry.second->finished(); });
}

void Agent::Shutdown() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    for (const auto& [key, runner] : attempts_) runner->Shutdown();
  }
  NotifyChange();
  steady::Deadline deadline(settings_.stop_grace + settings_.term_grace + kFlushTimeout);
  bool flushing = false;
  while (!AllFinished() && !deadline.passed()) {
    if (!flushing && snapshot().ranks_running == 0) {
      flushing = true;
      deadline = steady::Deadline(std::min(deadline.left(), kFlushTimeout));
    }
    SleepFor(absl::Milliseconds(20), {});
  }
  if (session_->connected()) session_->FlushState(kFlushTimeout);
}

Agent::Snapshot Agent::snapshot() const {
  Snapshot snapshot;
  snapshot.slots = settings_.slots;
  snapshot.telemetry = outbox_.stats();
  snapshot.lease_age = lease_.Age(Lease::Clock::now());
  snapshot.connected = session_->connected();
  absl::MutexLock lock(&mutex_);
  snapshot.registered = registered_;
  for (const auto& [key, runner] : attempts_) {
    const v1::AttemptStatus status = runner->status();
    for (const auto& rank : status.ranks()) {
      if (!rank.exited()) ++snapshot.ranks_running;
    }
  }
  return snapshot;
}

}  // namespace g2ll::agent
