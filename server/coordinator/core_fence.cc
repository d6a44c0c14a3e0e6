// Who may write: the epoch, the attempt, the worker, its incarnation and the term must be
// those of now.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {

using cluster::AttemptRecord;

absl::Status Core::CheckFence(const Writer& writer) const {
  const auto refused = [&](const char* kind, const std::string& why) {
    metrics_->AddFencedWrite(kind);
    return net::WithReason(
        absl::AbortedError(absl::StrCat("epoch ", writer.epoch, " may not commit: ", why)),
        std::string(kind) == "term" ? "STALE_TERM" : "STALE_EPOCH");
  };
  const JobPtr job = Find(writer.job_uid);
  if (job == nullptr) {
    return refused("epoch", "the job does not exist");
  }
  const AttemptRecord* attempt = job->LiveAttempt();
  if (attempt == nullptr) {
    return refused("attempt", "the attempt has ended");
  }
  if (attempt->epoch != writer.epoch) {
    return refused("epoch", absl::StrCat("the job is at epoch ", attempt->epoch));
  }
  const std::vector<std::string>& members = attempt->workers;
  if (std::find(members.begin(), members.end(), writer.worker) == members.end()) {
    return refused("worker", absl::StrCat("worker ", writer.worker, " holds no rank of it"));
  }
  const auto worker = workers_.find(writer.worker);
  if (worker != workers_.end() && worker->second.reported &&
      worker->second.record.report.incarnation != writer.incarnation) {
    return refused("incarnation",
                   absl::StrCat("worker ", writer.worker, " has been started again"));
  }
  if (writer.coordinator_term != 0 && writer.coordinator_term != term_) {
    return refused("term", absl::StrCat("worker ", writer.worker,
                                        " has not spoken with this coordinator yet (term ", term_,
                                        "): open the session first"));
  }
  return absl::OkStatus();
}

absl::Status Core::CheckStep(const std::string& job_uid, int64_t step) const {
  const int64_t last = Find(job_uid)->latest_checkpoint_step;
  if (step > last) {
    return absl::OkStatus();
  }
  return net::WithReason(absl::FailedPreconditionError(
                             absl::StrCat("step ", step, " is not above the last one, ", last)),
                         "NOT_MONOTONIC");
}

absl::StatusOr<CheckpointPlan> Core::BeginCheckpoint(const BeginCheckpointCommand& command) const {
  G2LL_RETURN_IF_ERROR(CheckFence(command.writer));
  G2LL_RETURN_IF_ERROR(CheckStep(command.writer.job_uid, command.step));
  const JobPtr job = Find(command.writer.job_uid);
  CheckpointPlan plan;
  plan.parent = CheckpointParent(command.writer.job_uid, command.writer.epoch);
  plan.size_bytes = command.size_bytes;
  if (plan.size_bytes <= 0 && !job->latest_checkpoint.empty()) {
    plan.size_bytes = checkpoints_.at(job->latest_checkpoint).size_bytes;
  }
  return plan;
}

std::string Core::CheckpointParent(const std::string& job_uid, int64_t epoch) {
  return absl::StrCat("checkpoints/", job_uid, "/e", epoch);
}

}  // namespace g2ll::coordinator
