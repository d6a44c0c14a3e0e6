#ifndef TESTS_SIM_SIM_ATTEMPT_H_
#define TESTS_SIM_SIM_ATTEMPT_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "g2ll/v1/worker.pb.h"
#include "tests/sim/outbox.h"
#include "tests/sim/script.h"

namespace g2ll::sim {

// The ranks of one attempt on one simulated worker. Knows nothing of connections.
// Used by one thread.
class SimAttempt {
 public:
  SimAttempt(v1::DesiredAttempt wanted, AttemptScript script);

  // Takes what the coordinator wants now. True if the reported state changes.
  bool SetWanted(const v1::DesiredAttempt& wanted, absl::Time now);
  // Takes the steps that are due and puts their reports into the outbox; ends an attempt
  // that stops and whose reports are all acknowledged.
  void Advance(absl::Time now);
  // When Advance has something to do again; the far future if only an
  // acknowledgement, a commit or a release can change anything.
  absl::Time next_step_time() const;

  // A checkpoint that has to be committed now: all reported before it is acknowledged.
  bool wants_commit() const;
  int64_t commit_step() const { return commit_step_; }
  void CommitStarted() { committing_ = true; }
  // The commit has succeeded, or has to be tried again.
  void CommitEnded(bool committed);

  // The script is through, or the attempt drains and its checkpoint is committed.
  bool is_finished() const;
  // Code with which every rank ends then.
  int exit_code() const { return draining_ ? kExitDrained : 0; }
  // All ranks end with a code by themselves.
  void Finish(int exit_code);
  void Release() { released_ = true; }
  // Ends one rank of this worker with a code, 128 + signal for a signal, and then the
  // worker's part of the attempt.
  void FailRank(int32_t rank, int exit_code);

  v1::AttemptStatus Status() const;
  bool has_rank_zero() const { return wanted_.ranks_size() > 0 && wanted_.ranks(0) == 0; }
  bool training() const { return phase_ == v1::ATTEMPT_PHASE_TRAINING; }
  // Ends, or has ended.
  bool is_over() const { return phase_ >= v1::ATTEMPT_PHASE_STOP; }
  bool ended() const { return phase_ == v1::ATTEMPT_PHASE_ENDED; }
  bool evaluates() const { return wanted_.spec().has_evaluate(); }
  int64_t step() const { return step_; }
  const v1::DesiredAttempt& wanted() const { return wanted_; }
  Outbox& outbox() { return outbox_; }
  const Outbox& outbox() const { return outbox_; }
  void set_report_path(std::string path) { report_path_ = std::move(path); }

 private:
  static constexpr int kExitDrained = 75;

  bool Drain();
  void Report(int64_t step, absl::Time now);
  absl::Time DueTime(int64_t step) const;
  bool IsCheckpointStep(int64_t step) const;

  v1::DesiredAttempt wanted_;
  const AttemptScript script_;
  v1::AttemptPhase phase_ = v1::ATTEMPT_PHASE_PREPARED;
  Outbox outbox_;
  // Steps taken so far, and where this attempt began.
  int64_t step_ = 0;
  int64_t first_step_ = 0;
  absl::Time training_since_ = absl::InfinitePast();
  // Asked to end behind a checkpoint.
  bool draining_ = false;
  int64_t last_commit_step_ = 0;
  absl::Time next_report_ = absl::InfinitePast();
  // Step of a checkpoint that is written and not committed; 0 is none.
  int64_t commit_step_ = 0;
  bool committing_ = false;
  bool released_ = false;
  // Exit code of every rank once ended, or of the failed one alone.
  int exit_code_ = 0;
  int32_t failed_rank_ = -1;
  // Ranks that end here end by a signal.
  bool killed_ = false;
  std::string report_path_;
};

}  // namespace g2ll::sim

#endif  // TESTS_SIM_SIM_ATTEMPT_H_
