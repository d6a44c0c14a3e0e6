#ifndef CLIENT_API_FILE_RECEIVER_H_
#define CLIENT_API_FILE_RECEIVER_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "g2ll/v1/job.pb.h"

namespace g2ll::client {

// Takes the files of a server into a new folder beside their destination, checks
// them, and moves them into place together. Paths of the server are not trusted.
// Removes what it has if it is not published. Not thread safe.
class FileReceiver {
 public:
  // Prepares to write into the folder `dir`, which need not exist.
  // Error: UNAVAILABLE (reason LOCAL_WRITE_FAILED), nothing can be written there.
  static absl::StatusOr<std::unique_ptr<FileReceiver>> Create(const std::string& dir);
  ~FileReceiver();
  FileReceiver(const FileReceiver&) = delete;
  FileReceiver& operator=(const FileReceiver&) = delete;

  // Adds one piece; pieces of a file come in order and files one after another.
  // Errors: DATA_LOSS (a piece out of order, a digest that differs, a path that
  // leaves the folder), UNAVAILABLE (reason LOCAL_WRITE_FAILED).
  absl::Status Add(const v1::FileChunk& chunk);

  // Whether all files that were begun are complete, and there is at least one.
  absl::Status CheckComplete() const;

  // Folder that holds the files until they are published.
  const std::filesystem::path& staging() const { return staging_; }

  // Moves all files from the staging folder into place, over files of the same
  // name; a folder that did not exist appears at once with all its files.
  absl::Status Publish();

  // Whether PublishAs could make `file`. Errors: ALREADY_EXISTS, UNAVAILABLE (reason
  // LOCAL_WRITE_FAILED, its folder is not there).
  static absl::Status CheckFree(const std::string& file);
  // Makes the only file that came, flushed to disk, the file `file`, which must be on the
  // file system of the staging folder and must not exist. Errors: DATA_LOSS (several
  // files came), ALREADY_EXISTS, UNAVAILABLE (reason LOCAL_WRITE_FAILED).
  absl::Status PublishAs(const std::string& file);

 private:
  class Digest;

  FileReceiver(std::filesystem::path target, std::filesystem::path staging);
  absl::Status Begin(const v1::FileChunk& chunk);
  absl::Status Finish(const v1::FileChunk& chunk);

  const std::filesystem::path target_;
  const std::filesystem::path staging_;
  std::string path_;  // of the open file; empty: none
  std::string last_path_;
  int64_t received_ = 0;
  int64_t total_ = 0;
  int num_files_ = 0;
  std::ofstream file_;
  std::unique_ptr<Digest> digest_;
};

// A relative path with `/` whose parts are neither empty nor `.` nor `..`, at
// most 1,024 bytes long, and without control characters or backslashes.
bool IsSafeRelativePath(const std::string& path);

}  // namespace g2ll::client

#endif  // CLIENT_API_FILE_RECEIVER_H_
