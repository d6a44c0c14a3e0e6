#ifndef SERVER_API_FILE_SOURCE_H_
#define SERVER_API_FILE_SOURCE_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "g2ll/v1/job.pb.h"
#include "proto/common/grpc_status.h"
#include "server/api/stream_driver.h"
#include "server/storage/file_streamer.h"

namespace g2ll::api {

// Sends files in pieces. `list` finds them; it runs on a pool thread.
class FileSource final : public StreamSource<v1::FileChunk> {
 public:
  using List = std::function<absl::StatusOr<std::vector<storage::FileToSend>>()>;

  // `damaged_reason` is what a file that is missing or differs is reported with.
  FileSource(List list, std::string damaged_reason, int64_t piece_bytes = int64_t{1} << 20)
      : list_(std::move(list)),
        damaged_reason_(std::move(damaged_reason)),
        piece_bytes_(piece_bytes) {}

  Step Next(v1::FileChunk* response, absl::Status* status) override {
    if (!streamer_.has_value()) {
      absl::StatusOr<std::vector<storage::FileToSend>> files = list_();
      if (!files.ok()) {
        *status = files.status();
        return Step::kEnd;
      }
      streamer_.emplace(*std::move(files), piece_bytes_);
    }
    absl::StatusOr<std::optional<storage::FilePiece>> piece = streamer_->Next();
    if (!piece.ok()) {
      *status = net::WithReason(piece.status(), damaged_reason_);
      return Step::kEnd;
    }
    if (!piece->has_value()) {
      return Step::kEnd;
    }
    response->set_path((*piece)->name);
    response->set_offset((*piece)->offset);
    response->set_data(std::move((*piece)->bytes));
    response->set_total_size((*piece)->total_size);
    response->set_sha256((*piece)->sha256);
    return Step::kSend;
  }

 private:
  const List list_;
  const std::string damaged_reason_;
  const int64_t piece_bytes_;
  std::optional<storage::FileStreamer> streamer_;
};

}  // namespace g2ll::api

#endif  // SERVER_API_FILE_SOURCE_H_
