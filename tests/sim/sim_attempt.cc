#include "tests/sim/sim_attempt.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/checkpoint_files.h"

namespace g2ll::sim {
namespace {

// A trainer waits when so many of its reports are not acknowledged.
constexpr size_t kMostPending = 4096;
// Exit codes from here on stand for signals, as a shell shows them.
constexpr int kFirstSignal = 128;

void SetTime(absl::Time time, google::protobuf::Timestamp* proto) {
  const int64_t nanos = absl::ToUnixNanos(time);
  proto->set_seconds(nanos / 1'000'000'000);
  proto->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

}  // namespace

std::string PointName(int32_t index) { return index == 0 ? "loss" : absl::StrCat("m", index); }

double PointValue(int32_t index, int64_t step) {
  return index + 1.0 / static_cast<double>(std::max<int64_t>(1, step));
}

SimAttempt::SimAttempt(v1::DesiredAttempt wanted, AttemptScript script)
    : wanted_(std::move(wanted)), script_(script) {
  last_commit_step_ = first_step_ = step_ = StepOfCheckpoint(wanted_.resume_path());
}

bool SimAttempt::SetWanted(const v1::DesiredAttempt& wanted, absl::Time now) {
  wanted_ = wanted;
  if (is_over()) {
    return false;
  }
  if (wanted.phase() == v1::ATTEMPT_PHASE_RUN && phase_ == v1::ATTEMPT_PHASE_PREPARED) {
    phase_ = v1::ATTEMPT_PHASE_TRAINING;
    training_since_ = now;
    return true;
  }
  if (wanted.phase() == v1::ATTEMPT_PHASE_DRAIN) {
    return Drain();
  }
  if (wanted.phase() == v1::ATTEMPT_PHASE_STOP || wanted.phase() == v1::ATTEMPT_PHASE_KILL) {
    killed_ = true;
    phase_ = v1::ATTEMPT_PHASE_STOP;
    return true;
  }
  return false;
}

// True if the attempt is over by that.
bool SimAttempt::Drain() {
  if (std::exchange(draining_, true)) {
    return false;
  }
  if (!training()) {
    Finish(kExitDrained);
    return true;
  }
  if (has_rank_zero() && !evaluates() && commit_step_ == 0 && step_ > last_commit_step_) {
    commit_step_ = step_;
  }
  return false;
}

absl::Time SimAttempt::DueTime(int64_t step) const {
  return training_since_ + script_.step_time * (step - first_step_);
}

bool SimAttempt::IsCheckpointStep(int64_t step) const {
  return step == script_.steps ||
         (script_.checkpoint_every > 0 && step % script_.checkpoint_every == 0);
}

void SimAttempt::Advance(absl::Time now) {
  if (phase_ == v1::ATTEMPT_PHASE_STOP && outbox_.pending() == 0) {
    phase_ = v1::ATTEMPT_PHASE_ENDED;
  }
  if (now < next_report_) {
    return;
  }
  const int64_t before = step_;
  while (training() && has_rank_zero() && !draining_ && commit_step_ == 0 &&
         step_ < script_.steps && outbox_.pending() < kMostPending && DueTime(step_ + 1) <= now) {
    Report(++step_, now);
    if (!evaluates() && IsCheckpointStep(step_)) {
      commit_step_ = step_;
    }
  }
  if (step_ > before) {
    next_report_ = now + script_.report_every;
  }
}

absl::Time SimAttempt::next_step_time() const {
  const bool waits = !training() || !has_rank_zero() || draining_ || commit_step_ != 0 ||
                     step_ >= script_.steps || outbox_.pending() >= kMostPending;
  return waits ? absl::InfiniteFuture() : std::max(DueTime(step_ + 1), next_report_);
}

void SimAttempt::Report(int64_t step, absl::Time now) {
  for (int32_t i = 0; i < script_.points_per_step; ++i) {
    v1::TelemetryItem item;
    SetTime(now, item.mutable_time());
    item.mutable_metric()->set_name(PointName(i));
    item.mutable_metric()->set_value(PointValue(i, step));
    item.mutable_metric()->set_step(step);
    outbox_.Add(std::move(item));
  }
  for (int32_t i = 0; i < script_.lines_per_step; ++i) {
    v1::TelemetryItem item;
    SetTime(now, item.mutable_time());
    item.mutable_log()->set_level("info");
    item.mutable_log()->set_message(absl::StrCat("line ", i, " of step ", step));
    outbox_.Add(std::move(item));
  }
}

bool SimAttempt::wants_commit() const {
  return training() && commit_step_ != 0 && !committing_ && outbox_.pending() == 0;
}

void SimAttempt::CommitEnded(bool committed) {
  committing_ = false;
  if (committed) {
    last_commit_step_ = commit_step_;
    commit_step_ = 0;
  }
}

bool SimAttempt::is_finished() const {
  const bool through = step_ >= script_.steps && (!script_.hold || released_);
  return training() && has_rank_zero() && commit_step_ == 0 && outbox_.pending() == 0 &&
         (through || draining_);
}

void SimAttempt::Finish(int exit_code) {
  if (!is_over()) {
    exit_code_ = exit_code;
    phase_ = v1::ATTEMPT_PHASE_ENDED;
  }
}

void SimAttempt::FailRank(int32_t rank, int exit_code) {
  if (is_over()) {
    return;
  }
  failed_rank_ = rank;
  exit_code_ = exit_code;
  killed_ = true;
  phase_ = v1::ATTEMPT_PHASE_STOP;
}

v1::AttemptStatus SimAttempt::Status() const {
  v1::AttemptStatus status;
  status.set_job_uid(wanted_.job_uid());
  status.set_epoch(wanted_.epoch());
  status.set_phase(phase_);
  status.set_data_digest("simulated");
  if (wanted_.serves_store() && !ended()) {
    status.set_store_address("127.0.0.1:1");
    status.set_store_pid(1);
  }
  for (const int32_t number : wanted_.ranks()) {
    v1::RankStatus* rank = status.add_ranks();
    rank->set_rank(number);
    rank->set_joined(training_since_ != absl::InfinitePast());
    rank->set_exited(ended());
    rank->set_pid(training() ? 1 : 0);
    if (failed_rank_ == number) {
      rank->set_exited(true);
      rank->set_exit_code(exit_code_ < kFirstSignal ? exit_code_ : 0);
      rank->set_signal(exit_code_ < kFirstSignal ? 0 : exit_code_ - kFirstSignal);
    } else if (ended() && killed_) {
      rank->set_signal(SIGKILL);
    } else if (ended()) {
      rank->set_exit_code(exit_code_);
    }
  }
  if (has_rank_zero() && step_ > 0) {
    status.mutable_progress()->set_step(step_);
    status.mutable_progress()->set_total_steps(script_.steps);
  }
  status.set_report_path(report_path_);
  return status;
}

}  // namespace g2ll::sim
