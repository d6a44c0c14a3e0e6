#include "worker/run/frame_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace g2ll::run {
namespace {

struct Ends {
  UniqueFd left;
  UniqueFd right;
};

Ends MakeEnds() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::string Header(uint32_t length) {
  std::string header;
  for (int shift = 0; shift < 32; shift += 8) header += static_cast<char>((length >> shift) & 0xff);
  return header;
}

TEST(FrameDecoderTest, FindsFramesInBytesThatArriveOneByOne) {
  const std::string stream = Header(3) + "abc" + Header(0) + Header(2) + std::string("\0x", 2);
  FrameDecoder decoder;
  std::vector<std::string> frames;

  for (char byte : stream) {
    decoder.Feed(std::string_view(&byte, 1));
    auto frame = decoder.Next();
    ASSERT_TRUE(frame.ok());
    if (*frame) frames.push_back(**frame);
  }

  EXPECT_THAT(frames, testing::ElementsAre("abc", "", std::string("\0x", 2)));
  EXPECT_TRUE(decoder.empty());
}

TEST(FrameDecoderTest, RefusesALengthAboveTheLimitBeforeItsBytesArrive) {
  FrameDecoder decoder;
  decoder.Feed(Header(kMaxFrameBytes + 1));

  EXPECT_EQ(decoder.Next().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(FrameChannelTest, CarriesTheLargestFrameUnchanged) {
  Ends ends = MakeEnds();
  FrameChannel sender(std::move(ends.left));
  FrameChannel receiver(std::move(ends.right));
  std::string large(kMaxFrameBytes, 'x');
  large.back() = 'y';

  std::jthread writer([&] { EXPECT_TRUE(sender.Write(large).ok()); });
  const auto frame = receiver.Read();

  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(*frame, large);
}

TEST(FrameChannelTest, RefusesToWriteAFrameAboveTheLimit) {
  Ends ends = MakeEnds();
  FrameChannel sender(std::move(ends.left));

  EXPECT_EQ(sender.Write(std::string(kMaxFrameBytes + 1, 'x')).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(FrameChannelTest, TellsTheEndOfTheStreamFromATornFrame) {
  Ends clean = MakeEnds();
  FrameChannel clean_receiver(std::move(clean.right));
  clean.left.Reset();
  Ends torn = MakeEnds();
  FrameChannel torn_receiver(std::move(torn.right));
  const std::string part = Header(10) + "half";
  ASSERT_EQ(::write(torn.left.get(), part.data(), part.size()), ssize_t(part.size()));
  torn.left.Reset();

  EXPECT_EQ(clean_receiver.Read().status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(torn_receiver.Read().status().code(), absl::StatusCode::kDataLoss);
}

// A peer that is gone must not kill the writer by SIGPIPE.
TEST(FrameChannelTest, WritingToAClosedPeerIsAnError) {
  Ends ends = MakeEnds();
  FrameChannel sender(std::move(ends.left));
  ends.right.Reset();

  EXPECT_EQ(sender.Write("frame").code(), absl::StatusCode::kUnavailable);
}

TEST(FrameChannelTest, ShutdownReadEndsARead) {
  Ends ends = MakeEnds();
  FrameChannel receiver(std::move(ends.right));
  std::jthread reader([&] { EXPECT_FALSE(receiver.Read().ok()); });

  receiver.ShutdownRead();
}

}  // namespace
}  // namespace g2ll::run
