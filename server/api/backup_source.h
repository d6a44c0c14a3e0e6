#ifndef SERVER_API_BACKUP_SOURCE_H_
#define SERVER_API_BACKUP_SOURCE_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "g2ll/v1/job.pb.h"
#include "server/api/file_source.h"
#include "server/api/stream_driver.h"
#include "server/store/backup.h"

namespace g2ll::api {

// Makes a copy of the store and sends it. A part of the copying is one step, so that
// other streams have their turn and a stop does not wait for the whole.
class BackupSource final : public StreamSource<v1::FileChunk> {
 public:
  // `maker` outlives the source.
  explicit BackupSource(store::BackupMaker* maker) : maker_(maker) {}

  Step Next(v1::FileChunk* response, absl::Status* status) override {
    if (file_.has_value()) {
      return file_->Next(response, status);
    }
    const absl::StatusOr<bool> is_done = Copy();
    if (!is_done.ok()) {
      *status = net::WithReason(is_done.status(), "BACKUP_FAILED");
      return Step::kEnd;
    }
    if (*is_done) {
      constexpr int64_t kPieceBytes = 64 * 1024;
      const std::vector<storage::FileToSend> files = {{backup_->path(), "g2ll.db", ""}};
      file_.emplace([files] { return files; }, "BACKUP_FAILED", kPieceBytes);
    }
    return Step::kAgain;
  }

 private:
  absl::StatusOr<bool> Copy() {
    if (backup_ == nullptr) {
      absl::StatusOr<std::unique_ptr<store::Backup>> begun = maker_->Begin();
      if (!begun.ok()) {
        return begun.status();
      }
      backup_ = *std::move(begun);
    }
    return backup_->Step();
  }

  store::BackupMaker* const maker_;
  std::unique_ptr<store::Backup> backup_;
  std::optional<FileSource> file_;
};

}  // namespace g2ll::api

#endif  // SERVER_API_BACKUP_SOURCE_H_
