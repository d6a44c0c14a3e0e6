#ifndef WORKER_RUN_FRAME_CHANNEL_H_
#define WORKER_RUN_FRAME_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/run/unique_fd.h"

namespace g2ll::run {

// Largest frame in bytes, without its length.
inline constexpr size_t kMaxFrameBytes = size_t{16} << 20;

// Cuts a stream of bytes into frames: a little-endian 32-bit length, then so many
// bytes. Not thread safe.
class FrameDecoder {
 public:
  // Adds bytes as they arrived, in pieces of any size.
  void Feed(std::string_view bytes);
  // The next complete frame, nothing while it is incomplete. Errors:
  // ResourceExhausted if a length is above kMaxFrameBytes; the stream cannot be
  // used from then on.
  absl::StatusOr<std::optional<std::string>> Next();
  // No part of a frame is left over.
  bool empty() const { return start_ == buffer_.size(); }

 private:
  std::string buffer_;
  size_t start_ = 0;  // bytes of buffer_ that are already taken
};

// Frames over a connected descriptor. One thread may read while others write;
// a frame is written whole. A peer that is gone is an error, never a signal.
class FrameChannel {
 public:
  // Takes the descriptor: one end of a stream socket pair, or of a pipe.
  explicit FrameChannel(UniqueFd fd) : fd_(std::move(fd)) {}
  FrameChannel(const FrameChannel&) = delete;
  FrameChannel& operator=(const FrameChannel&) = delete;

  // Writes one frame and waits until the kernel has all of it. Errors:
  // InvalidArgument (larger than kMaxFrameBytes), Unavailable (the peer is gone).
  absl::Status Write(std::string_view frame);

  // Waits for one frame. Errors: OutOfRange (the peer closed between frames),
  // DataLoss (it closed inside one), ResourceExhausted (a length above
  // kMaxFrameBytes), Unavailable (the descriptor broke).
  absl::StatusOr<std::string> Read();

  // Makes a Read that waits, and every later one, end. Sockets only.
  void ShutdownRead();

  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::mutex write_mutex_;
  FrameDecoder decoder_;  // used by the one reading thread
};

}  // namespace g2ll::run

#endif  // WORKER_RUN_FRAME_CHANNEL_H_
