#include "server/storage/file_streamer.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"

namespace g2ll::storage {

FileStreamer::FileStreamer(std::vector<FileToSend> files, int64_t piece_bytes)
    : files_(std::move(files)), piece_bytes_(piece_bytes) {}

absl::Status FileStreamer::OpenCurrent() {
  const FileToSend& file = files_[file_index_];
  stream_ = std::ifstream(file.path, std::ios::binary | std::ios::ate);
  if (!stream_) {
    return absl::DataLossError(absl::StrCat(file.name, " is missing or cannot be read"));
  }
  total_size_ = static_cast<int64_t>(stream_.tellg());
  stream_.seekg(0);
  offset_ = 0;
  digest_ = Sha256();
  is_open_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<FilePiece>> FileStreamer::Next() {
  if (file_index_ == files_.size()) {
    return std::nullopt;
  }
  if (!is_open_) {
    G2LL_RETURN_IF_ERROR(OpenCurrent());
  }
  const FileToSend& file = files_[file_index_];
  FilePiece piece;
  piece.name = file.name;
  piece.offset = offset_;
  piece.total_size = total_size_;
  const int64_t size = std::min(piece_bytes_, total_size_ - offset_);
  piece.bytes.resize(static_cast<size_t>(size));
  stream_.read(piece.bytes.data(), static_cast<std::streamsize>(size));
  if (stream_.gcount() != size) {
    return absl::DataLossError(absl::StrCat(file.name, " ends too early"));
  }
  digest_.Add(piece.bytes);
  offset_ += size;
  if (offset_ == total_size_) {
    piece.sha256 = digest_.Finish();
    if (!file.sha256.empty() && piece.sha256 != file.sha256) {
      return absl::DataLossError(absl::StrCat(file.name, " differs from its digest"));
    }
    is_open_ = false;
    ++file_index_;
  }
  return piece;
}

}  // namespace g2ll::storage
