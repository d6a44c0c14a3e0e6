#include "worker/run/frame_channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "proto/common/status_macros.h"

namespace g2ll::run {
namespace {

constexpr size_t kHeaderBytes = 4;

std::string ErrnoText(int error) { return std::strerror(error); }

std::string EncodeHeader(size_t length) {
  std::string header(kHeaderBytes, '\0');
  for (size_t i = 0; i < kHeaderBytes; ++i) {
    header[i] = static_cast<char>((length >> (8 * i)) & 0xff);
  }
  return header;
}

size_t DecodeHeader(std::string_view bytes) {
  size_t length = 0;
  for (size_t i = 0; i < kHeaderBytes; ++i) {
    length |= static_cast<size_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return length;
}

// Sends on sockets without SIGPIPE; a pipe needs write(2), and its user ignores
// the signal.
ssize_t SendSome(int fd, std::string_view bytes) {
  const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno == ENOTSOCK) return ::write(fd, bytes.data(), bytes.size());
  return sent;
}

absl::Status SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = SendSome(fd, bytes);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return absl::UnavailableError("channel is broken: " + ErrnoText(errno));
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

}  // namespace

void FrameDecoder::Feed(std::string_view bytes) {
  // What was taken is dropped now and then, not with every frame.
  constexpr size_t kCompactAbove = size_t{64} << 10;
  if (start_ == buffer_.size() || start_ > kCompactAbove) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  buffer_.append(bytes);
}

absl::StatusOr<std::optional<std::string>> FrameDecoder::Next() {
  const std::string_view rest = std::string_view(buffer_).substr(start_);
  if (rest.size() < kHeaderBytes) return std::nullopt;
  const size_t length = DecodeHeader(rest);
  if (length > kMaxFrameBytes) {
    return absl::ResourceExhaustedError("frame of " + std::to_string(length) +
                                        " bytes is above the limit of " +
                                        std::to_string(kMaxFrameBytes));
  }
  if (rest.size() - kHeaderBytes < length) return std::nullopt;
  start_ += kHeaderBytes + length;
  return std::string(rest.substr(kHeaderBytes, length));
}

absl::Status FrameChannel::Write(std::string_view frame) {
  if (frame.size() > kMaxFrameBytes) {
    return absl::InvalidArgumentError("frame of " + std::to_string(frame.size()) +
                                      " bytes is above the limit of " +
                                      std::to_string(kMaxFrameBytes));
  }
  std::string bytes = EncodeHeader(frame.size());
  bytes.append(frame);
  const std::lock_guard lock(write_mutex_);
  return SendAll(fd_.get(), bytes);
}

absl::StatusOr<std::string> FrameChannel::Read() {
  std::array<char, 16384> buffer;
  while (true) {
    G2LL_ASSIGN_OR_RETURN(std::optional<std::string> frame, decoder_.Next());
    if (frame) return *std::move(frame);
    const ssize_t count = ::read(fd_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::UnavailableError("channel is broken: " + ErrnoText(errno));
    if (count == 0) {
      if (decoder_.empty()) return absl::OutOfRangeError("channel was closed by the other side");
      return absl::DataLossError("channel was closed inside a frame");
    }
    decoder_.Feed(std::string_view(buffer.data(), static_cast<size_t>(count)));
  }
}

void FrameChannel::ShutdownRead() { ::shutdown(fd_.get(), SHUT_RD); }

}  // namespace g2ll::run
