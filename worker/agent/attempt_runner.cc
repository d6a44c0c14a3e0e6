#include "worker/agent/attempt_runner.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "proto/common/address.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/agent/assignment.h"
#include "worker/agent/failure.h"
#include "worker/agent/proto_time.h"
#include "worker/agent/storage.h"

namespace g2ll::agent {
namespace {

v1::Failure MakeFailure(v1::Failure::Class failure_class, const std::string& message) {
  v1::Failure failure;
  failure.set_class_(failure_class);
  failure.set_rank(-1);
  failure.set_message(message);
  return failure;
}

trainer::v1::ToTrainer StopMessage() {
  trainer::v1::ToTrainer message;
  message.mutable_stop();
  return message;
}

}  // namespace

AttemptRunner::AttemptRunner(const AttemptServices& services, const v1::DesiredAttempt& desired)
    : services_(services), key_{desired.job_uid(), desired.epoch()}, desired_(desired) {
  status_.set_job_uid(desired.job_uid());
  status_.set_epoch(desired.epoch());
  status_.set_phase(v1::ATTEMPT_PHASE_PREPARE);
  services_.outbox.Open(key_);
  driver_ = std::jthread([this](std::stop_token kill) { Run(kill); });
}

AttemptRunner::~AttemptRunner() {
  Kill();
  driver_.join();
}

void AttemptRunner::SetDesired(const v1::DesiredAttempt& desired) {
  bool wants_stop = false;
  {
    absl::MutexLock lock(&mutex_);
    // Nothing comes back from a stop.
    if (desired_.phase() == v1::ATTEMPT_PHASE_STOP) return;
    desired_.set_phase(desired.phase());
    desired_.set_store_address(desired.store_address());
    wants_stop = WantsStop();
  }
  if (wants_stop) cancel_preparation_.request_stop();
}

void AttemptRunner::Shutdown() {
  {
    absl::MutexLock lock(&mutex_);
    shutting_down_ = true;
  }
  cancel_preparation_.request_stop();
}

void AttemptRunner::Kill() {
  driver_.request_stop();
  cancel_preparation_.request_stop();
  // Ends every wait for an acknowledgement.
  services_.outbox.Forget(key_);
}

v1::AttemptStatus AttemptRunner::status() const {
  absl::MutexLock lock(&mutex_);
  v1::AttemptStatus status = status_;
  for (const RankState& rank : ranks_) *status.add_ranks() = rank.status;
  return status;
}

bool AttemptRunner::finished() const {
  absl::MutexLock lock(&mutex_);
  return finished_;
}

void AttemptRunner::Run(std::stop_token kill) {
  const absl::Status prepared = Prepare(cancel_preparation_.get_token());
  if (!prepared.ok()) {
    RecordPreparationFailure(prepared);
  } else if (SetPhase(v1::ATTEMPT_PHASE_PREPARED); AwaitRun(kill)) {
    if (const absl::Status started = StartRanks(); !started.ok()) {
      absl::MutexLock lock(&mutex_);
      RecordFailure(MakeFailure(v1::Failure::UNKNOWN, std::string(started.message())));
    }
    AwaitEndOrStop(kill);
    StopRanks(kill);
  }
  Finish(kill);
}

absl::Status AttemptRunner::Prepare(std::stop_token stop) {
  if (const auto storage =
          CheckStorageWritable(services_.settings.storage_root, services_.settings.min_free_bytes);
      !storage.ok()) {
    absl::MutexLock lock(&mutex_);
    RecordFailure(MakeFailure(v1::Failure::STORAGE, std::string(storage.message())));
    return storage;
  }
  G2LL_RETURN_IF_ERROR(CheckData(stop));
  return StartStore(stop);
}

absl::Status AttemptRunner::CheckData(std::stop_token stop) {
  v1::DataCheck check;
  {
    absl::MutexLock lock(&mutex_);
    check = DataCheckOf(desired_.spec());
    status_.set_message("checking data " + check.source());
  }
  const auto result = services_.data_checker.Check(check, stop);
  absl::MutexLock lock(&mutex_);
  status_.clear_message();
  G2LL_RETURN_IF_ERROR(result.status());
  if (!result->ok()) {
    RecordFailure(MakeFailure(v1::Failure::DATA, result->message()));
    return absl::FailedPreconditionError(result->message());
  }
  status_.set_data_digest(result->digest());
  return absl::OkStatus();
}

absl::Status AttemptRunner::StartStore(std::stop_token stop) {
  {
    absl::MutexLock lock(&mutex_);
    if (!desired_.serves_store()) return absl::OkStatus();
  }
  G2LL_ASSIGN_OR_RETURN(store_, StoreProcess::Start(services_.spawner, services_.settings.trainer,
                                                    services_.settings.advertise_host,
                                                    services_.settings.store_timeout, stop));
  const net::HostPort address{services_.settings.advertise_host,
                              static_cast<uint16_t>(store_->port())};
  absl::MutexLock lock(&mutex_);
  status_.set_store_address(address.ToString());
  status_.set_store_pid(store_->pid());
  return absl::OkStatus();
}

bool AttemptRunner::AwaitRun(std::stop_token kill) {
  const std::stop_callback wake(kill, [this] { absl::MutexLock lock(&mutex_); });
  absl::MutexLock lock(&mutex_);
  const auto decided = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return kill.stop_requested() || WantsStop() || desired_.phase() == v1::ATTEMPT_PHASE_RUN;
  };
  mutex_.Await(absl::Condition(&decided));
  return !kill.stop_requested() && !WantsStop();
}

