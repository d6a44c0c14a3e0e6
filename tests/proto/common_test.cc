// proto/common: log lines, addresses, errors on the wire.

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "proto/common/address.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"

namespace g2ll {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr int64_t kTimeMs = 1'767'323'045'678;  // 2026-01-02T03:04:05.678Z

TEST(LogTest, TextLineHasTimeLevelMessageAndFields) {
  EXPECT_EQ(log::FormatLine(log::Format::kText, log::Level::kInfo, kTimeMs, "worker starts",
                            {{"slots", 2}, {"name", "w 0"}, {"on", true}, {"share", 0.5}}),
            "2026-01-02T03:04:05.678Z INFO worker starts slots=2 name=\"w 0\" on=true share=0.5");
}

TEST(LogTest, JsonLineKeepsNumbersBareAndNamesNonFiniteValues) {
  EXPECT_EQ(log::FormatLine(log::Format::kJson, log::Level::kError, kTimeMs, "a \"b\"",
                            {{"n", int64_t{-3}}, {"x", std::numeric_limits<double>::quiet_NaN()}}),
            R"({"time":"2026-01-02T03:04:05.678Z","level":"error","message":"a \"b\"",)"
            R"("n":-3,"x":"NaN"})");
}

TEST(LogTest, ControlCharactersAndBadUtf8CannotForgeALine) {
  const std::string bad = "a\nb\x1b[2J\xff\xc0\x80\xc2\x9b\xe2\x82\xac";
  EXPECT_EQ(log::EscapeControl(bad), "a\\nb\\x1b[2J\\xff\\xc0\\x80\\xc2\\x9b\xe2\x82\xac");
  const std::string json = log::FormatLine(log::Format::kJson, log::Level::kInfo, 0, bad, {});
  EXPECT_THAT(json, HasSubstr("a\\nb\\u001b[2J\xef\xbf\xbd"));
  EXPECT_THAT(json, HasSubstr("\\u009b\xe2\x82\xac"));
  EXPECT_EQ(log::EscapeControl(json), json);
}

TEST(LogTest, EscapingTwiceIsEscapingOnce) {
  const std::string once = log::EscapeControl("a\\n\n\x1b\xff");
  EXPECT_EQ(log::EscapeControl(once), once);
}

TEST(LogTest, TextIsCutBetweenCharacters) {
  EXPECT_EQ(log::CutUtf8("abc", 3), "abc");
  EXPECT_EQ(log::CutUtf8("abc", 2), "ab");
  EXPECT_EQ(log::CutUtf8("a\xe2\x82\xac", 3), "a");
  EXPECT_EQ(log::CutUtf8("\xe2\x82\xac", 2), "");
}

TEST(LogTest, LevelIsReadBackFromBothFormats) {
  for (log::Format format : {log::Format::kText, log::Format::kJson}) {
    for (log::Level level :
         {log::Level::kDebug, log::Level::kInfo, log::Level::kWarning, log::Level::kError}) {
      EXPECT_EQ(log::ParseLevel(log::FormatLine(format, level, kTimeMs, "x", {})), level);
    }
  }
  EXPECT_FALSE(log::ParseLevel("INFO x").has_value());
  EXPECT_FALSE(log::ParseLevel("").has_value());
}

TEST(AddressTest, ParsesNamesAndAddresses) {
  EXPECT_EQ(net::ParseHostPort("localhost:7460")->port, 7460);
  EXPECT_EQ(net::ParseHostPort("[::1]:0")->host, "::1");
  EXPECT_EQ(net::ParseHostPort("[::1]:80")->ToString(), "[::1]:80");
  EXPECT_EQ(net::ParseHostPort("10.0.0.1:65535")->ToString(), "10.0.0.1:65535");
}

TEST(AddressTest, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "host", ":1", "host:", "host:65536", "host:-1", "host:1x", "::1:80",
                           "[::1]", "[nonsense]:1", "ho st:1", "-a:1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(net::ParseHostPort(text).status())) << text;
  }
}

TEST(AddressTest, KnowsLoopbackAndWildcard) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(net::IsLoopback(host)) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "localhost.example", "128.0.0.1"}) {
    EXPECT_FALSE(net::IsLoopback(host)) << host;
  }
  EXPECT_TRUE(net::IsWildcard("::") && net::IsWildcard("0.0.0.0"));
  EXPECT_FALSE(net::IsWildcard("10.0.0.1"));
}

