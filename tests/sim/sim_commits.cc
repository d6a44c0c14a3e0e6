// Checkpoints of simulated workers.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>

#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"
#include "tests/sim/checkpoint_files.h"
#include "tests/sim/sim_worker.h"

namespace g2ll::sim {
namespace {

constexpr absl::Duration kCommitRetry = absl::Milliseconds(100);
constexpr int kExitFenced = 76;
constexpr int kExitUnknown = 1;

// Another try may succeed. STALE_TERM: once the coordinator has spoken with this worker.
bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         net::ReasonOf(status) == "STALE_TERM";
}

// One call of CommitCheckpoint.
struct CommitCall {
  grpc::ClientContext context;
  v1::CommitCheckpointRequest request;
  v1::Checkpoint response;
};

}  // namespace

void SimWorker::StartCommit(const AttemptKey& key, SimAttempt& attempt) {
  attempt.CommitStarted();
  Commit(key.first, key.second, attempt.commit_step(), [this, key](const absl::Status& status) {
    const auto found = attempts_.find(key);
    if (found == attempts_.end() || found->second->is_over()) {
      return;
    }
    SimAttempt& committed = *found->second;
    const bool again = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
    if (!status.ok() && !again) {
      const bool stale = net::ReasonOf(status) == "STALE_EPOCH";
      committed.FailRank(0, stale ? kExitFenced : kExitUnknown);
      dirty_ = true;
      Work();
      return;
    }
    if (again) {
      shared_->loop->PostAt(absl::Now() + kCommitRetry, [weak = weak_from_this(), key] {
        const auto self = weak.lock();
        if (self == nullptr) {
          return;
        }
        const auto still = self->attempts_.find(key);
        if (still != self->attempts_.end()) {
          still->second->CommitEnded(false);
          self->Work();
        }
      });
      return;
    }
    committed.CommitEnded(true);
    Work();
  });
}

void SimWorker::Commit(const std::string& job_uid, int64_t epoch, int64_t step,
                       const CommitDone& done) {
  const WrittenCheckpoint written = WriteCheckpoint(shared_->storage_root, job_uid, epoch, step);
  auto* call = new CommitCall;
  call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  call->request.set_worker(options_.name);
  call->request.set_incarnation(incarnation_);
  call->request.set_job_uid(job_uid);
  call->request.set_epoch(epoch);
  call->request.set_step(step);
  call->request.set_path(written.path);
  call->request.set_manifest_sha256(written.manifest_sha256);
  call->request.set_size_bytes(written.size_bytes);
  shared_->loop->CallOpened();
  stub_->async()->CommitCheckpoint(
      &call->context, &call->request, &call->response,
      [loop = shared_->loop, weak = weak_from_this(), call, done](const grpc::Status& status) {
        // Freed on the loop, as streams are.
        loop->Post([loop, weak, owned = std::shared_ptr<CommitCall>(call), done, status] {
          if (const auto self = weak.lock()) {
            self->CommitAnswered(net::FromGrpcStatus(status), done);
          }
          loop->CallEnded();
        });
      });
}

void SimWorker::CommitAnswered(const absl::Status& status, const CommitDone& done) {
  shared_->count([&](FleetCounts& counts) {
    if (status.ok()) {
      ++counts.checkpoints_committed;
    } else if (!IsTransient(status)) {
      ++counts.commits_refused[net::ReasonOf(status)];
    }
  });
  done(status);
}

}  // namespace g2ll::sim