absl::Status AttemptRunner::StartRanks() {
  v1::DesiredAttempt desired;
  {
    absl::MutexLock lock(&mutex_);
    desired = desired_;
  }
  auto slots = services_.slots.Take(desired.ranks_size());
  if (!slots) {
    return absl::ResourceExhaustedError("worker " + services_.settings.name + " has fewer than " +
                                        std::to_string(desired.ranks_size()) + " free slots");
  }
  slots_ = *std::move(slots);
  committer_ = std::make_unique<CheckpointCommitter>(
      CheckpointCommitter::Identity{services_.settings.name, services_.incarnation}, key_,
      services_.outbox, services_.stub, services_.lease);
  for (int i = 0; i < desired.ranks_size(); ++i) {
    const int rank = desired.ranks(i);
    RankProcess::Launch launch{
        .trainer = services_.settings.trainer,
        .attempt = key_,
        .assignment =
            MakeAssignment(desired, rank, slots_[static_cast<size_t>(i)], services_.settings)};
    // Listed before it starts, because it may report at once.
    {
      absl::MutexLock lock(&mutex_);
      ranks_.emplace_back().status.set_rank(rank);
    }
    auto process = RankProcess::Start(services_.spawner, launch, services_.outbox, *this);
    absl::MutexLock lock(&mutex_);
    if (!process.ok()) {
      ranks_.pop_back();
      return process.status();
    }
    if (RankState* state = FindRank(rank); !state->status.exited()) {
      state->status.set_pid((*process)->pid());
    }
    processes_.push_back(*std::move(process));
  }
  for (const auto& process : processes_) {
    Say("info", "rank " + std::to_string(process->rank()) + " started on " +
                    services_.settings.name + " as process " + std::to_string(process->pid()));
  }
  {
    absl::MutexLock lock(&mutex_);
    if (status_.phase() == v1::ATTEMPT_PHASE_PREPARED) status_.set_phase(v1::ATTEMPT_PHASE_RUN);
  }
  services_.on_change();
  return absl::OkStatus();
}

void AttemptRunner::AwaitEndOrStop(std::stop_token kill) {
  const std::stop_callback wake(kill, [this] { absl::MutexLock lock(&mutex_); });
  absl::MutexLock lock(&mutex_);
  const auto decided = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return kill.stop_requested() || WantsStop() || fenced_ || status_.has_failure() || AllEnded();
  };
  mutex_.Await(absl::Condition(&decided));
}

void AttemptRunner::StopRanks(std::stop_token kill) {
  if (AwaitAllEnded(absl::ZeroDuration(), kill)) return;
  SetPhase(v1::ATTEMPT_PHASE_STOP);
  for (const auto& process : processes_) process->Send(StopMessage());
  if (!AwaitAllEnded(services_.settings.stop_grace, kill)) {
    if (!kill.stop_requested()) SignalRunning(SIGTERM);
    if (!AwaitAllEnded(services_.settings.term_grace, kill)) SignalRunning(SIGKILL);
  }
  AwaitAllEnded(absl::InfiniteDuration(), {});
}

void AttemptRunner::Finish(std::stop_token kill) {
  committer_.reset();
  processes_.clear();
  store_.reset();
  services_.slots.Return(slots_);
  std::string failure;
  {
    absl::MutexLock lock(&mutex_);
    const bool complete = !ranks_.empty() && std::all_of(ranks_.begin(), ranks_.end(), [](auto& r) {
      return r.status.signal() == 0 && r.status.exit_code() == 0;
    });
    if (shutting_down_ && !complete) {
      RecordFailure(MakeFailure(v1::Failure::WORKER_LOST,
                                "worker " + services_.settings.name + " was stopped"));
    }
    if (status_.has_failure()) failure = status_.failure().message();
  }
  if (!failure.empty()) Say("error", failure);
  // Before ENDED is told, everything that was reported is on the coordinator's disk.
  services_.outbox.WaitAcked(key_, services_.outbox.Marks(key_), kill).IgnoreError();
  {
    absl::MutexLock lock(&mutex_);
    status_.clear_store_address();
    status_.clear_store_pid();
    status_.set_phase(v1::ATTEMPT_PHASE_ENDED);
    finished_ = true;
  }
  services_.on_change();
}