TEST(GrpcStatusTest, ReasonAndViolationsSurviveTheWire) {
  const absl::Status sent = net::WithViolations(
      net::WithReason(absl::InvalidArgumentError("bad spec"), "INVALID_SPEC", {{"job", "a"}}),
      {{"spec.mask.gamma", "2 is not in [0, 1]"}});

  const absl::Status received = net::FromGrpcStatus(net::ToGrpcStatus(sent));

  EXPECT_EQ(received.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(received.message(), "bad spec");
  EXPECT_EQ(net::ReasonOf(received), "INVALID_SPEC");
  EXPECT_THAT(net::MetadataOf(received), ElementsAre(Pair("job", "a")));
  ASSERT_EQ(net::ViolationsOf(received).size(), 1u);
  EXPECT_EQ(net::ViolationsOf(received)[0].field, "spec.mask.gamma");
}

TEST(GrpcStatusTest, OkAndPlainErrorsCarryNoDetails) {
  EXPECT_TRUE(net::ToGrpcStatus(absl::OkStatus()).ok());
  const grpc::Status plain = net::ToGrpcStatus(absl::NotFoundError("x"));
  EXPECT_TRUE(plain.error_details().empty());
  EXPECT_EQ(net::ReasonOf(net::FromGrpcStatus(plain)), "");
  EXPECT_TRUE(net::WithReason(absl::OkStatus(), "X").ok());
}

TEST(GrpcStatusTest, LongMessagesAreCutAndBrokenDetailsIgnored) {
  const grpc::Status cut = net::ToGrpcStatus(absl::InternalError(std::string(100'000, 'x')));
  EXPECT_LT(cut.error_message().size(), 5000u);
  const grpc::Status broken(grpc::StatusCode::NOT_FOUND, "gone", "not a message");
  EXPECT_EQ(net::FromGrpcStatus(broken).message(), "gone");
}

// What gRPC makes of a message and of binary details in headers.
size_t BytesOfHeaders(const grpc::Status& status) {
  size_t bytes = (status.error_details().size() + 2) / 3 * 4;
  for (const char c : status.error_message()) bytes += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
  return bytes;
}

TEST(GrpcStatusTest, FitsIntoTheHeadersThatAPeerTakesAndKeepsItsReason) {
  std::vector<net::FieldViolation> violations;
  for (int i = 0; i < 1000; ++i) {
    violations.push_back({"labels", std::string(1000, 'x')});
  }
  for (const std::string& message : {std::string("short"), std::string(100'000, 'x'),
                                     std::string(100'000, '%'), std::string(100'000, '\n')}) {
    const grpc::Status sent = net::ToGrpcStatus(
        net::WithViolations(net::WithReason(absl::InvalidArgumentError(message), "INVALID_SPEC",
                                            {{"source", std::string(100'000, 's')}}),
                            violations));

    EXPECT_LE(BytesOfHeaders(sent), 7u * 1024);
    EXPECT_EQ(net::ReasonOf(net::FromGrpcStatus(sent)), "INVALID_SPEC");
    EXPECT_GE(net::ViolationsOf(net::FromGrpcStatus(sent)).size(), 2u);
  }
}

TEST(GrpcStatusTest, TextsOfARequestComeBackEscapedAndCutBetweenCharacters) {
  std::string euros;
  for (int i = 0; i < 300; ++i) euros += "\xe2\x82\xac";
  const absl::Status read = net::FromGrpcStatus(net::ToGrpcStatus(net::WithViolations(
      net::WithReason(absl::InvalidArgumentError("a\x1b[2J\nb"), "X", {{"m", "\n" + euros}}),
      {{"f\n", euros}})));

  EXPECT_EQ(read.message(), "a\\x1b[2J\\nb");
  ASSERT_EQ(net::ViolationsOf(read).size(), 1u);
  EXPECT_EQ(net::ViolationsOf(read)[0].field, "f\\n");
  EXPECT_EQ(net::ViolationsOf(read)[0].description, euros.substr(0, 399));
  EXPECT_EQ(net::MetadataOf(read).at("m"), "\\n" + euros.substr(0, 252));
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  G2LL_ASSIGN_OR_RETURN(const int half, Half(value));
  G2LL_RETURN_IF_ERROR(Half(half).status());
  return Half(half);
}

TEST(StatusMacrosTest, ReturnTheFirstError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Quarter(3).status().message(), "odd");
}

}  // namespace
}  // namespace g2ll
