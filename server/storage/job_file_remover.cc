#include "server/storage/job_file_remover.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "proto/common/log.h"

namespace g2ll::storage {

JobFileRemover::JobFileRemover(const StorageRoot* root,
                               std::function<void(const std::string&)> on_removed)
    : root_(root), on_removed_(std::move(on_removed)), thread_([this] { Work(); }) {}

JobFileRemover::~JobFileRemover() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

void JobFileRemover::Add(const std::string& job_uid) {
  absl::MutexLock lock(&mutex_);
  jobs_.push_back(job_uid);
}

void JobFileRemover::Work() {
  while (true) {
    std::string job_uid;
    {
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return closed_ || !jobs_.empty();
      };
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (closed_) {
        return;
      }
      job_uid = std::move(jobs_.front());
      jobs_.pop_front();
    }
    G2LL_FAILPOINT("storage.remove.before");
    absl::Status removed;
    for (const char* kind : {"checkpoints", "reports"}) {
      removed.Update(root_->RemoveTree(absl::StrCat(kind, "/", job_uid)));
    }
    G2LL_FAILPOINT("storage.remove.after");
    if (removed.ok()) {
      on_removed_(job_uid);
    } else {
      log::Warning("files of a deleted job could not be removed; the next start tries again",
                   {{"job_uid", job_uid}, {"error", std::string(removed.message())}});
    }
  }
}

}  // namespace g2ll::storage