bool AttemptRunner::AwaitAllEnded(absl::Duration timeout, std::stop_token kill) {
  const std::stop_callback wake(kill, [this] { absl::MutexLock lock(&mutex_); });
  absl::MutexLock lock(&mutex_);
  const auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return kill.stop_requested() || AllEnded();
  };
  mutex_.AwaitWithTimeout(absl::Condition(&done), timeout);
  return AllEnded();
}

bool AttemptRunner::AllEnded() const {
  return std::all_of(ranks_.begin(), ranks_.end(),
                     [](const RankState& rank) { return rank.status.exited(); });
}

bool AttemptRunner::WantsStop() const {
  return shutting_down_ || desired_.phase() == v1::ATTEMPT_PHASE_STOP;
}

void AttemptRunner::SignalRunning(int signal) {
  {
    absl::MutexLock lock(&mutex_);
    for (RankState& rank : ranks_) {
      if (!rank.status.exited()) rank.signalled = true;
    }
  }
  for (const auto& process : processes_) process->Signal(signal);
}

void AttemptRunner::SetPhase(v1::AttemptPhase phase) {
  {
    absl::MutexLock lock(&mutex_);
    status_.set_phase(phase);
  }
  services_.on_change();
}

void AttemptRunner::RecordFailure(v1::Failure failure) {
  if (status_.has_failure() && !IsBetterCause(failure, status_.failure())) return;
  failure.set_worker(services_.settings.name);
  if (!status_.has_failure()) *status_.mutable_failure_time() = ToProto(absl::Now());
  *status_.mutable_failure() = std::move(failure);
}

void AttemptRunner::RecordPreparationFailure(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  // A stop is no failure, and what the checks recorded says more.
  if (absl::IsCancelled(status) || status_.has_failure()) return;
  RecordFailure(MakeFailure(v1::Failure::UNKNOWN, std::string(status.message())));
}

void AttemptRunner::Say(const std::string& level, const std::string& message) {
  v1::TelemetryItem item;
  *item.mutable_time() = ToProto(absl::Now());
  item.mutable_log()->set_level(level);
  item.mutable_log()->set_message(log::EscapeControl(message.substr(0, kMaxLogLineBytes / 4)));
  services_.outbox.AppendNow(key_, kAgentRank, std::move(item));
}

AttemptRunner::RankState* AttemptRunner::FindRank(int rank) {
  const auto found = std::find_if(ranks_.begin(), ranks_.end(), [rank](const RankState& state) {
    return state.status.rank() == rank;
  });
  return found == ranks_.end() ? nullptr : &*found;
}

void AttemptRunner::OnJoined(int rank) {
  {
    absl::MutexLock lock(&mutex_);
    FindRank(rank)->status.set_joined(true);
    const bool all = static_cast<int>(ranks_.size()) == desired_.ranks_size() &&
                     std::all_of(ranks_.begin(), ranks_.end(),
                                 [](const RankState& state) { return state.status.joined(); });
    if (all && status_.phase() <= v1::ATTEMPT_PHASE_RUN) {
      status_.set_phase(v1::ATTEMPT_PHASE_TRAINING);
    }
  }
  services_.on_change();
}

void AttemptRunner::OnProgress(int rank, const v1::Progress& progress) {
  if (rank != 0) return;
  {
    absl::MutexLock lock(&mutex_);
    *status_.mutable_progress() = progress;
  }
  services_.on_change();
}

void AttemptRunner::OnCheckpoint(int rank, const trainer::v1::CheckpointWritten& checkpoint) {
  committer_->Submit(checkpoint, [this, rank](const trainer::v1::CheckpointVerdict& verdict) {
    OnVerdict(rank, verdict);
  });
}

void AttemptRunner::OnVerdict(int rank, const trainer::v1::CheckpointVerdict& verdict) {
  trainer::v1::ToTrainer message;
  *message.mutable_checkpoint() = verdict;
  RankProcess* receiver = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& process : processes_) {
      if (process->rank() == rank) receiver = process.get();
    }
    fenced_ = fenced_ || verdict.fenced();
  }
  // Processes are removed only after the committer, whose thread this is, has ended.
  if (receiver != nullptr) receiver->Send(message);
}

void AttemptRunner::OnReport(int rank, const std::string& path) {
  if (rank != 0) return;
  absl::MutexLock lock(&mutex_);
  status_.set_report_path(path);
}

void AttemptRunner::OnEnded(const RankEnd& end) {
  {
    absl::MutexLock lock(&mutex_);
    RankState& rank = *FindRank(end.rank);
    rank.status.set_pid(0);
    rank.status.set_exited(true);
    rank.status.set_exit_code(end.status.exit_code);
    rank.status.set_signal(end.status.signal);
    const auto failure = ClassifyEnd(end);
    // A rank that we ended, or that lost the peers that we ended, is no cause.
    const bool echo =
        rank.signalled || (WantsStop() && failure && failure->class_() == v1::Failure::COLLECTIVE);
    if (failure && !echo) RecordFailure(*failure);
  }
  services_.on_change();
}

}  // namespace g2ll::agent
