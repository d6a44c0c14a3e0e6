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
#include "worker/agent/oom_kills.h"
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

trainer::v1::ToTrainer DrainMessage(absl::Duration time_left) {
  trainer::v1::ToTrainer message;
  message.mutable_stop()->set_checkpoint(true);
  *message.mutable_stop()->mutable_time_left() = ToProto(time_left);
  return message;
}

// How urgently an attempt should end; 0: it should go on.
int Urgency(v1::AttemptPhase wanted) {
  switch (wanted) {
    case v1::ATTEMPT_PHASE_DRAIN:
      return 1;
    case v1::ATTEMPT_PHASE_STOP:
      return 2;
    case v1::ATTEMPT_PHASE_KILL:
      return 3;
    default:
      return 0;
  }
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
  bool wants_end = false;
  {
    absl::MutexLock lock(&mutex_);
    if (Urgency(desired.phase()) < Urgency(desired_.phase())) return;
    if (desired.phase() == v1::ATTEMPT_PHASE_DRAIN) {
      // A message that was late says more than is left.
      const steady::Deadline end(FromProto(desired.drain_time()));
      if (!drain_end_ || end.left() < drain_end_->left()) drain_end_ = end;
    }
    desired_.set_phase(desired.phase());
    desired_.set_store_address(desired.store_address());
    wants_end = WantsEnd();
    changed_.NotifyAll();
  }
  if (wants_end) cancel_preparation_.request_stop();
}

void AttemptRunner::Shutdown() {
  {
    absl::MutexLock lock(&mutex_);
    shutting_down_ = true;
    changed_.NotifyAll();
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
    const bool told = DrainRanks(kill);
    StopRanks(told, kill);
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
    return kill.stop_requested() || WantsEnd() || desired_.phase() == v1::ATTEMPT_PHASE_RUN;
  };
  mutex_.Await(absl::Condition(&decided));
  return !kill.stop_requested() && !WantsEnd();
}

absl::Status AttemptRunner::StartRanks() {
  v1::DesiredAttempt desired;
  {
    absl::MutexLock lock(&mutex_);
    desired = desired_;
    oom_kills_ = CountOomKills();
  }
  auto slots = services_.slots.Take(desired.ranks_size());
  if (!slots) {
    return absl::ResourceExhaustedError("worker " + services_.settings.name + " has fewer than " +
                                        std::to_string(desired.ranks_size()) + " free slots");
  }
  slots_ = *std::move(slots);
  committer_ = std::make_unique<CheckpointCommitter>(
      CheckpointCommitter::Identity{services_.settings.name, services_.incarnation, services_.term},
      key_, services_.outbox, services_.stub, services_.lease);
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
    return kill.stop_requested() || WantsEnd() || fenced_ || status_.has_failure() || AllEnded();
  };
  mutex_.Await(absl::Condition(&decided));
}

bool AttemptRunner::DrainRanks(std::stop_token kill) {
  std::optional<steady::Deadline> end;
  {
    absl::MutexLock lock(&mutex_);
    if (shutting_down_ || desired_.phase() != v1::ATTEMPT_PHASE_DRAIN || AllEnded()) return false;
    end = drain_end_;
    status_.set_phase(v1::ATTEMPT_PHASE_STOP);
  }
  services_.on_change();
  Say("info", "ranks on " + services_.settings.name + " are asked to end at a checkpoint within " +
                  absl::FormatDuration(absl::Trunc(end->left(), absl::Seconds(1))));
  Tell(DrainMessage(end->left()));
  const std::stop_callback wake(kill, [this] {
    absl::MutexLock lock(&mutex_);
    changed_.NotifyAll();
  });
  absl::MutexLock lock(&mutex_);
  changed_.AwaitFor(mutex_, end->left(), [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return kill.stop_requested() || shutting_down_ || fenced_ || status_.has_failure() ||
           desired_.phase() != v1::ATTEMPT_PHASE_DRAIN || AllEnded();
  });
  return true;
}

void AttemptRunner::StopRanks(bool told, std::stop_token kill) {
  if (AwaitAllEnded(absl::ZeroDuration(), kill)) return;
  SetPhase(v1::ATTEMPT_PHASE_STOP);
  if (!told) {
    Tell(StopMessage());
    AwaitAllEnded(services_.settings.stop_grace, kill);
  }
  bool at_once = kill.stop_requested();
  {
    absl::MutexLock lock(&mutex_);
    at_once = at_once || WantsKill();
  }
  if (!at_once) SignalRunning(SIGTERM);
  if (!AwaitAllEnded(services_.settings.term_grace, kill)) SignalRunning(SIGKILL);
  absl::MutexLock lock(&mutex_);
  const auto ended = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return AllEnded(); };
  mutex_.Await(absl::Condition(&ended));
}

void AttemptRunner::Tell(const trainer::v1::ToTrainer& message) {
  for (const auto& process : processes_) process->Send(message);
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
  const std::stop_callback wake(kill, [this] {
    absl::MutexLock lock(&mutex_);
    changed_.NotifyAll();
  });
  absl::MutexLock lock(&mutex_);
  changed_.AwaitFor(mutex_, timeout, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return kill.stop_requested() || WantsKill() || AllEnded();
  });
  return AllEnded();
}

bool AttemptRunner::AllEnded() const {
  return std::all_of(ranks_.begin(), ranks_.end(),
                     [](const RankState& rank) { return rank.status.exited(); });
}

bool AttemptRunner::WantsEnd() const { return shutting_down_ || Urgency(desired_.phase()) > 0; }

bool AttemptRunner::WantsKill() const { return desired_.phase() == v1::ATTEMPT_PHASE_KILL; }

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
  {
    absl::MutexLock lock(&mutex_);
    if (progress_rank_ && *progress_rank_ < rank) return;
    progress_rank_ = rank;
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
    changed_.NotifyAll();
  }
  // Processes are removed only after the committer, whose thread this is, has ended.
  if (receiver != nullptr) receiver->Send(message);
}

void AttemptRunner::OnReport(int rank, const std::string& path) {
  if (rank != 0) return;
  absl::MutexLock lock(&mutex_);
  status_.set_report_path(path);
}

void AttemptRunner::OnEnded(const RankEnd& ended) {
  RankEnd end = ended;
  const std::optional<int64_t> oom_kills = CountOomKills();
  {
    absl::MutexLock lock(&mutex_);
    end.out_of_memory = oom_kills && oom_kills_ && *oom_kills > *oom_kills_;
    RankState& rank = *FindRank(end.rank);
    rank.status.set_pid(0);
    rank.status.set_exited(true);
    rank.status.set_exit_code(end.status.exit_code);
    rank.status.set_signal(end.status.signal);
    const auto failure = ClassifyEnd(end);
    // A rank that we ended, or that lost the peers that we ended, is no cause.
    const bool echo =
        rank.signalled || (WantsEnd() && failure && failure->class_() == v1::Failure::COLLECTIVE);
    if (failure && !echo) RecordFailure(*failure);
    changed_.NotifyAll();
  }
  services_.on_change();
}

}  // namespace g2ll::agent
