#include "tests/fuzz/promises.h"

#include <grpcpp/support/status.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "proto/common/grpc_status.h"
#include "proto/common/log.h"

namespace g2ll::fuzz {
namespace {

// Peers refuse more than 8 KiB of headers, and a call has others beside ours.
constexpr size_t kMostHeaderBytes = 7 * 1024;
constexpr size_t kMostMessageBytes = 4 * 1024 + 3;

}  // namespace

void Expect(bool holds, std::string_view promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(promise.size()), promise.data());
  std::abort();
}

void ExpectPlainText(std::string_view text, size_t most) {
  Expect(text.size() <= most, "a text is cut at its limit");
  Expect(log::EscapeControl(text) == text, "a text has no control characters and is UTF-8");
}

void ExpectCleanRefusal(const absl::Status& status) {
  Expect(!status.ok(), "a refusal has a code");
  Expect(!net::ReasonOf(status).empty(), "a refusal has a reason");
  const grpc::Status sent = net::ToGrpcStatus(status);
  ExpectPlainText(sent.error_message(), kMostMessageBytes);
  // gRPC sends the details in base64.
  const size_t details = (sent.error_details().size() + 2) / 3 * 4;
  Expect(sent.error_message().size() + details <= kMostHeaderBytes,
         "a refusal fits into the headers of a call");
  const absl::Status read = net::FromGrpcStatus(sent);
  Expect(net::ReasonOf(read) == net::ReasonOf(status), "a reason survives the wire");
  Expect(net::ViolationsOf(status).empty() || !net::ViolationsOf(read).empty(),
         "bad fields survive the wire");
}

void ExpectSendable(const google::protobuf::Message& message) {
  const std::unique_ptr<google::protobuf::Message> read(message.New());
  Expect(read->ParseFromString(message.SerializeAsString()), "an answer can be parsed");
}

}  // namespace g2ll::fuzz
