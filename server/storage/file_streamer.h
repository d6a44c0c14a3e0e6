#ifndef SERVER_STORAGE_FILE_STREAMER_H_
#define SERVER_STORAGE_FILE_STREAMER_H_

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/storage/sha256.h"

namespace g2ll::storage {

// One file to send.
struct FileToSend {
  // Absolute path here.
  std::string path;
  // Relative path by which the receiver knows it.
  std::string name;
  // Digest that it must have, in hexadecimal; empty if none is known.
  std::string sha256;
};

// A piece of a file.
struct FilePiece {
  std::string name;
  int64_t offset = 0;
  std::string bytes;
  int64_t total_size = 0;
  // SHA-256 of the whole file, on its last piece.
  std::string sha256;
};

// Cuts files into pieces, one file after the other, and checks digests on the way.
// Reads the disk; used by one thread at a time.
class FileStreamer {
 public:
  // A piece has at most `piece_bytes`, from 1 to 1 MiB.
  explicit FileStreamer(std::vector<FileToSend> files, int64_t piece_bytes = int64_t{1} << 20);

  // The next piece, or nothing after the last one. An empty file is one empty
  // piece. Error: DataLoss if a file is missing, shrinks or differs from its digest.
  absl::StatusOr<std::optional<FilePiece>> Next();

 private:
  absl::Status OpenCurrent();

  std::vector<FileToSend> files_;
  int64_t piece_bytes_;
  size_t file_index_ = 0;
  std::ifstream stream_;
  bool is_open_ = false;
  int64_t offset_ = 0;
  int64_t total_size_ = 0;
  Sha256 digest_;
};

}  // namespace g2ll::storage

#endif  // SERVER_STORAGE_FILE_STREAMER_H_
